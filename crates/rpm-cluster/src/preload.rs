//! The script every Node app loads before its own, and the variables it reads. Where the file lies
//! and when it is left out (`--permission`) is the daemon's business (traps A10).

/// The script. To be written to a file of mode 0644 that the app may read, and named by
/// `NODE_OPTIONS=--require=…`. Runs unchanged on Node 16 to 24, in CommonJS and ESM apps.
pub const PRELOAD: &str = include_str!("preload.cjs");

/// Set to [`DRAIN_BY_CHANNEL`] for a Node whose IPC channel is ours. The preload removes it from
/// the app's environment, so that no child of the app takes its own channel for ours.
pub const DRAIN_VARIABLE: &str = "RPM_DRAIN";

/// The value of [`DRAIN_VARIABLE`] that says: drain when the channel says so.
pub const DRAIN_BY_CHANNEL: &str = "ipc";

/// The path of the control socket ([`crate::control`]), for every Node whose channel is not ours:
/// behind a wrapper, or a child of the app. Stays in the environment, children need it.
pub const CONTROL_VARIABLE: &str = "RPM_CONTROL";

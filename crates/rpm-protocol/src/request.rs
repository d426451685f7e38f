//! What a client may ask: the JSON-RPC methods and their parameters.

use rpm_config::{AppName, AppSpec};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// A request: `method` names the variant in snake_case, `params` is its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Names the client's protocol version; answered by [`crate::Welcome`]. Optional, but first.
    Hello {
        /// [`crate::VERSION`] of the client.
        version: u32,
    },
    /// Answered by [`crate::Welcome`] too.
    Ping,
    /// Starts one app, several requests may be under way at once; answered by [`crate::Started`].
    Start {
        /// The app.
        app: Box<AppSpec>,
        /// Who describes it: decides what happens when the name exists.
        origin: StartOrigin,
        /// `None`: answered when every instance became ready or ended once. Otherwise they must
        /// all be ready within so many milliseconds.
        wait_ms: Option<u64>,
    },
    /// Does something to instances that exist; answered by [`crate::Acted`] when they settled.
    Act {
        /// What.
        action: Action,
        /// To which.
        targets: Targets,
        /// A new inherited environment for them (`--update-env`).
        environment: Option<BTreeMap<String, String>>,
    },
    /// Changes the number of instances; answered by [`crate::Acted`] when they are ready or gone.
    Scale {
        /// Which app.
        app: AppName,
        /// `5`, `+2` or `-1`.
        to: String,
    },
    /// Gives an app that is wholly at rest another name; answered by [`crate::Acted`].
    Rename {
        /// Which app.
        app: AppName,
        /// Its new name.
        to: AppName,
    },
    /// All instances, in id order; answered by a list of [`crate::InstanceView`].
    List,
    /// Everything about instances; answered by a list of [`crate::InstanceDetail`].
    Describe {
        /// Which.
        targets: Targets,
        /// With the values of variables that look like secrets; else these read `***`.
        #[serde(default)]
        secrets: bool,
    },
    /// Where instances log; answered by a list of [`crate::LogSource`].
    Logs {
        /// Which.
        targets: Targets,
    },
    /// Empties log files; answered by the list of emptied paths.
    Flush {
        /// Which; no words: all of them and the daemon's own.
        targets: Targets,
    },
    /// Says something to instances; answered by a list of [`crate::Told`].
    Send {
        /// To which.
        targets: Targets,
        /// What.
        text: String,
        /// How.
        way: Way,
    },
    /// Has apps do what they offered over their channels (PM2's custom actions); answered by a list
    /// of [`crate::Triggered`] when all have replied, or after [`crate::TRIGGER_PATIENCE`].
    Trigger {
        /// Which.
        targets: Targets,
        /// The action's name.
        action: String,
        /// What it is given.
        param: Option<String>,
    },
    /// Sends a signal to the processes of instances; answered by [`crate::Acted`].
    Signal {
        /// Which.
        targets: Targets,
        /// Its number.
        signal: i32,
    },
    /// Writes `dump.pm2`; answered by its path.
    Save {
        /// Also when the fleet is empty.
        force: bool,
    },
    /// Starts what `dump.pm2` lists and the fleet lacks; answered by [`crate::Acted`].
    Resurrect,
    /// Answered by null, then one [`crate::EventView`] notification (`method: "event"`) per event
    /// until the client hangs up.
    Events {
        /// Only events after this cursor, as far as the daemon still has them.
        since: Option<u64>,
        /// Which; no words: all.
        targets: Targets,
    },
    /// Replaces keeper and daemon by another binary. Answered only if nothing comes of it; else the
    /// connection ends with this daemon, and its successor answers `hello`.
    Update {
        /// The binary, absolute.
        program: PathBuf,
    },
    /// Opens all log files anew: an outside logrotate has moved them.
    ReloadLogs,
    /// Reads the settings anew, which `rpm set` has changed; answered by null.
    ReadSettings,
    /// Stops everything, then daemon and keeper; answered before they go.
    Kill,
}

impl Request {
    /// Whether it changes nothing, so that asking twice does no harm.
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Ping | Self::List | Self::Describe { .. } | Self::Logs { .. } => true,
            // Not asked twice: whoever greets looks himself whether anybody is there.
            Self::Hello { .. }
            | Self::Start { .. }
            | Self::Act { .. }
            | Self::Scale { .. }
            | Self::Rename { .. }
            | Self::Send { .. }
            | Self::Trigger { .. }
            | Self::Signal { .. }
            | Self::Flush { .. }
            | Self::Save { .. }
            | Self::Resurrect
            | Self::Events { .. }
            | Self::Update { .. }
            | Self::ReloadLogs
            | Self::ReadSettings
            | Self::Kill => false,
        }
    }
}

/// What [`Request::Act`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Starts stopped ones.
    Start,
    /// Stops.
    Stop,
    /// Stops and starts.
    Restart,
    /// Replaces without a gap, where it can.
    Reload,
    /// Stops and forgets.
    Delete,
    /// Zeroes restart counters.
    Reset,
}

/// How something is said to an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// As a message if it is JSON (an object, a list or a quoted string) and there is a channel;
    /// else to its standard input, with a newline behind it.
    #[default]
    Either,
    /// Over its channel: what `process.on('message')` hears.
    Message,
    /// To its standard input, as it is.
    Line,
}

/// Which instances: words as a person types them, any match counts.
///
/// A word is `all`, an id, a name, `/regex/`, a namespace, or a script path relative to `cwd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// The words.
    pub words: Vec<String>,
    /// Where the person stands.
    pub cwd: PathBuf,
}

/// Who describes an app that is to be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartOrigin {
    #[default]
    /// An ecosystem file: an app of this name takes over the new description and is restarted.
    File,
    /// The command line: an app of this name that runs is refused; one that is stopped is replaced.
    CommandLine,
    /// As `File`, but an app of this name is reloaded.
    Reload,
}

impl Request {
    /// The name of each method.
    pub const METHODS: [&str; 20] = [
        "hello",
        "ping",
        "start",
        "act",
        "scale",
        "rename",
        "list",
        "describe",
        "logs",
        "flush",
        "send",
        "trigger",
        "signal",
        "save",
        "resurrect",
        "events",
        "update",
        "reload_logs",
        "read_settings",
        "kill",
    ];

    /// The name of this request's method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Ping => "ping",
            Self::Start { .. } => "start",
            Self::Act { .. } => "act",
            Self::Scale { .. } => "scale",
            Self::Rename { .. } => "rename",
            Self::List => "list",
            Self::Describe { .. } => "describe",
            Self::Logs { .. } => "logs",
            Self::Flush { .. } => "flush",
            Self::Send { .. } => "send",
            Self::Trigger { .. } => "trigger",
            Self::Signal { .. } => "signal",
            Self::Save { .. } => "save",
            Self::Resurrect => "resurrect",
            Self::Events { .. } => "events",
            Self::Update { .. } => "update",
            Self::ReloadLogs => "reload_logs",
            Self::ReadSettings => "read_settings",
            Self::Kill => "kill",
        }
    }
}

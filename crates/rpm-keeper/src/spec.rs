//! [`SpawnSpec`]: all that one spawn needs, so that the keeper can do it with no daemon alive.

use crate::message::Owner;
use rpm_unix::spawn::Program;

/// A program and what rpm wants around it. Travels as a sealed memfd, at most [`Self::MAX_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnSpec {
    /// What to execute, as whom, where.
    pub program: Program,
    /// Give it a Node IPC channel: `NODE_CHANNEL_FD` and the serialization mode are added to its
    /// environment, and a duplicate of our end is left in it (traps A4).
    pub channel: bool,
    /// Answer its binds and listens for this owner; `None`: no filter.
    pub share: Option<Owner>,
}

impl SpawnSpec {
    /// The largest encoded spec: an environment and arguments may be 2 MiB (execve(2), ARG_MAX).
    pub const MAX_BYTES: usize = 4 << 20;
}

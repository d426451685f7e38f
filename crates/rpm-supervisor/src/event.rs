//! What can happen: requests from people, and news from the world.

use crate::{InstanceId, Policy, Ticket, WorkerId};
use rpm_config::AppName;
use serde::{Deserialize, Serialize};

/// One thing that happened. The engine turns every message, exit and timer into one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, on the stack of a step")]
pub enum Event {
    /// A client asks for something.
    Command {
        /// Answered exactly once by [`crate::Effect::Answer`].
        ticket: Ticket,
        /// What it asks for.
        command: Command,
    },
    /// The worker's program was executed.
    Spawned {
        /// Whose.
        worker: WorkerId,
    },
    /// The worker could not be executed at all; there is no process.
    SpawnFailed {
        /// Whose.
        worker: WorkerId,
        /// What failed, for a person.
        reason: String,
    },
    /// The worker proved itself by the app's [`rpm_config::Ready`] probe.
    Ready {
        /// Whose.
        worker: WorkerId,
        /// It did so by listening: from now on this app is known to listen.
        listening: bool,
    },
    /// The worker's leader exited; others of its tree may live on.
    Exited {
        /// Whose.
        worker: WorkerId,
        /// How.
        exit: Exit,
    },
    /// No process of the worker's tree is left; the last event of a worker, always after `Exited`.
    TreeGone {
        /// Whose.
        worker: WorkerId,
    },
    /// A draining worker has finished its last connection.
    Drained {
        /// Whose.
        worker: WorkerId,
    },
    /// The worker's tree uses more than `max_memory_restart`.
    MemoryExceeded {
        /// Whose.
        worker: WorkerId,
        /// How much, in bytes.
        bytes: u64,
    },
    /// The worker failed its app's [`rpm_config::Health`] probe as often as that allows.
    Unhealthy {
        /// Whose.
        worker: WorkerId,
        /// How, for a person.
        reason: String,
    },
    /// Time passed; deadlines may be due.
    Tick,
}

/// A request, with its targets already resolved to ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Registers a new app and starts `instances` of it (`autostart = false`: leaves them stopped).
    Register {
        /// Its name; one that exists is denied.
        app: AppName,
        /// Its rules.
        policy: Policy,
        /// At least 1.
        instances: u32,
        /// Whether they start now.
        autostart: bool,
    },
    /// Starts stopped, errored or waiting instances; running ones are left alone.
    Start(Vec<InstanceId>),
    /// Stops instances, ending any reload of them.
    Stop(Vec<InstanceId>),
    /// Stops and starts again, at once and not in turn; starts stopped ones.
    Restart(Vec<InstanceId>),
    /// Replaces running instances one after the other (`max_surge` at a time) without a gap where
    /// [`Policy::overlap`] allows, else restarts them in turn; starts stopped ones.
    Reload(Vec<InstanceId>),
    /// Stops and forgets.
    Delete(Vec<InstanceId>),
    /// Adds instances in the lowest free slots, or drains and removes those in the highest.
    Scale {
        /// Which app.
        app: AppName,
        /// How many instances it shall have; at least 1.
        instances: u32,
    },
    /// Zeroes restart counters (PM2's `reset`).
    Reset(Vec<InstanceId>),
    /// Replaces an app's rules; running workers keep going.
    Amend {
        /// Which app.
        app: AppName,
        /// Its new rules.
        policy: Policy,
    },
    /// Gives an app that is wholly at rest another name.
    Rename {
        /// Its present name.
        app: AppName,
        /// A name that no app has.
        to: AppName,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It returned or called `exit` with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Nobody knows: its parent died before it did.
    Unknown,
}

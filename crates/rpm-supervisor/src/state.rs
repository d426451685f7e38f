//! The whole state of supervision, as data. What is true only in one state is stored in it.
//!
//! ```text
//! Stopped ─start─► Launching ─ready─► Online ─stop/restart─► Stopping{then} ─tree gone─► (then)
//!                      └──────exit──────┴─► Stopping{then: by policy} ─tree gone─► (then)
//!
//! A start of an app that depends on others goes by `Awaiting`, until those are up.
//!
//! then: Stop ► Stopped    Start, no delay ► Launching    Start, delay ► Waiting ─timer─► Launching
//!       Error ► Errored   Remove ► Removing ─leaving workers gone─► out of the fleet
//! ```
//!
//! Behind a front `Draining{then}` comes before `Stopping{then}` where a reload or a removal asks.
//!
//! Beside it a reload runs a `replacement`, which becomes the current worker when it is ready; the
//! one it replaces is `leaving`: Draining ► Stopping ► Killed ► gone. `docs/states.md` has it all.

use crate::{Exit, Failure, InstanceId, Moment, Policy, Ticket, WorkerId};
use rpm_config::AppName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// All apps. The daemon's engine owns the only one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// By name.
    pub apps: BTreeMap<AppName, App>,
    /// The id the next new instance gets; 0 again when the fleet is empty.
    pub next_instance: u32,
    /// The id the next worker gets; never goes back.
    pub next_worker: u64,
    /// Accepted requests that wait for their answer.
    pub pending: Vec<Pending>,
    /// Who is to be halted once those that need it are down; absent in states of older versions.
    #[serde(default)]
    pub halting: Vec<Halting>,
}

/// An instance that is to be halted, but not before others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halting {
    /// Which.
    pub instance: InstanceId,
    /// What follows then.
    pub then: Then,
    /// Those that need it and are on their way down.
    pub after: BTreeSet<InstanceId>,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its rules.
    pub policy: Policy,
    /// By slot.
    pub instances: BTreeMap<u32, Instance>,
    /// It has been seen to listen, so a worker that does not is not ready.
    pub listens: bool,
    /// The reload that is under way.
    pub roll: Option<Roll>,
    /// Reloads that wait for it, bounded.
    pub queued: VecDeque<Roll>,
}

/// An accepted request, answered once all its instances have settled. It may span several apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Who waits.
    pub ticket: Ticket,
    /// For what.
    pub goal: Goal,
    /// For which instances still.
    pub waiting: BTreeSet<InstanceId>,
    /// All instances the request touched.
    pub touched: Vec<InstanceId>,
    /// The first thing that went wrong; the answer waits for the other instances nevertheless.
    pub failure: Option<Failure>,
}

/// What settles an instance for a [`Pending`] request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Register, start, restart, scale up: it is online, at rest, or has failed once.
    Up,
    /// Stop: no process of it is left.
    Down,
    /// Delete, scale down: it is out of the fleet.
    Removed,
    /// Reload: its [`Roll`] says so.
    Reloaded,
}

/// One slot of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// PM2's `pm_id`.
    pub id: InstanceId,
    /// Where its current worker stands.
    pub state: State,
    /// A worker started beside the current one by a reload; only while that one is launching or
    /// online, or else it takes its place.
    pub replacement: Option<Replacement>,
    /// Former workers that are still finishing.
    pub leaving: Vec<Leaving>,
    /// How often it was started again: PM2's `restart_time`.
    pub restarts: u32,
    /// Exits before `min_uptime` in a row: PM2's `unstable_restarts`.
    pub unstable: u32,
    /// The last back-off delay in milliseconds: PM2's `prev_restart_delay`.
    pub previous_delay_ms: u64,
    /// When it was created, or restarted by hand: PM2's `created_at`.
    pub created: Moment,
    /// How its last worker ended, and when.
    pub last_exit: Option<(Exit, Moment)>,
}

/// Where an instance's current worker stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing runs and nothing will without a request.
    Stopped,
    /// Spawned, or about to be; not yet ready.
    Launching {
        /// Which.
        worker: WorkerId,
        /// Since when.
        since: Moment,
        /// Killed and failed, or taken for ready, at this moment.
        deadline: Moment,
    },
    /// Ready.
    Online {
        /// Which.
        worker: WorkerId,
        /// When it was spawned.
        since: Moment,
    },
    /// Finishing its connections before it is told to stop, because no other can run beside it.
    Draining {
        /// Which.
        worker: WorkerId,
        /// The stop signal at this moment.
        until: Moment,
        /// What follows when the tree is gone.
        then: Then,
    },
    /// Told to stop, or dead with a tree that is being swept.
    Stopping {
        /// Which.
        worker: WorkerId,
        /// SIGKILL at this moment; `None` once sent.
        deadline: Option<Moment>,
        /// What follows when the tree is gone.
        then: Then,
    },
    /// To be started when what it depends on is up.
    Awaiting,
    /// PM2's `waiting restart`.
    Waiting {
        /// Until when.
        until: Moment,
    },
    /// It exited too often, or could not be executed.
    Errored,
    /// On its way out of the fleet: it goes when its last leaving worker has.
    Removing,
}

/// What follows a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Stay stopped.
    Stop,
    /// Start again after so many milliseconds (0: at once).
    Start {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// Stay down as errored.
    Error,
    /// Leave the fleet.
    Remove,
}

/// A reload's new worker, until it is ready and becomes the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Which.
    pub worker: WorkerId,
    /// Since when.
    pub since: Moment,
    /// Failed, or taken for ready, at this moment.
    pub deadline: Moment,
}

/// A worker that was replaced and has not gone yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Which.
    pub worker: WorkerId,
    /// How far it is.
    pub phase: LeavingPhase,
}

/// How far a leaving worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeavingPhase {
    /// Finishing its connections.
    Draining {
        /// The stop signal at this moment.
        until: Moment,
    },
    /// The stop signal was sent.
    Stopping {
        /// SIGKILL at this moment.
        deadline: Moment,
    },
    /// SIGKILL was sent.
    Killed,
}

/// A reload: slots still to do, slots under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roll {
    /// Who waits for it.
    pub tickets: Vec<Ticket>,
    /// Not begun.
    pub waiting: VecDeque<u32>,
    /// A replacement is launching, or an old worker leaving.
    pub active: BTreeSet<u32>,
    /// Instances it covers.
    pub touched: Vec<InstanceId>,
}

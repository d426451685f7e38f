//! What shall be done: the only way a decision leaves this crate.

use crate::{Exit, InstanceId, Ticket, WorkerId};
use rpm_config::AppName;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Execute the app's program as this worker. Answered by `Spawned` or `SpawnFailed`.
    Spawn {
        /// The new worker.
        worker: WorkerId,
        /// Of which app.
        app: AppName,
        /// Of which instance.
        instance: InstanceId,
        /// In which slot.
        slot: u32,
    },
    /// Ask the worker to accept nothing more and finish what it has. Answered by `Drained`, where
    /// the program can tell; otherwise the engine answers at once, and `Stop` follows.
    Drain {
        /// Which.
        worker: WorkerId,
    },
    /// Send the stop signal to every process of the worker's tree.
    Stop {
        /// Which.
        worker: WorkerId,
    },
    /// SIGKILL every process of the worker's tree.
    Kill {
        /// Which.
        worker: WorkerId,
    },
    /// The slot has no worker and none is coming: its held sockets can go. May be repeated.
    Release {
        /// Of which app.
        app: AppName,
        /// Which slot.
        slot: u32,
    },
    /// The app is gone from the fleet: its spec and files' descriptors can go.
    Forget {
        /// Which.
        app: AppName,
    },
    /// The one answer to a request.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// Something worth telling: the event stream, the daemon's log.
    Notice(Notice),
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; the instances it touched.
    Done(Vec<InstanceId>),
    /// It was not accepted; nothing changed.
    Denied(Denied),
    /// It was accepted and failed; what ran before still runs.
    Failed(Failure),
}

/// Why a request was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// An app of this name exists.
    Exists(AppName),
    /// No such app.
    NoApp(AppName),
    /// No such instance.
    NoInstance(InstanceId),
    /// The app has as many instances already.
    SameScale(AppName),
    /// So many requests wait for this app that no more are taken.
    TooMany(AppName),
    /// An app cannot have this many instances: 1 to [`crate::MAX_INSTANCES`].
    OutOfRange(AppName, u32),
    /// Something of the app runs, which must rest for this.
    Busy(AppName),
}

/// Why an accepted request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The instance that failed.
    pub instance: InstanceId,
    /// Its worker that failed; `None` where [`Cause::Superseded`] met an instance without one.
    pub worker: Option<WorkerId>,
    /// How.
    pub cause: Cause,
}

/// How a worker failed to become ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It could not be executed.
    NotSpawned(String),
    /// It exited first, or while its predecessor was still leaving.
    Exited(Exit),
    /// It was not ready after this long.
    NotReady(Duration),
    /// It waits for an app that rests, or is not there.
    Awaits {
        /// For which.
        app: AppName,
        /// Whether it is there.
        exists: bool,
    },
    /// Another request (stop, delete, restart during a reload) took the instance away.
    Superseded,
}

/// News for people and programs that watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The app.
    pub app: AppName,
    /// The instance.
    pub instance: InstanceId,
    /// What happened to it.
    pub kind: NoticeKind,
}

/// What happened to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A worker was executed.
    Starting,
    /// A worker proved ready.
    Online,
    /// A worker exited; `asked` when rpm had told it to.
    Exited {
        /// How.
        exit: Exit,
        /// Whether rpm had asked for it.
        asked: bool,
    },
    /// A worker could not be executed.
    SpawnFailed {
        /// Why.
        reason: String,
    },
    /// It is started when these apps are up, which it depends on.
    Awaiting {
        /// Which.
        apps: Vec<AppName>,
    },
    /// It will be started again after this long, in milliseconds.
    Waiting {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// It exited too often and stays down.
    Errored,
    /// A former worker drains: it began to, or the number of its connections has changed.
    Draining {
        /// How many it has left; `None` where they are not counted (yet).
        connections: Option<u32>,
        /// How long it may still take, in milliseconds.
        left_ms: u64,
    },
    /// It is stopped.
    Stopped,
    /// It was removed.
    Deleted,
    /// Its tree used too much memory, in bytes; a reload of it follows.
    MemoryExceeded {
        /// How much.
        bytes: u64,
    },
    /// Its worker failed its health probe as often as that allows; a reload of it follows.
    Unhealthy {
        /// How it failed last.
        reason: String,
    },
    /// Its worker accepts no connections: new ones go to others.
    Blocked {
        /// How many wait for it.
        waiting: u32,
    },
    /// It accepts connections again.
    Unblocked,
    /// A reload has come to it.
    Reloading {
        /// Which of the reload's instances it is, from 1.
        nth: u32,
        /// How many those are.
        of: u32,
        /// Old and new worker run beside each other; else it is stopped first.
        overlap: bool,
    },
    /// A reload is about to restart it, and it has these addresses to itself: nobody answers there
    /// meanwhile.
    Outage {
        /// Where it listens.
        listening: Vec<String>,
    },
    /// Its part of a reload is done: the new worker serves, the former one is gone.
    Reloaded,
    /// A moment of its `cron_restart` has come; a restart follows.
    Scheduled,
    /// A file it watches has changed; a restart follows.
    Changed {
        /// Which file.
        path: String,
    },
    /// A file it watches changes at each restart, and is ignored until it is quiet.
    WatchLoop {
        /// Which file.
        path: String,
    },
    /// Its replacement failed; the old worker goes on.
    ReloadFailed,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(app) => write!(f, "an app named {app} exists already"),
            Self::NoApp(app) => write!(f, "there is no app named {app}"),
            Self::NoInstance(id) => write!(f, "there is no instance {id}"),
            Self::Busy(app) => write!(f, "{app} must be stopped first"),
            Self::SameScale(app) => write!(f, "{app} has that many instances already"),
            Self::TooMany(app) => {
                write!(f, "too many requests wait for {app}; try again when they are done")
            }
            Self::OutOfRange(app, n) => {
                write!(f, "{app} cannot have {n} instances, only 1 to {}", crate::MAX_INSTANCES)
            }
        }
    }
}

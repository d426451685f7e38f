//! The engine's inbox: what tasks of this process tell it, bounded.

use crate::{control, sample::Sample};
use rpm_config::AppName;
use rpm_protocol::{EventView, Request, RpcError};
use rpm_supervisor::{Moment, Ticket, WorkerId};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::{broadcast, mpsc, oneshot};

/// How many messages may wait; a task that has more to say waits itself.
const CAPACITY: usize = 256;

/// The one answer to a request.
pub(crate) type Responder = oneshot::Sender<Result<Response, RpcError>>;

/// What a request is answered with.
pub(crate) enum Response {
    /// A result, as it goes over the wire.
    Json(Box<serde_json::value::RawValue>),
    /// The event stream.
    Events(Telling),
}

/// What a client that watches is told: past events first, then the live ones.
pub(crate) struct Telling {
    /// Those it missed and asked for.
    pub(crate) past: Vec<EventView>,
    /// Those to come.
    pub(crate) live: broadcast::Receiver<EventView>,
    /// What apps will say; in order among itself only.
    pub(crate) messages: broadcast::Receiver<EventView>,
    /// Of these apps; `None`: of all.
    pub(crate) only: Option<BTreeSet<AppName>>,
}

/// One thing a task tells the engine.
pub(crate) enum Message {
    /// A client asks.
    Request {
        /// What.
        request: Request,
        /// Where the answer goes; the client may be gone.
        respond: Responder,
    },
    /// A Node worker said something on its channel.
    Channel {
        /// Which.
        worker: WorkerId,
        /// What.
        said: rpm_cluster::message::Message,
    },
    /// A Node behind a wrapper said something on the control socket.
    Control(control::News),
    /// A process of this worker's tree ended.
    TreeChanged {
        /// Whose.
        worker: WorkerId,
    },
    /// A front said something on its channel.
    Front {
        /// Which.
        child: rpm_keeper::ChildId,
        /// What.
        said: Box<crate::front::Said>,
    },
    /// Fronts had time enough to say how they stand.
    FrontsLate,
    /// A front that died may be replaced now.
    FrontDue {
        /// Of which app.
        app: rpm_config::AppName,
    },
    /// The time limit of a wait has passed.
    Expired {
        /// Whose.
        ticket: Ticket,
        /// How long it was.
        after: Duration,
    },
    /// All a worker wrote is in its files; its spools are needed no more.
    Logged {
        /// Whose.
        worker: WorkerId,
        /// Their held names, without the prefix.
        spools: Vec<String>,
    },
    /// A stream floods: its bytes shall go by way of a transit.
    Flooded(crate::output::Flooded),
    /// A log file takes nothing, or takes it again.
    Log(crate::output::LogNews),
    /// SIGUSR2: an outside logrotate has moved files.
    Reopen,
    /// A moment of an app's `cron_restart` has come.
    Due {
        /// Which app.
        app: AppName,
    },
    /// A file that an app watches has changed.
    Changed {
        /// Which app.
        app: AppName,
        /// Which file.
        path: std::path::PathBuf,
        /// When it was seen: who was started since has the new one.
        at: Moment,
    },
    /// Apps had their time to reply to a triggered action.
    TriggerExpired {
        /// Which.
        trigger: u64,
    },
    /// A worker was asked whether it works.
    Probed {
        /// Which.
        worker: WorkerId,
        /// What came of it.
        outcome: crate::probes::Outcome,
    },
    /// A process sent something to the socket of sd_notify(3).
    Notified(crate::notify::Said),
    /// SIGTERM: the machine goes down, or somebody wants all to end.
    Terminated,
    /// Whether another binary can go on from here, or why not.
    Checked(Result<(), String>),
    /// Memory and CPU of all workers.
    Sampled(Box<Sample>),
}

/// The receiving end, and a sender to hand out.
pub(crate) struct Inbox {
    sender: mpsc::Sender<Message>,
    receiver: mpsc::Receiver<Message>,
}

impl Inbox {
    /// An empty inbox.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self { sender, receiver }
    }

    /// A way to write into it.
    pub(crate) fn sender(&self) -> mpsc::Sender<Message> {
        self.sender.clone()
    }

    /// The next message. Cancel safe.
    pub(crate) async fn receive(&mut self) -> Message {
        match self.receiver.recv().await {
            Some(message) => message,
            // Cannot happen: this inbox holds a sender itself.
            None => std::future::pending().await,
        }
    }

    /// The next message, if there is one already.
    pub(crate) fn try_receive(&mut self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }
}

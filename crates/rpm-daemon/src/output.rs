//! A worker's two streams on their way to their files.

use crate::{
    clock,
    engine::Engine,
    inbox::Message,
    log_files::{self, Course},
    store::{self, Label},
};
use rpm_config::{AppSpec, WhenFull};
use rpm_keeper::{ChildId, Request};
use rpm_logs::{
    lane::{Stream, StreamHandle},
    pump::{Alarm, Flood, Trouble},
    ship::Origin,
};
use rpm_supervisor::WorkerId;
use serde_json::json;
use std::{os::fd::OwnedFd, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_local,
};

/// How long an exit waits for the thread that takes a leader's last words; writing them takes
/// milliseconds, unless the disk hangs.
const PATIENCE: Duration = Duration::from_millis(500);
/// What ends the name of a held transit.
const TRANSIT: &str = ":transit";
/// So many streams have a transit at once; more floods than that are not faster by it.
const MAX_TRANSITS: usize = 16;
/// How long nobody waits for a thread after one did not answer, in milliseconds.
const HUNG_MS: u64 = 10_000;

/// The streams of one worker. Dropping it ends them: the bytes still in the pipes stay there.
#[derive(Default)]
pub(crate) struct Output {
    streams: Vec<StreamHandle>,
    /// The held spools and transits of the streams that have one, by their names without the
    /// prefix. A keeper that replaces a dead one gets them with all that was held.
    spools: Vec<String>,
}

/// A stream floods.
#[derive(Debug)]
pub(crate) struct Flooded {
    worker: WorkerId,
    /// Its transit's name, without the prefix.
    name: String,
    transit: OwnedFd,
    /// Told when it is held.
    held: oneshot::Sender<()>,
}

/// What a stream has to tell.
#[derive(Debug)]
pub(crate) struct LogNews {
    pub(crate) label: Label,
    pub(crate) trouble: Trouble,
}

impl Output {
    /// Bytes that could not be written and were thrown away.
    pub(crate) fn dropped(&self) -> u64 {
        self.streams.iter().map(|stream| stream.counters().dropped()).sum()
    }

    /// Lines that collectors did not get.
    pub(crate) fn unshipped(&self) -> u64 {
        self.streams.iter().map(StreamHandle::unshipped).sum()
    }

    /// Whether a file takes nothing now.
    pub(crate) fn is_troubled(&self) -> bool {
        self.streams.iter().any(|stream| stream.counters().is_troubled())
    }
}

impl Engine {
    /// Starts moving bytes from a worker's pipes.
    pub(crate) fn start_output(
        &mut self,
        worker: WorkerId,
        label: &Label,
        spec: &AppSpec,
        pipes: [OwnedFd; 2],
    ) -> Output {
        let mut output = Output::default();
        let courses = match log_files::courses(&self.home, spec, label.instance, label.slot) {
            Ok(courses) => courses,
            Err(reason) => {
                tracing::error!(app = %label.app, "its logs are not written: {reason}");
                return output;
            }
        };
        for ((pipe, course), is_error) in pipes.into_iter().zip(courses).zip([false, true]) {
            if let Err(error) =
                self.start_stream(&mut output, (worker, is_error), label, spec, (pipe, course))
            {
                tracing::error!(app = %label.app, "a stream is not logged: {error}");
            }
        }
        output
    }

    fn start_stream(
        &mut self,
        output: &mut Output,
        (worker, is_error): (WorkerId, bool),
        label: &Label,
        spec: &AppSpec,
        (pipe, course): (OwnedFd, Course),
    ) -> std::io::Result<()> {
        let stream = if is_error { "err" } else { "out" };
        let name = format!("{worker}:{stream}");
        let spool = course.is_spooled().then(|| self.logs.spool(&name, &mut self.keeper));
        let spool = spool.transpose()?;
        let passage = format!("{name}{TRANSIT}");
        let transit = self.logs.held_transit(&passage);
        output.spools.extend(spool.is_some().then_some(name));
        output.spools.extend(transit.is_some().then(|| passage.clone()));
        let handle = self.logs.lanes.start(Stream {
            pipe,
            files: course.files,
            flood: transit.is_none().then(|| flood(worker, passage, self.inbox.sender())),
            spool,
            transit,
            frame: course.frame,
            when_full: match spec.logs.rules.when_full {
                WhenFull::Drop => rpm_logs::WhenFull::Drop,
                WhenFull::Block => rpm_logs::WhenFull::Block,
            },
            ship: course.ship,
            origin: Origin { app: label.app.to_string(), id: label.instance.0, is_error },
            alarm: alarm(label.clone(), self.inbox.sender()),
        })?;
        output.streams.push(handle);
        Ok(())
    }

    /// Takes what a dead leader's pipes hold now: its last words. The last lines of its standard
    /// error, where they are not in the file as they came.
    pub(crate) async fn drain_output(&mut self, worker: WorkerId) -> Option<Vec<String>> {
        let process = self.workers.process(worker)?;
        if clock::epoch_millis() < self.logs.hung_until {
            return None;
        }
        let drained = rpm_protocol::within(PATIENCE, async {
            let mut last = None;
            for stream in &process.output.streams {
                last = stream.drain().await.last;
            }
            last
        });
        match drained.await {
            Some(last) => last.map(|lines| lines.iter().map(|line| text(line)).collect()),
            None => {
                self.logs.hung_until = clock::epoch_millis() + HUNG_MS;
                tracing::error!(%worker, "its last lines are not written yet: its log disk hangs");
                None
            }
        }
    }

    /// Takes what is left of a worker that is gone, without anybody waiting for it; then the keeper
    /// may forget it.
    pub(crate) fn finish_output(&mut self, worker: WorkerId, output: Output) {
        self.logs.finishing += 1;
        let sender = self.inbox.sender();
        spawn_local(async move {
            let Output { streams, spools } = output;
            for stream in streams {
                stream.finish().await;
            }
            // The engine may have ended.
            let _ = sender.send(Message::Logged { worker, spools }).await;
        });
    }

    /// All a worker wrote is in its files.
    pub(crate) fn on_logged(&mut self, worker: WorkerId, spools: Vec<String>) {
        self.logs.finishing = self.logs.finishing.saturating_sub(1);
        self.keeper.send(Request::Acknowledge { child: ChildId(worker.0) });
        for name in spools {
            self.keeper.send(Request::Drop { name: format!("{}{name}", store::SPOOL) });
        }
    }

    /// A stream that floods has its transit held, if there are not too many.
    pub(crate) fn on_flooded(&mut self, flooded: Flooded) {
        let Flooded { worker, name, transit, held } = flooded;
        let transits = self.workers.iter().filter_map(|(_, worker)| worker.process.as_ref());
        let transits = transits.flat_map(|process| &process.output.spools);
        if transits.filter(|name| name.ends_with(TRANSIT)).count() >= MAX_TRANSITS {
            return;
        }
        let known = self.workers.get_mut(worker).and_then(|worker| worker.process.as_mut());
        let Some(process) = known else { return };
        self.logs.hold(&name, transit, &mut self.keeper);
        process.output.spools.push(name);
        // A stream that has ended needs none.
        let _unheard = held.send(());
    }

    /// A file takes nothing, or takes it again.
    pub(crate) fn on_log_news(&mut self, news: LogNews) {
        let LogNews { label: Label { app, instance, .. }, trouble } = news;
        let event = match trouble {
            Trouble::Dropping(error) => {
                tracing::error!(%app, "log lines are dropped: {error}");
                json!({ "log_dropping": { "reason": error.to_string() } })
            }
            Trouble::Blocked(error) => {
                tracing::error!(%app, "it waits for its log: {error}");
                json!({ "log_blocked": { "reason": error.to_string() } })
            }
            Trouble::Recovered => {
                tracing::info!(%app, "log lines are written again");
                json!("log_recovered")
            }
        };
        self.events.tell(app, instance, event);
    }
}

/// Asks the engine; one that has too much to do has none held.
fn flood(worker: WorkerId, name: String, engine: mpsc::Sender<Message>) -> Flood {
    Box::new(move |transit, held| {
        let flooded = Flooded { worker, name, transit, held };
        let _none = engine.try_send(Message::Flooded(flooded));
    })
}

/// Tells the engine; one that has too much to do finds it in the counters.
fn alarm(label: Label, engine: mpsc::Sender<Message>) -> Alarm {
    Box::new(move |trouble| {
        let _ = engine.try_send(Message::Log(LogNews { label: label.clone(), trouble }));
    })
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned()
}

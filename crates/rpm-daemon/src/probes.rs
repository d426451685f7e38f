//! Which workers are asked whether they work, and by which question: those that launch by their
//! app's `ready`, those that are online by its `health`; and which are looked at, because each has
//! a port of its own. A task a worker asks (`ask.rs`) and tells
//! the engine. What follows from an answer is the supervisor's business.

mod ask;
mod http;

use crate::{
    engine::Engine,
    inbox::Message,
    launch::{self, Seat},
    shell::Tools,
    tree::{self, Leader},
};
use ask::{Question, Shared};
use rpm_config::{AppSpec, Health, Probe, Ready};
use rpm_keeper::Owner;
use rpm_supervisor::{Event, Instance, State, WorkerId};
use std::{collections::BTreeMap, net::SocketAddr, pin::Pin, rc::Rc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, spawn_local},
};

/// So many workers are asked at the same time; the others' questions wait.
const MAX_AT_ONCE: usize = 32;
/// How long one answer to `ready` may take; there are others after it.
const READY_ANSWER: Duration = Duration::from_secs(5);
/// From a failed `ready` to the next try: first, and at most. Nothing tells when a program would
/// answer, so it must be asked.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// So often it is looked whether a program listens on its own port: half a minute, as long as the
/// supervisor waits for one that is known to.
const LOOKS: u32 = 35;

/// What came of asking a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is ready.
    Ready,
    /// It listens on the port it was given, at this address.
    Listens(SocketAddr),
    /// It is not ready yet, and why.
    NotYet(String),
    /// It failed as often as its `health` allows, the last time like this.
    Ill(String),
}

/// What a worker is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Ready(Probe),
    /// Whether it listens on this port; nothing is asked of it.
    Listening(u16),
    Health(Health),
}

/// The tasks of all workers.
pub(crate) struct Probes {
    tasks: BTreeMap<WorkerId, Task>,
    at_once: Rc<Semaphore>,
}

type LocalBoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A worker's task; ended when dropped.
struct Task {
    purpose: Purpose,
    handle: AbortHandle,
}

impl Default for Probes {
    fn default() -> Self {
        Self { tasks: BTreeMap::new(), at_once: Rc::new(Semaphore::new(MAX_AT_ONCE)) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Engine {
    /// Brings the tasks in line with the fleet, where that has changed.
    pub(crate) fn tend_probes(&mut self) {
        if !self.dirty.state {
            return;
        }
        let wanted = self.wanted_probes();
        let same = |id: &WorkerId, task: &mut Task| {
            wanted.get(id).is_some_and(|(purpose, _)| *purpose == task.purpose)
        };
        self.probes.tasks.retain(same);
        for (worker, (purpose, seat)) in wanted {
            if self.probes.tasks.contains_key(&worker) {
                continue;
            }
            if let Some(task) = self.start_probe(&purpose, seat) {
                let handle = spawn_local(task).abort_handle();
                self.probes.tasks.insert(worker, Task { purpose, handle });
            }
        }
    }

    fn wanted_probes(&self) -> BTreeMap<WorkerId, (Purpose, Seat)> {
        let mut wanted = BTreeMap::new();
        for (name, app) in &self.fleet.apps {
            let Some(spec) = self.specs.get(name).filter(|spec| is_probed(spec)) else { continue };
            for (slot, instance) in &app.instances {
                let own = own_port(spec, *slot, instance, app.listens);
                for (worker, purpose) in purposes(spec, *slot, instance).into_iter().chain(own) {
                    let seat = Seat { instance: instance.id, slot: *slot, worker };
                    wanted.insert(worker, (purpose, seat));
                }
            }
        }
        wanted
    }

    /// `None`: it has no process yet.
    fn start_probe(&self, purpose: &Purpose, seat: Seat) -> Option<LocalBoxFuture> {
        let process = self.workers.process(seat.worker)?;
        let spec = self.spec_of(seat.worker)?;
        let (worker, engine) = (seat.worker, self.inbox.sender());
        let probe = match purpose {
            Purpose::Ready(probe) => probe.clone(),
            Purpose::Health(health) => health.probe.clone(),
            Purpose::Listening(port) => {
                let (leader, port) = (process.leader.clone(), *port);
                return Some(Box::pin(until_listening(worker, leader, port, engine)));
            }
        };
        let question = Question {
            probe,
            sharing: launch::shares_ports(&spec).then(|| Shared {
                leader: process.leader.clone(),
                instances: spec.instances,
                slot: Owner { app: spec.name.to_string(), slot: seat.slot },
                blocked: self.sharing.blocked(),
            }),
            tools: Tools { spec, places: self.places.clone(), seat },
        };
        let at_once = self.probes.at_once.clone();
        let purpose = purpose.clone();
        Some(Box::pin(async move {
            match purpose {
                Purpose::Ready(_) => until_ready(worker, &question, &at_once, &engine).await,
                Purpose::Health(health) => {
                    watch(worker, (&question, &health), &at_once, &engine).await;
                }
                // Told apart above.
                Purpose::Listening(_) => {}
            }
        }))
    }

    /// Takes what came of asking a worker.
    pub(crate) fn on_probed(&mut self, worker: WorkerId, outcome: Outcome) {
        match outcome {
            Outcome::Ready => self.step(Event::Ready { worker, listening: false }),
            Outcome::Listens(address) => {
                self.note_listening(worker, address.to_string());
                self.step(Event::Ready { worker, listening: true });
            }
            Outcome::NotYet(reason) => self.troubles.note(worker, reason),
            Outcome::Ill(reason) => self.step(Event::Unhealthy { worker, reason }),
        }
    }
}

fn is_probed(spec: &AppSpec) -> bool {
    matches!(spec.ready, Ready::Probe(_)) || spec.health.is_some() || spec.has_own_ports()
}

/// The look whether an instance listens on its own port: while it launches, and until that was seen
/// of any of its app, for one that is slow is taken for online before.
fn own_port(
    spec: &AppSpec,
    slot: u32,
    instance: &Instance,
    listens: bool,
) -> Option<(WorkerId, Purpose)> {
    if !spec.has_own_ports() || spec.ready != Ready::Listening {
        return None;
    }
    let port = rpm_config::instance_port(spec, slot)?;
    let worker = match &instance.state {
        State::Launching { worker, .. } => *worker,
        State::Online { worker, .. } if !listens && spec.health.is_none() => *worker,
        State::Online { .. }
        | State::Stopped
        | State::Draining { .. }
        | State::Stopping { .. }
        | State::Awaiting
        | State::Waiting { .. }
        | State::Errored
        | State::Removing => return None,
    };
    Some((worker, Purpose::Listening(port)))
}

/// Which of an instance's workers are asked, and for what.
fn purposes(spec: &AppSpec, slot: u32, instance: &Instance) -> Vec<(WorkerId, Purpose)> {
    let ready = match &spec.ready {
        Ready::Probe(probe) => Some(Purpose::Ready(probe.of_instance(spec, slot))),
        Ready::Listening | Ready::Message | Ready::Notify => None,
    };
    let health = spec.health.as_ref().map(|health| {
        let probe = health.probe.of_instance(spec, slot);
        Purpose::Health(Health { probe, ..health.clone() })
    });
    let current = match &instance.state {
        State::Launching { worker, .. } => ready.clone().map(|ready| (*worker, ready)),
        State::Online { worker, .. } => health.map(|health| (*worker, health)),
        State::Stopped
        | State::Draining { .. }
        | State::Stopping { .. }
        | State::Awaiting
        | State::Waiting { .. }
        | State::Errored
        | State::Removing => None,
    };
    let replacement = instance.replacement.as_ref().map(|new| new.worker).zip(ready);
    current.into_iter().chain(replacement).collect()
}

/// Asks until the answer is good. The supervisor has the patience, and ends this by its own means.
async fn until_ready(
    worker: WorkerId,
    question: &Question,
    at_once: &Semaphore,
    engine: &mpsc::Sender<Message>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = ask::ask(question, READY_ANSWER, at_once).await;
        let is_ready = answer.is_ok();
        let outcome = answer.map_or_else(Outcome::NotYet, |()| Outcome::Ready);
        let told = engine.send(Message::Probed { worker, outcome }).await;
        if is_ready || told.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Looks until it listens there, for as long as a slow program may take. Nothing tells of it: such
/// a program is left alone by the filter.
async fn until_listening(
    worker: WorkerId,
    leader: Leader,
    port: u16,
    engine: mpsc::Sender<Message>,
) {
    let mut pause = FIRST_PAUSE;
    for _ in 0..LOOKS {
        let all = rpm_unix::procfd::listening(&tree::pids(&tree::members(&leader, &[])));
        if let Some(address) = all.into_iter().find(|address| address.port() == port) {
            let outcome = Outcome::Listens(address);
            // An engine that has gone needs to know nothing.
            let _ = engine.send(Message::Probed { worker, outcome }).await;
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks as long as it lives, and tells when it is ill; again, should nothing come of that.
async fn watch(
    worker: WorkerId,
    (question, health): (&Question, &Health),
    at_once: &Semaphore,
    engine: &mpsc::Sender<Message>,
) {
    tokio::time::sleep(health.start_period).await;
    let mut failures = 0;
    loop {
        tokio::time::sleep(health.interval).await;
        let Err(reason) = ask::ask(question, health.timeout, at_once).await else {
            failures = 0;
            continue;
        };
        failures += 1;
        if failures >= health.failures {
            failures = 0;
            let outcome = Outcome::Ill(reason);
            if engine.send(Message::Probed { worker, outcome }).await.is_err() {
                return;
            }
        }
    }
}

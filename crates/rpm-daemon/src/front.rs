//! Fronts: for each app with `proxy`, or that shares ports by `least_conn`, a process of ours that
//! accepts its connections and passes them to its instances (`rpm-front`). It is the keeper's
//! child, so it outlives this daemon, and its listening sockets are the keeper's, so clients
//! outlive it: they wait in the queue until another front has taken the sockets over.
//!
//! Here is its life. How it is known again is in `identity.rs`, where one accepts that has no
//! `proxy` in `addresses.rs`, whom it passes connections to in `rotation.rs`, and how it is talked
//! with in `link.rs`.
//!
//! ```text
//! (none) ─first spawn─► Starting ─spawned─► Serving ─app at rest─► Ending ─exited─► (none)
//!                          ▲  └─refused─► (none)│ exited
//!                          └────now or later─ Down
//! ```

mod addresses;
mod adopt;
mod child;
mod identity;
mod link;
mod rotation;
mod view;

use crate::{
    clock, diagnose, engine::Engine, inbox::Message, keeper_events::worker_of, launch::Seat,
    tree::SIGKILL,
};
use identity::{MARK, shared_addresses};
use link::Link;
use rotation::Rotation;
use rpm_config::{AppName, Proxy};
use rpm_keeper::{Child, ChildId, ExitStatus, Request, SpawnStage};
use rpm_supervisor::{App, Event, Moment, State};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    time::Duration,
};

pub(crate) use child::taken_address;
pub(crate) use identity::{FrontEntry, is_front, owner};
pub(crate) use link::Said;

/// A front that lived shorter than this is not replaced at once: a fault that ends each of them
/// must not keep the machine busy.
const RESPAWN_DELAY: Duration = Duration::from_secs(1);

/// All fronts, by app.
#[derive(Default)]
pub(crate) struct Fronts {
    all: BTreeMap<AppName, Front>,
    /// Those that accept no more and end with their last connection.
    leaving: BTreeMap<ChildId, Leaving>,
    /// Those that were asked how they stand and have not said it.
    asked: BTreeSet<ChildId>,
    last_id: u64,
}

/// A front that ends by itself. Its link is kept so that it hears what it was told.
struct Leaving {
    app: AppName,
    pid: i32,
    _link: Option<Link>,
}

/// One app's front.
pub(crate) struct Front {
    child: ChildId,
    /// What it was started with.
    proxy: Proxy,
    since: Moment,
    phase: Phase,
    /// Workers that are spawned once its addresses are bound.
    waiting: Vec<Seat>,
    pub(crate) rotation: Rotation,
}

/// Where it stands.
enum Phase {
    /// Asked for.
    Starting,
    /// It runs.
    Serving(Running),
    /// Killed, because its app rests.
    Ending,
    /// It died; another one comes.
    Down,
}

struct Running {
    pid: i32,
    start_time: u64,
    pidfd: OwnedFd,
    link: Link,
}

impl Fronts {
    /// Whether there is none, not even one that is about to end.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// An app's front.
    pub(crate) fn get(&self, app: &AppName) -> Option<&Front> {
        self.all.get(app)
    }

    /// The processes of all that run.
    pub(crate) fn pids(&self) -> impl Iterator<Item = i32> {
        let serving = self.all.values().filter_map(Front::running).map(|running| running.pid);
        serving.chain(self.leaving.values().map(|leaving| leaving.pid))
    }

    /// Those that serve, for the ledger.
    pub(crate) fn serving(
        &self,
        specs: &crate::targets::Specs,
    ) -> impl Iterator<Item = FrontEntry> {
        self.all.iter().filter_map(|(app, front)| {
            let Running { pid, start_time, .. } = front.running()?;
            let listen = shared_addresses(specs.get(app), &front.proxy);
            let (app, child) = (app.clone(), front.child.0);
            Some(FrontEntry { app, child, pid: *pid, start_time: *start_time, listen })
        })
    }

    /// Whether an app's front runs another program than we do: it is older than an update.
    pub(crate) fn is_of_another_program(&self, app: &AppName) -> bool {
        self.all.get(app).is_some_and(Front::is_of_another_program)
    }

    fn app_of(&self, child: ChildId) -> Option<AppName> {
        self.all.iter().find(|(_, front)| front.child == child).map(|(app, _)| app.clone())
    }

    /// An id that no front before had, of this daemon or another one since the machine started.
    fn new_id(&mut self) -> ChildId {
        self.last_id = clock::now().0.max(self.last_id + 1);
        ChildId(MARK | self.last_id)
    }
}

impl Front {
    fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Serving(running) => Some(running),
            Phase::Starting | Phase::Ending | Phase::Down => None,
        }
    }

    fn is_of_another_program(&self) -> bool {
        self.running().is_some_and(|running| identity::is_of_another_program(running.pid))
    }
}

/// Nothing of it runs, and nothing will without a request.
fn is_at_rest(app: &App) -> bool {
    let rests = |state: &State| matches!(state, State::Stopped | State::Errored);
    app.instances.values().all(|one| rests(&one.state) && one.leaving.is_empty())
}

impl Engine {
    /// Whether a worker must wait for its app's front; it is spawned as soon as that has bound its
    /// addresses, so that no instance runs that no client can reach.
    pub(crate) fn waits_for_front(&mut self, app: &AppName, seat: Seat) -> bool {
        let Some(spec) = self.specs.get(app) else { return false };
        if let Some(proxy) = spec.proxy.clone()
            && !self.fronts.all.contains_key(app)
        {
            self.start_front(app, proxy);
        }
        let Some(front) = self.fronts.all.get_mut(app) else { return false };
        match front.phase {
            // Its addresses are released when it has ended.
            Phase::Ending => front.waiting.push(seat),
            Phase::Starting if self.specs.get(app).is_some_and(|spec| spec.proxy.is_some()) => {
                front.waiting.push(seat);
            }
            Phase::Starting | Phase::Serving(_) | Phase::Down => return false,
        }
        true
    }

    /// Asks the keeper for a front in place of any former one.
    fn start_front(&mut self, app: &AppName, proxy: Proxy) {
        let child = self.fronts.new_id();
        let former = self.fronts.all.remove(app);
        let waiting = former.map(|front| front.waiting).unwrap_or_default();
        let front = Front {
            child,
            since: clock::now(),
            phase: Phase::Starting,
            waiting,
            rotation: Rotation::default(),
            proxy: proxy.clone(),
        };
        self.fronts.all.insert(app.clone(), front);
        let listen = shared_addresses(self.specs.get(app), &proxy);
        match child::request(child, &self.places, app, &proxy, listen) {
            Ok(request) => self.keeper.send(request),
            Err(reason) => self.front_failed(app, &reason),
        }
    }

    /// A front was executed, or found by a new daemon.
    pub(crate) fn on_front_spawned(&mut self, child: Child) {
        let Some(app) = self.fronts.app_of(child.child) else {
            // Another one was wanted before this one ran.
            return kill(&child.pidfd);
        };
        let sender = self.inbox.sender();
        let link = child.channel.and_then(|fd| Link::start(child.child, fd, sender).ok());
        child::relay_output(&app, [child.stdout, child.stderr]);
        let Some(front) = self.fronts.all.get_mut(&app) else { return };
        match (&front.phase, link) {
            (Phase::Starting | Phase::Down, Some(link)) => {
                let Child { pid, start_time, pidfd, .. } = child;
                let running = Running { pid, start_time, pidfd, link };
                front.phase = Phase::Serving(running);
            }
            // Its app came to rest before it ran, or it cannot be talked with.
            (Phase::Ending | Phase::Serving(_), _) | (_, None) => kill(&child.pidfd),
        }
        tracing::info!(%app, pid = child.pid, "front ready");
        self.ledger.touch();
        self.rotate(&app);
        self.spawn_waiting(&app);
    }

    fn spawn_waiting(&mut self, app: &AppName) {
        let Some(front) = self.fronts.all.get_mut(app) else { return };
        for seat in std::mem::take(&mut front.waiting) {
            // It may have been told to stop meanwhile.
            if self.fleet.worker(seat.worker).is_some() {
                self.spawn_now(app.clone(), seat);
            }
        }
    }

    /// A front could not be executed; most likely somebody has its address.
    pub(crate) fn on_front_not_spawned(&mut self, child: ChildId, stage: SpawnStage, errno: i32) {
        let Some(app) = self.fronts.app_of(child) else { return };
        let refused = self.troubles.of(worker_of(child)).filter(|_| stage == SpawnStage::Listen);
        let reason = refused
            .unwrap_or_else(|| format!("its front cannot be started: {}", diagnose::system(errno)));
        self.front_failed(&app, &reason);
    }

    fn front_failed(&mut self, app: &AppName, reason: &str) {
        let Some(front) = self.fronts.all.get_mut(app) else { return };
        let waiting = std::mem::take(&mut front.waiting);
        tracing::error!(%app, "no front: {reason}");
        if waiting.is_empty() && matches!(front.phase, Phase::Starting) {
            front.phase = Phase::Down;
            return self.respawn_later(app.clone());
        }
        let reason = reason.to_owned();
        let rotation = self.fronts.all.remove(app).map(|front| front.rotation);
        self.go_on_without(rotation.unwrap_or_default());
        for seat in waiting {
            self.queue
                .push_back(Event::SpawnFailed { worker: seat.worker, reason: reason.clone() });
        }
    }

    /// A front ended.
    pub(crate) fn on_front_exited(&mut self, child: ChildId, status: ExitStatus) {
        self.acknowledge_front(child);
        self.front_answered(child);
        if let Some(Leaving { app, .. }) = self.fronts.leaving.remove(&child) {
            if !self.fronts.all.contains_key(&app) {
                self.release_front(&app);
            }
            return tracing::info!(%app, "a former front has ended");
        }
        let Some(app) = self.fronts.app_of(child) else { return };
        let Some(front) = self.fronts.all.get_mut(&app) else { return };
        let rotation = std::mem::take(&mut front.rotation);
        let age = clock::now().since(front.since);
        if matches!(front.phase, Phase::Ending) {
            self.front_ended(&app);
        } else {
            tracing::error!(%app, ?status, "its front died; another one takes over");
            front.phase = Phase::Down;
            if age < RESPAWN_DELAY {
                self.respawn_later(app);
            } else {
                self.respawn_front(&app);
            }
        }
        self.go_on_without(rotation);
    }

    fn front_ended(&mut self, app: &AppName) {
        self.keeper.send(Request::Release { owner: owner(app) });
        let waiting = self.fronts.all.remove(app).map(|front| front.waiting).unwrap_or_default();
        for seat in waiting {
            if !self.waits_for_front(app, seat) {
                self.spawn_now(app.clone(), seat);
            }
        }
    }

    /// Nothing of a front is served any more.
    fn release_front(&mut self, app: &AppName) {
        self.replies.hold_back();
        self.keeper.send(Request::Release { owner: owner(app) });
    }

    fn respawn_later(&self, app: AppName) {
        let sender = self.inbox.sender();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(RESPAWN_DELAY).await;
            let _ = sender.send(Message::FrontDue { app }).await;
        });
    }

    /// Starts another front where one is missing.
    pub(crate) fn respawn_front(&mut self, app: &AppName) {
        let is_down = |front: &Front| matches!(front.phase, Phase::Down);
        if !self.fronts.all.get(app).is_none_or(is_down) {
            return;
        }
        match self.wanted_proxy(app) {
            Some(proxy) => self.start_front(app, proxy),
            None => drop(self.fronts.all.remove(app)),
        }
    }

    fn acknowledge_front(&mut self, child: ChildId) {
        self.keeper.send(Request::Acknowledge { child });
    }

    /// Ends an app's front if nothing of the app runs any more: its addresses are free then.
    pub(crate) fn end_idle_front(&mut self, app: &AppName) {
        if !self.fleet.apps.get(app).is_none_or(is_at_rest) {
            return;
        }
        let Some(front) = self.fronts.all.get_mut(app) else { return };
        if matches!(front.phase, Phase::Ending) {
            return;
        }
        // Who asked for the stop is answered when the addresses are free.
        self.replies.hold_back();
        match std::mem::replace(&mut front.phase, Phase::Ending) {
            // No instance is left that could still be served.
            Phase::Serving(running) => kill(&running.pidfd),
            Phase::Down => self.front_ended(app),
            Phase::Starting | Phase::Ending => {}
        }
    }

    /// An app has a new description, or its workers other addresses: where its `proxy` is another
    /// one, a new front takes over. The old one accepts no more and ends with its last connection.
    pub(crate) fn renew_front(&mut self, app: &AppName) {
        let wanted = self.wanted_proxy(app);
        if self.fronts.all.get(app).is_some_and(|front| wanted.as_ref() != Some(&front.proxy)) {
            self.replace_front(app, wanted);
        }
    }

    /// Its app is reloaded: a front of another rpm is replaced with the workers behind it.
    pub(crate) fn renew_old_front(&mut self, app: &AppName) {
        if self.fronts.is_of_another_program(app) {
            self.replace_front(app, self.wanted_proxy(app));
        }
    }

    fn replace_front(&mut self, app: &AppName, wanted: Option<Proxy>) {
        let Some(front) = self.fronts.all.get(app) else { return };
        if matches!(front.phase, Phase::Ending) {
            return;
        }
        let kept = child::addresses(wanted.as_ref());
        let dropped = child::addresses(Some(&front.proxy));
        let Some(mut front) = self.fronts.all.remove(app) else { return };
        for address in dropped.into_iter().filter(|address| !kept.contains(address)) {
            self.keeper.send(Request::Close { owner: owner(app), address });
        }
        if let Phase::Serving(running) = front.phase {
            running.link.say(link::DRAIN.to_owned());
            let (app, pid) = (app.clone(), running.pid);
            let leaving = Leaving { app, pid, _link: Some(running.link) };
            self.fronts.leaving.insert(front.child, leaving);
        }
        let rotation = std::mem::take(&mut front.rotation);
        if let Some(proxy) = wanted {
            self.start_front(app, proxy);
            if let Some(new) = self.fronts.all.get_mut(app) {
                new.waiting = front.waiting;
            }
        }
        self.go_on_without(rotation);
    }
}

/// A front that has gone already needs no signal.
fn kill(pidfd: &OwnedFd) {
    let _ = rpm_unix::pidfd::send_signal(pidfd, SIGKILL);
}

//! Performs the supervisor's effects: each becomes a request to the keeper, signals, a line to a
//! worker, or an answer to a client.

use crate::{
    activation,
    engine::Engine,
    launch::{self, Seat},
    log_files,
    stamp::Stamp,
    store,
    tree::{self, own_pid},
    worker::Worker,
};
use rpm_config::{AppName, AppSpec};
use rpm_keeper::{ChildId, Owner, Request};
use rpm_protocol::Offers;
use rpm_supervisor::{Effect, Event, InstanceId, WorkerId};
use rpm_unix::procfs::{self, Process};
use std::{os::fd::OwnedFd, sync::Arc};

impl Engine {
    /// Performs one effect. What fails becomes an event, never an error of the engine.
    pub(crate) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { worker, app, instance, slot } => {
                let seat = Seat { instance, slot, worker };
                if !self.waits_for_front(&app, seat) {
                    self.spawn_now(app, seat);
                }
            }
            Effect::Drain { worker } => self.drain(worker),
            Effect::Stop { worker } => self.stop(worker),
            Effect::Kill { worker } => self.kill_worker(worker),
            Effect::Release { app, slot } => {
                self.replies.hold_back();
                let owner = Owner { app: app.to_string(), slot };
                self.keeper.send(Request::Release { owner });
                self.end_idle_front(&app);
            }
            Effect::Forget { app } => self.forget(&app),
            Effect::Answer { ticket, answer } => self.on_answer(ticket, answer),
            Effect::Notice(notice) => {
                tracing::info!(app = %notice.app, id = %notice.instance, "{:?}", notice.kind);
                if matches!(notice.kind, rpm_supervisor::NoticeKind::Deleted) {
                    self.forget_instance(notice.instance);
                }
                self.tell_hooks(&notice);
                self.events.push(notice);
            }
        }
    }

    /// Has the keeper execute a worker.
    pub(crate) fn spawn_now(&mut self, app: AppName, seat: Seat) {
        let worker = seat.worker;
        let Some(spec) = self.specs.get(&app).cloned() else {
            let reason = format!("the description of {app} is lost");
            return self.queue.push_back(Event::SpawnFailed { worker, reason });
        };
        let label = store::Label { app, instance: seat.instance, slot: seat.slot };
        let request = self.has_room().and_then(|()| self.spawn_request(&spec, seat, &label));
        match request {
            Ok(request) => {
                let record = self.new_record(&spec, seat);
                self.workers.insert(worker, Worker { label, record, process: None });
                self.keeper.send(request);
            }
            Err(reason) => self.queue.push_back(Event::SpawnFailed { worker, reason }),
        }
    }

    fn spawn_request(
        &self,
        spec: &AppSpec,
        seat: Seat,
        label: &store::Label,
    ) -> Result<Request, String> {
        let spec = launch::spawn_spec(spec, &self.places, seat)?;
        let label = serde_json::to_vec(label).map_err(|error| error.to_string())?;
        let memory: OwnedFd =
            spec.seal().map_err(|error| format!("out of memory files: {error}"))?;
        Ok(Request::Spawn { child: ChildId(seat.worker.0), label, spec: memory })
    }

    fn new_record(&self, spec: &AppSpec, seat: Seat) -> store::WorkerRecord {
        let (_, error) = log_files::paths(&self.home, spec, seat.instance, seat.slot);
        store::WorkerRecord {
            started_at: crate::clock::epoch_millis(),
            error_mark: error
                .and_then(|path| crate::disk::look(move || log_files::Mark::end_of(&path)))
                .unwrap_or_default(),
            listening: activation::texts(spec),
            offers: Offers::default(),
            version: None,
            asked: Default::default(),
            private: Default::default(),
            unenforced: None,
            stamp: Some(Stamp::of(spec, &self.places)),
            lost: None,
        }
    }

    fn drain(&mut self, worker: WorkerId) {
        if !self.leaves_rotation_before_drain(worker) {
            self.drain_beside(worker);
        }
    }

    /// Drains a worker that no front passes new connections to, once it has accepted what it was
    /// meant to.
    pub(crate) fn drain_beside(&mut self, worker: WorkerId) {
        if !self.retires_before_drain(worker) && !self.relieves_before_drain(worker) {
            self.drain_now(worker);
        }
    }

    fn stop(&mut self, worker: WorkerId) {
        if !self.leaves_rotation_before_stop(worker) {
            self.stop_beside(worker);
        }
    }

    /// The same for a stop.
    pub(crate) fn stop_beside(&mut self, worker: WorkerId) {
        if !self.retires_before_stop(worker) {
            self.stop_now(worker);
        }
    }

    /// Asks a worker to finish what it has. A program without our preload is asked by its stop
    /// signal, and has as long: it is over when its last process is.
    pub(crate) fn drain_now(&mut self, worker: WorkerId) {
        if self.workers.process(worker).is_none() {
            return self.queue.push_back(Event::Drained { worker });
        }
        if !self.ask_to_drain(worker) {
            self.stop_now(worker);
        }
    }

    /// Asks a worker's preload to finish what it has; false: there is none.
    pub(crate) fn ask_to_drain(&self, worker: WorkerId) -> bool {
        let Some(process) = self.workers.process(worker) else { return false };
        let preloaded = self.spec_of(worker).is_some_and(|spec| launch::wants_preload(&spec));
        let by_channel = preloaded && process.channel.as_ref().is_some_and(|c| c.drain());
        by_channel || self.control.drain(worker)
    }

    /// Sends the stop signal, or PM2's `shutdown` message, to a worker's tree.
    pub(crate) fn stop_now(&mut self, worker: WorkerId) {
        let Some(spec) = self.spec_of(worker) else { return };
        let process = self.workers.process(worker);
        let channel = process.and_then(|p| p.channel.as_ref());
        if spec.stop.with_message && channel.is_some_and(|one| one.tell(&"shutdown".into())) {
            return;
        }
        tree::signal_all(&self.to_end(worker), spec.stop.signal);
    }

    fn kill_worker(&mut self, worker: WorkerId) {
        match self.workers.process(worker) {
            Some(process) if self.ends_tree(worker) => {
                tree::kill(&process.leader, &self.tree_of(worker));
            }
            Some(_) | None => drop(tree::signal_all(&self.to_end(worker), tree::SIGKILL)),
        }
    }

    /// What of a worker is to be ended, and waited for: its tree; without `treekill` its leader,
    /// and what that has started goes on.
    pub(crate) fn to_end(&self, worker: WorkerId) -> Vec<Process> {
        if self.ends_tree(worker) {
            return self.tree_of(worker);
        }
        let leader = self.workers.process(worker).and_then(|process| process.leader.alive());
        leader.into_iter().collect()
    }

    fn ends_tree(&self, worker: WorkerId) -> bool {
        self.spec_of(worker).is_none_or(|spec| spec.stop.tree)
    }

    /// The living processes of a worker's tree.
    pub(crate) fn tree_of(&self, worker: WorkerId) -> Vec<Process> {
        let Some(process) = self.workers.process(worker) else { return Vec::new() };
        let orphans = self.looked.of(&process.leader, &self.orphans());
        tree::members(&process.leader, &orphans)
    }

    /// The keeper's children that are neither a leader nor this daemon.
    pub(crate) fn orphans(&self) -> Vec<i32> {
        let parents = self.parents_of_orphans();
        let mut orphans: Vec<i32> =
            parents.iter().flat_map(|parent| procfs::children_of(*parent)).collect();
        let known: std::collections::BTreeSet<i32> = self
            .workers
            .iter()
            .filter_map(|(_, worker)| worker.process.as_ref().map(|p| p.leader.pid))
            .chain(self.fronts.pids())
            .chain([own_pid(), self.succession.keeper()])
            .collect();
        orphans.retain(|pid| !known.contains(pid));
        orphans
    }

    /// The description a worker was started from, or its app's present one.
    pub(crate) fn spec_of(&self, worker: WorkerId) -> Option<Arc<AppSpec>> {
        self.specs.get(&self.workers.get(worker)?.label.app).cloned()
    }

    fn forget(&mut self, app: &AppName) {
        self.specs.remove(app);
        self.versions.forget(app);
        self.stamps.remove(app);
        self.ledger.touch_specs();
        self.tend();
        self.end_idle_front(app);
        self.keeper.send(Request::Drop { name: store::spec_name(app) });
        self.listeners.forget(app);
        self.sharing.forget(app);
        self.hooks.forget(app);
    }

    fn forget_instance(&mut self, instance: InstanceId) {
        self.dirty.exits |= self.exits.remove(&instance).is_some();
    }
}

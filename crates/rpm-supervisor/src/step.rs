//! `Fleet::step`: one exhaustive look at the event, then the consequences it has for the rest of
//! the fleet.

use crate::{
    App, Effect, Event, Exit, Fleet, Goal, Instance, Moment, NoticeKind, Role, State, WorkerId,
    turn::{NewsKind, Seat, Target, Turn},
};
use rpm_config::AppName;

/// A tick acts again on what its own acts made due (zero timeouts), but only so often; the rest
/// is due at once, as [`Fleet::deadline`] then says.
const TICK_ROUNDS: usize = 64;

impl Fleet {
    /// Takes one event into account. The effects are to be performed in order; an event that has
    /// none, such as one about a worker that nobody knows, changes nothing.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut turn = Turn::new(now, self.next_worker);
        let turn_ = &mut turn;
        match event {
            Event::Command { ticket, command } => self.command(ticket, command, turn_),
            Event::Spawned { worker } => self.at(worker, turn_, |instance, _, seat, turn| {
                turn.notice(seat.app, instance.id, NoticeKind::Starting);
            }),
            Event::SpawnFailed { worker, reason } => {
                self.at(worker, turn_, |instance, role, seat, turn| match role {
                    Role::Current => instance.current_not_spawned(reason, seat, turn),
                    Role::Replacement => instance.replacement_not_spawned(reason, seat, turn),
                    Role::Leaving => instance.leaving_gone(worker, seat, turn),
                });
            }
            Event::Ready { worker, listening } => self.ready(worker, listening, turn_),
            Event::Exited { worker, exit } => self.exited(worker, exit, turn_),
            Event::TreeGone { worker } => self.tree_gone(worker, turn_),
            Event::Drained { worker } => {
                self.at(worker, turn_, |instance, role, seat, turn| match role {
                    Role::Leaving => instance.leaving_drained(worker, seat, turn),
                    Role::Current | Role::Replacement => {}
                });
            }
            Event::MemoryExceeded { worker, bytes } => self.memory_exceeded(worker, bytes, turn_),
            Event::Tick => self.tick(turn_),
        }
        self.finish(turn)
    }

    /// Settles all consequences of a turn.
    pub(crate) fn finish(&mut self, mut turn: Turn) -> Vec<Effect> {
        self.digest(&mut turn);
        self.answer_settled(&mut turn);
        self.next_worker = turn.next_worker();
        turn.effects
    }

    /// Lets `act` change one instance.
    pub(crate) fn act(
        &mut self,
        target: &Target,
        turn: &mut Turn,
        act: impl FnOnce(&mut Instance, &Seat<'_>, &mut Turn),
    ) {
        let Some(app) = self.apps.get_mut(&target.app) else { return };
        let App { policy, instances, listens, .. } = app;
        let found = instances.get_mut(&target.slot).filter(|found| found.id == target.id);
        let Some(instance) = found else { return };
        let seat = Seat { app: &target.app, slot: target.slot, policy, listens: *listens };
        act(instance, &seat, turn);
        turn.touched.insert(target.clone());
    }

    pub(crate) fn exited(&mut self, worker: WorkerId, exit: Exit, turn: &mut Turn) {
        self.at(worker, turn, |instance, role, seat, turn| match role {
            Role::Current => instance.current_exited(exit, seat, turn),
            Role::Replacement => instance.replacement_exited(exit, seat, turn),
            Role::Leaving => instance.leaving_exited(exit, seat, turn),
        });
    }

    pub(crate) fn tree_gone(&mut self, worker: WorkerId, turn: &mut Turn) {
        self.at(worker, turn, |instance, role, seat, turn| match role {
            Role::Current => instance.current_gone(seat, turn),
            Role::Replacement => {
                instance.replacement_exited(Exit::Unknown, seat, turn);
                instance.leaving_gone(worker, seat, turn);
            }
            Role::Leaving => instance.leaving_gone(worker, seat, turn),
        });
    }

    pub(crate) fn locate(&self, worker: WorkerId) -> Option<(Target, Role)> {
        let place = self.worker(worker)?;
        let target = Target { app: place.app.clone(), slot: place.slot, id: place.instance };
        Some((target, place.role))
    }

    fn ready(&mut self, worker: WorkerId, listening: bool, turn: &mut Turn) {
        let Some((target, role)) = self.locate(worker) else { return };
        if let Some(app) = self.apps.get_mut(&target.app) {
            app.listens |= listening;
        }
        self.act(&target, turn, |instance, seat, turn| match role {
            Role::Current => instance.current_ready(seat, turn),
            Role::Replacement => instance.replacement_ready(seat, turn),
            Role::Leaving => {}
        });
    }

    fn tick(&mut self, turn: &mut Turn) {
        for _ in 0..TICK_ROUNDS {
            let is_due = |instance: &Instance| instance.deadline().is_some_and(|at| at <= turn.now);
            let due: Vec<_> = self.targets_where(is_due);
            if due.is_empty() {
                return;
            }
            for target in &due {
                self.act(target, turn, |instance, seat, turn| {
                    instance.current_due(seat, turn);
                    instance.replacement_due(seat, turn);
                    instance.leaving_due(seat, turn);
                });
            }
            self.digest(turn);
        }
    }

    /// Tells rolls and requests of failures, removes what is gone, and lets rolls advance.
    fn digest(&mut self, turn: &mut Turn) {
        for news in std::mem::take(&mut turn.news) {
            let target = &news.target;
            match news.kind {
                NewsKind::Failed(failure) => {
                    self.fail_goal(Goal::Up, &failure);
                    self.fail_roll(target, failure, turn);
                }
                NewsKind::Finished => {
                    self.settle_goal(Goal::Up, target.id);
                    self.roll_past(target);
                }
                NewsKind::ReplacementFailed(failure) => self.fail_roll(target, failure, turn),
            }
        }
        let touched: Vec<_> = turn.touched.iter().cloned().collect();
        for target in &touched {
            self.remove_if_gone(target, turn);
        }
        let mut apps: Vec<_> = touched.into_iter().map(|target| target.app).collect();
        apps.dedup();
        for app in &apps {
            self.advance(app, turn);
        }
    }

    /// Takes a removed instance out of the fleet once its last worker is gone, and its app with it
    /// if that was the last.
    fn remove_if_gone(&mut self, target: &Target, turn: &mut Turn) {
        let Some(app) = self.apps.get_mut(&target.app) else { return };
        let gone = |found: &Instance| {
            found.id == target.id && found.state == State::Removing && found.leaving.is_empty()
        };
        if !app.instances.get(&target.slot).is_some_and(gone) {
            return;
        }
        app.instances.remove(&target.slot);
        turn.push(Effect::Release { app: target.app.clone(), slot: target.slot });
        turn.notice(&target.app, target.id, NoticeKind::Deleted);
        if app.instances.is_empty() {
            self.apps.remove(&target.app);
            turn.push(Effect::Forget { app: target.app.clone() });
        }
        if self.apps.is_empty() {
            self.next_instance = 0;
        }
    }

    fn at(
        &mut self,
        worker: WorkerId,
        turn: &mut Turn,
        act: impl FnOnce(&mut Instance, Role, &Seat<'_>, &mut Turn),
    ) {
        if let Some((target, role)) = self.locate(worker) {
            self.act(&target, turn, |instance, seat, turn| act(instance, role, seat, turn));
        }
    }

    fn targets_where(&self, wanted: impl Fn(&Instance) -> bool) -> Vec<Target> {
        let target = |app: &AppName, slot, id| Target { app: app.clone(), slot, id };
        let wanted = self.seated().filter(|(_, _, instance)| wanted(instance));
        wanted.map(|(app, slot, instance)| target(app, slot, instance.id)).collect()
    }
}

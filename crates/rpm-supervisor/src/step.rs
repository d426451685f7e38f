//! `Fleet::step`: one exhaustive look at the event. What follows from it for the rest of the fleet
//! is in `consequence.rs`.

use crate::{
    App, Effect, Event, Exit, Fleet, Instance, Moment, NoticeKind, Role, WorkerId,
    turn::{Seat, Target, Turn},
};
use rpm_config::AppName;

/// A tick acts again on what its own acts made due (zero timeouts), but only so often; the rest
/// is due at once, as [`Fleet::deadline`] then says.
const TICK_ROUNDS: usize = 64;

impl Fleet {
    /// Takes one event into account. The effects are to be performed in order. An event about a
    /// worker that nobody knows has none and changes nothing.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut turn = Turn::new(now, self.next_worker);
        self.dispatch(event, &mut turn);
        self.finish(turn)
    }

    fn dispatch(&mut self, event: Event, turn: &mut Turn) {
        match event {
            Event::Command { ticket, command } => self.command(ticket, command, turn),
            Event::Spawned { worker } => self.at(worker, turn, |instance, _, seat, turn| {
                turn.notice(seat.app, instance.id, NoticeKind::Starting);
            }),
            Event::SpawnFailed { worker, reason } => {
                self.at(worker, turn, |instance, role, seat, turn| match role {
                    Role::Current => instance.current_not_spawned(reason, seat, turn),
                    Role::Replacement => instance.replacement_not_spawned(reason, seat, turn),
                    Role::Leaving => instance.leaving_gone(worker, seat, turn),
                });
            }
            Event::Ready { worker, listening } => self.ready(worker, listening, turn),
            Event::Exited { worker, exit } => self.exited(worker, exit, turn),
            Event::TreeGone { worker } => self.tree_gone(worker, turn),
            Event::Drained { worker } => {
                self.at(worker, turn, |instance, role, seat, turn| match role {
                    Role::Leaving => instance.leaving_drained(worker, seat, turn),
                    Role::Current => instance.current_drained(seat, turn),
                    Role::Replacement => {}
                });
            }
            Event::MemoryExceeded { worker, bytes } => {
                self.replace_online(worker, NoticeKind::MemoryExceeded { bytes }, turn);
            }
            Event::Unhealthy { worker, reason } => {
                self.replace_online(worker, NoticeKind::Unhealthy { reason }, turn);
            }
            Event::Tick => self.tick(turn),
        }
    }

    /// Lets `act` change one instance.
    pub(crate) fn act(
        &mut self,
        target: &Target,
        turn: &mut Turn,
        act: impl FnOnce(&mut Instance, &Seat<'_>, &mut Turn),
    ) {
        let awaited = self.awaited_by(&target.app);
        let Some(app) = self.apps.get_mut(&target.app) else { return };
        let App { policy, instances, listens, .. } = app;
        let found = instances.get_mut(&target.slot).filter(|found| found.id == target.id);
        let Some(instance) = found else { return };
        let (slot, listens) = (target.slot, *listens);
        let seat = Seat { app: &target.app, slot, policy, listens, awaited: &awaited };
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

    pub(crate) fn targets_where(&self, wanted: impl Fn(&Instance) -> bool) -> Vec<Target> {
        let target = |app: &AppName, slot, id| Target { app: app.clone(), slot, id };
        let wanted = self.seated().filter(|(_, _, instance)| wanted(instance));
        wanted.map(|(app, slot, instance)| target(app, slot, instance.id)).collect()
    }
}

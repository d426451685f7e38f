//! A new daemon takes over: the state says what should run, the keeper what does.

use crate::{
    Effect, Exit, Fleet, Instance, LeavingPhase, Moment, Role, State, WorkerId,
    turn::{Seat, Turn},
};
use std::collections::BTreeSet;

impl Fleet {
    /// Brings a state that an earlier daemon wrote in line with the workers that exist, and
    /// continues what was under way. `alive` are those the keeper holds, be it only for their exit
    /// status. The clients of that daemon are gone, so their requests go unanswered.
    ///
    /// What may have been lost with it is asked for again: a spawn, a drain, a kill. Not a stop: a
    /// second signal makes many programs give up at once, and the kill comes in time anyway.
    pub fn recover(&mut self, alive: &BTreeSet<WorkerId>, now: Moment) -> Vec<Effect> {
        let mut turn = Turn::new(now, self.next_worker);
        self.forget_clients();
        for worker in self.all_workers() {
            if alive.contains(&worker) {
                self.remind(worker, &mut turn);
            } else {
                self.miss(worker, &mut turn);
            }
        }
        self.finish(turn)
    }

    fn forget_clients(&mut self) {
        self.pending.clear();
        for app in self.apps.values_mut() {
            app.roll.iter_mut().chain(&mut app.queued).for_each(|roll| roll.tickets.clear());
        }
    }

    fn all_workers(&self) -> Vec<WorkerId> {
        let workers = |instance: &Instance| instance.workers().map(|(worker, _)| worker).collect();
        self.seated().flat_map(|(_, _, instance)| -> Vec<_> { workers(instance) }).collect()
    }

    fn remind(&mut self, worker: WorkerId, turn: &mut Turn) {
        if let Some((target, _)) = self.locate(worker) {
            self.act(&target, turn, |instance, _, turn| instance.remind(worker, turn));
        }
    }

    /// Its spawn never reached the keeper, or its end never reached us.
    fn miss(&mut self, worker: WorkerId, turn: &mut Turn) {
        let Some((target, role)) = self.locate(worker) else { return };
        let mut spawned_again = false;
        self.act(&target, turn, |instance, seat, turn| {
            spawned_again = instance.spawn_missing(role, seat, turn);
        });
        if !spawned_again {
            self.exited(worker, Exit::Unknown, turn);
            self.tree_gone(worker, turn);
        }
    }
}

impl Instance {
    fn remind(&self, worker: WorkerId, turn: &mut Turn) {
        match &self.state {
            State::Stopping { worker: current, deadline: None, .. } if *current == worker => {
                turn.push(Effect::Kill { worker });
            }
            State::Draining { worker: current, .. } if *current == worker => {
                turn.push(Effect::Drain { worker });
            }
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored
            | State::Removing => {}
        }
        for leaving in self.leaving.iter().filter(|leaving| leaving.worker == worker) {
            match leaving.phase {
                LeavingPhase::Draining { .. } => turn.push(Effect::Drain { worker }),
                LeavingPhase::Stopping { .. } => {}
                LeavingPhase::Killed => turn.push(Effect::Kill { worker }),
            }
        }
    }

    /// Spawns a worker that was still launching, with all its patience; `false` for any other.
    fn spawn_missing(&mut self, role: Role, seat: &Seat<'_>, turn: &mut Turn) -> bool {
        let fresh = (turn.now, seat.ready_by(turn.now));
        let spawned = match (role, &mut self.state, &mut self.replacement) {
            (Role::Current, State::Launching { worker, since, deadline }, _) => {
                (*since, *deadline) = fresh;
                *worker
            }
            (Role::Replacement, _, Some(replacement)) => {
                (replacement.since, replacement.deadline) = fresh;
                replacement.worker
            }
            (Role::Current | Role::Replacement | Role::Leaving, _, _) => return false,
        };
        turn.spawn_again(seat, self.id, spawned);
        true
    }
}

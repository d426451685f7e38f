//! Requests that wait: each accepted one is answered exactly once, when its instances have settled.

use crate::{
    Answer, App, Cause, Failure, Fleet, Goal, Instance, InstanceId, Pending, State, Ticket,
    turn::{Target, Turn},
};

/// So many requests may wait for one instance; more are denied.
pub const MAX_WAITING: usize = 64;

impl Fleet {
    /// Accepts a request: it is answered when all of `targets` have reached `goal`.
    pub(crate) fn await_goal(
        &mut self,
        ticket: Ticket,
        goal: Goal,
        targets: &[Target],
        turn: &mut Turn,
    ) {
        let touched: Vec<_> = targets.iter().map(|target| target.id).collect();
        let waiting = touched.iter().copied().collect();
        self.pending.push(Pending { ticket, goal, waiting, touched, failure: None });
        // What is there already counts too.
        turn.touched.extend(targets.iter().cloned());
    }

    /// So many requests wait for `id`.
    pub(crate) fn waiting_for(&self, id: InstanceId) -> usize {
        self.pending.iter().filter(|pending| pending.waiting.contains(&id)).count()
    }

    /// Whoever waits for `goal` of the failure's instance learns of it.
    pub(crate) fn fail_goal(&mut self, goal: Goal, failure: &Failure) {
        for pending in self.pending.iter_mut().filter(|pending| pending.goal == goal) {
            pending.fail(&[failure.instance], failure);
        }
    }

    /// Another request takes the instance away from whoever waits for `goal` of it.
    pub(crate) fn supersede(&mut self, goal: Goal, target: &Target) {
        let failure = self.superseded(target);
        self.fail_goal(goal, &failure);
    }

    /// Whoever waits for `goal` of `id` need not any more.
    pub(crate) fn settle_goal(&mut self, goal: Goal, id: InstanceId) {
        for pending in self.pending.iter_mut().filter(|pending| pending.goal == goal) {
            pending.waiting.remove(&id);
        }
    }

    /// The roll of these requests has done `id`.
    pub(crate) fn settle_tickets(&mut self, tickets: &[Ticket], id: InstanceId) {
        for pending in self.holders(tickets) {
            pending.waiting.remove(&id);
        }
    }

    /// The roll of these requests ended before it had done `ids`.
    pub(crate) fn fail_tickets(&mut self, tickets: &[Ticket], ids: &[InstanceId], why: &Failure) {
        for pending in self.holders(tickets) {
            pending.fail(ids, why);
        }
    }

    /// The roll of these requests goes on without `target`; it fails if that was all it had.
    pub(crate) fn abandon_tickets(&mut self, tickets: &[Ticket], target: &Target) {
        let failure = self.superseded(target);
        for pending in self.holders(tickets) {
            pending.touched.retain(|id| *id != target.id);
            pending.waiting.remove(&target.id);
            if pending.touched.is_empty() {
                pending.failure.get_or_insert_with(|| failure.clone());
            }
        }
    }

    /// Looks what the touched instances have reached, and answers who waits for nothing any more.
    pub(crate) fn answer_settled(&mut self, turn: &mut Turn) {
        for target in std::mem::take(&mut turn.touched) {
            let instance = at(&self.apps, &target);
            // One whose turn to be halted has not come is not down.
            let stays = instance.is_some() && self.will_halt(target.id);
            let reached = |pending: &Pending| {
                let down = pending.goal == Goal::Down;
                pending.goal.is_reached(instance) && !(down && stays)
            };
            for pending in self.pending.iter_mut().filter(|pending| reached(pending)) {
                pending.waiting.remove(&target.id);
            }
        }
        for done in self.pending.extract_if(.., |pending| pending.waiting.is_empty()) {
            turn.answer(
                done.ticket,
                done.failure.map_or(Answer::Done(done.touched), Answer::Failed),
            );
        }
    }

    fn superseded(&self, target: &Target) -> Failure {
        let worker = at(&self.apps, target).and_then(Instance::current);
        Failure { instance: target.id, worker, cause: Cause::Superseded }
    }

    fn holders(&mut self, tickets: &[Ticket]) -> impl Iterator<Item = &mut Pending> {
        self.pending.iter_mut().filter(|pending| tickets.contains(&pending.ticket))
    }
}

impl Pending {
    fn fail(&mut self, ids: &[InstanceId], failure: &Failure) {
        let before = self.waiting.len();
        self.waiting.retain(|id| !ids.contains(id));
        if self.waiting.len() < before {
            self.failure.get_or_insert_with(|| failure.clone());
        }
    }
}

impl Goal {
    /// `instance` is where this goal wants it; `None`: it is out of the fleet.
    fn is_reached(self, instance: Option<&Instance>) -> bool {
        let Some(Instance { state, leaving, .. }) = instance else { return true };
        match self {
            Self::Up => matches!(state, State::Online { .. } | State::Stopped | State::Errored),
            Self::Down => {
                let ends = matches!(
                    state,
                    State::Draining { .. } | State::Stopping { .. } | State::Removing
                );
                !ends && leaving.is_empty()
            }
            Self::Removed | Self::Reloaded => false,
        }
    }
}

fn at<'a>(
    apps: &'a std::collections::BTreeMap<rpm_config::AppName, App>,
    target: &Target,
) -> Option<&'a Instance> {
    apps.get(&target.app)?.instances.get(&target.slot).filter(|found| found.id == target.id)
}

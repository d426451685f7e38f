//! What one call of `step` gathers: effects for the engine, news for rolls and waiting requests.

use crate::{
    Answer, Effect, Failure, Instance, InstanceId, Moment, Notice, NoticeKind, Policy, Ticket,
    WorkerId, ready,
};
use rpm_config::AppName;
use std::collections::BTreeSet;

/// One turn of the fleet.
pub(crate) struct Turn {
    pub(crate) now: Moment,
    pub(crate) effects: Vec<Effect>,
    /// Failures that rolls and waiting requests have not heard of yet, in order.
    pub(crate) news: Vec<News>,
    /// Instances that may have changed.
    pub(crate) touched: BTreeSet<Target>,
    next_worker: u64,
}

/// An instance by its place; a slot alone might have been given to another one meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) app: AppName,
    pub(crate) slot: u32,
    pub(crate) id: InstanceId,
}

/// A worker ended that should not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) target: Target,
    pub(crate) kind: NewsKind,
}

/// Which worker, and whether somebody minds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NewsKind {
    /// The current one.
    Failed(Failure),
    /// The current one, with code 0 in an app that need not stay: a one-shot script.
    Finished,
    /// The replacement; the current one is as it was.
    ReplacementFailed(Failure),
}

/// What an instance may know of its app.
pub(crate) struct Seat<'a> {
    pub(crate) app: &'a AppName,
    pub(crate) slot: u32,
    pub(crate) policy: &'a Policy,
    pub(crate) listens: bool,
    /// What its app depends on and what is not up.
    pub(crate) awaited: &'a [AppName],
}

impl Seat<'_> {
    /// When a worker spawned at `since` must be ready.
    pub(crate) fn ready_by(&self, since: Moment) -> Moment {
        ready::deadline(self.policy, self.listens, since)
    }

    /// What a missed [`Seat::ready_by`] means.
    pub(crate) fn verdict(&self, since: Moment, now: Moment) -> ready::Verdict {
        ready::verdict(self.policy, self.listens, since, now)
    }

    /// The place of `instance`, which sits here.
    pub(crate) fn target(&self, instance: &Instance) -> Target {
        Target { app: self.app.clone(), slot: self.slot, id: instance.id }
    }
}

impl Turn {
    pub(crate) fn new(now: Moment, next_worker: u64) -> Self {
        let (effects, news, touched) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { now, effects, news, touched, next_worker }
    }

    /// Spawns a new worker.
    pub(crate) fn spawn(&mut self, seat: &Seat<'_>, instance: InstanceId) -> WorkerId {
        let worker = WorkerId(self.next_worker);
        self.next_worker = self.next_worker.saturating_add(1);
        self.spawn_again(seat, instance, worker);
        worker
    }

    /// Spawns a worker that has its id already.
    pub(crate) fn spawn_again(&mut self, seat: &Seat<'_>, instance: InstanceId, worker: WorkerId) {
        let (app, slot) = (seat.app.clone(), seat.slot);
        self.effects.push(Effect::Spawn { worker, app, instance, slot });
    }

    pub(crate) fn next_worker(&self) -> u64 {
        self.next_worker
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.effects.push(Effect::Answer { ticket, answer });
    }

    pub(crate) fn notice(&mut self, app: &AppName, instance: InstanceId, kind: NoticeKind) {
        self.effects.push(Effect::Notice(Notice { app: app.clone(), instance, kind }));
    }
}

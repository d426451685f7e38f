//! Rolls: the slots of a reload in turn. One roll per app at a time; the first failure ends it.

use crate::{
    App, Failure, Fleet, Instance, InstanceId, NoticeKind, Role, Roll, State, Ticket, WorkerId,
    turn::{Target, Turn},
};
use rpm_config::AppName;

/// So many rolls of one app may wait for the one under way; a request beyond that is denied.
pub const MAX_QUEUED_ROLLS: usize = 8;

impl Fleet {
    /// A request for a roll of these slots could be taken.
    pub(crate) fn has_roll_room(&self, app: &AppName, slots: &[u32]) -> bool {
        self.apps.get(app).is_some_and(|app| {
            app.queued.len() < MAX_QUEUED_ROLLS || app.queued.iter().any(|roll| roll.awaits(slots))
        })
    }

    /// Adds a roll of these instances, or joins a queued one that covers them. It begins with the
    /// next [`Fleet::advance`].
    pub(crate) fn enqueue_roll(
        &mut self,
        app: &AppName,
        ticket: Option<Ticket>,
        targets: &[Target],
    ) {
        let Some(app) = self.apps.get_mut(app) else { return };
        let slots: Vec<_> = targets.iter().map(|target| target.slot).collect();
        if let Some(roll) = app.queued.iter_mut().find(|roll| roll.awaits(&slots)) {
            roll.tickets.extend(ticket);
            return;
        }
        app.queued.push_back(Roll {
            tickets: ticket.into_iter().collect(),
            waiting: slots.into(),
            active: Default::default(),
            touched: targets.iter().map(|target| target.id).collect(),
        });
    }

    /// Finishes slots that are done and begins others, roll after roll.
    pub(crate) fn advance(&mut self, name: &AppName, turn: &mut Turn) {
        // Each round but the last ends a roll, and there are at most so many and the current one.
        for _ in 0..=MAX_QUEUED_ROLLS + 1 {
            let Some(app) = self.apps.get_mut(name) else { return };
            if app.roll.is_none() {
                app.roll = app.queued.pop_front();
            }
            let Some((tickets, done)) = app.take_done() else { return };
            let begun = app.take_next(name);
            let (first, of) = app.roll.as_ref().map_or((0, 0), |roll| roll.progress(begun.len()));
            let overlap = app.policy.overlap;
            let ended = app.roll.take_if(|roll| roll.is_empty()).is_some();
            for id in done {
                turn.notice(name, id, NoticeKind::Reloaded);
                self.settle_tickets(&tickets, id);
            }
            for (nth, target) in (first..).zip(&begun) {
                turn.notice(name, target.id, NoticeKind::Reloading { nth, of, overlap });
                self.act(target, turn, Instance::reload);
            }
            if !ended {
                return;
            }
        }
    }

    /// Ends the roll that has `target` under way: its failure is everyone's. Replacements that are
    /// not ready yet go; whatever served before goes on.
    pub(crate) fn fail_roll(&mut self, target: &Target, failure: Failure, turn: &mut Turn) {
        let Some(app) = self.apps.get_mut(&target.app) else { return };
        let Some(roll) = app.roll.take_if(|roll| roll.active.contains(&target.slot)) else {
            return;
        };
        turn.notice(&target.app, target.id, NoticeKind::ReloadFailed);
        let active = app.targets(&target.app, &roll.active);
        let waiting = app.targets(&target.app, &roll.waiting);
        for target in &active {
            self.act(target, turn, Instance::dismiss_replacement);
        }
        let unfinished: Vec<_> = active.iter().chain(&waiting).map(|target| target.id).collect();
        self.fail_tickets(&roll.tickets, &unfinished, &failure);
    }

    /// The roll that has `target` under way need not wait for it any more.
    pub(crate) fn roll_past(&mut self, target: &Target) {
        let Some(app) = self.apps.get_mut(&target.app) else { return };
        let Some(roll) = &mut app.roll else { return };
        if roll.active.remove(&target.slot) {
            let tickets = roll.tickets.clone();
            self.settle_tickets(&tickets, target.id);
        }
    }

    /// Another request takes `target` out of all rolls; they go on with what they have left.
    pub(crate) fn leave_rolls(&mut self, target: &Target) {
        let Some(app) = self.apps.get_mut(&target.app) else { return };
        let mut tickets = Vec::new();
        for roll in app.roll.iter_mut().chain(&mut app.queued) {
            if roll.drop_slot(target) {
                tickets.extend(roll.tickets.iter().copied());
            }
        }
        app.queued.retain(|roll| !roll.is_empty());
        self.abandon_tickets(&tickets, target);
    }

    /// An online worker uses too much memory, or is ill: it is reloaded, unless that is coming
    /// already. The engine tells again while it lasts, so a full queue loses nothing.
    pub(crate) fn replace_online(&mut self, worker: WorkerId, why: NoticeKind, turn: &mut Turn) {
        let Some((target, Role::Current)) = self.locate(worker) else { return };
        let Some(app) = self.apps.get(&target.app) else { return };
        let online = |found: &Instance| matches!(found.state, State::Online { .. });
        let covered = app.roll.iter().chain(&app.queued).any(|roll| roll.covers(target.slot));
        let has_room = app.queued.len() < MAX_QUEUED_ROLLS;
        if covered
            || !has_room
            || self.will_halt(target.id)
            || !app.instances.get(&target.slot).is_some_and(online)
        {
            return;
        }
        turn.notice(&target.app, target.id, why);
        self.enqueue_roll(&target.app, None, std::slice::from_ref(&target));
        turn.touched.insert(target);
    }
}

impl App {
    /// Takes finished slots off the roll: who waits for them, and which instances they are.
    fn take_done(&mut self) -> Option<(Vec<Ticket>, Vec<InstanceId>)> {
        let Self { roll, instances, .. } = self;
        let roll = roll.as_mut()?;
        let done = |slot: &u32| instances.get(slot).is_none_or(Instance::has_rolled);
        let slots = roll.active.extract_if(.., done);
        let ids = slots.filter_map(|slot| instances.get(&slot)).map(|instance| instance.id);
        Some((roll.tickets.clone(), ids.collect()))
    }

    /// Moves waiting slots among the active ones, as many as may be under way at once.
    fn take_next(&mut self, name: &AppName) -> Vec<Target> {
        let surge = if self.policy.overlap { self.policy.max_surge.max(1) } else { 1 };
        let Some(roll) = &mut self.roll else { return Vec::new() };
        let busy = u32::try_from(roll.active.len()).unwrap_or(u32::MAX);
        let free = usize::try_from(surge.saturating_sub(busy)).unwrap_or(usize::MAX);
        let next: Vec<_> = roll.waiting.drain(..free.min(roll.waiting.len())).collect();
        roll.active.extend(&next);
        self.targets(name, &next)
    }

    /// The instances in these slots.
    fn targets<'a>(&self, name: &AppName, slots: impl IntoIterator<Item = &'a u32>) -> Vec<Target> {
        let found = |slot: &u32| {
            let id = self.instances.get(slot)?.id;
            Some(Target { app: name.clone(), slot: *slot, id })
        };
        slots.into_iter().filter_map(found).collect()
    }
}

impl Roll {
    /// All these slots are still to be begun.
    fn awaits(&self, slots: &[u32]) -> bool {
        slots.iter().all(|slot| self.waiting.contains(slot))
    }

    fn covers(&self, slot: u32) -> bool {
        self.waiting.contains(&slot) || self.active.contains(&slot)
    }

    /// The number of the first of the last `begun` slots among all of the roll, and how many all
    /// are.
    fn progress(&self, begun: usize) -> (u32, u32) {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let of = self.touched.len();
        let before = of.saturating_sub(self.waiting.len()).saturating_sub(begun);
        (number(before.saturating_add(1)), number(of))
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty()
    }

    /// Whether it still had that slot.
    fn drop_slot(&mut self, target: &Target) -> bool {
        let had = self.covers(target.slot);
        self.waiting.retain(|slot| *slot != target.slot);
        self.active.remove(&target.slot);
        self.touched.retain(|id| *id != target.id);
        had
    }
}

impl Instance {
    /// Its part of a roll is done: the new worker is ready, and no former one is left.
    fn has_rolled(&self) -> bool {
        let online = matches!(self.state, State::Online { .. });
        online && self.replacement.is_none() && self.leaving.is_empty()
    }
}

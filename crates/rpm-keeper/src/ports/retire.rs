//! Slots that leave: their workers are told to stop only when nothing new comes to them and all
//! that waited in their queues was accepted. And, for whoever asks, how long the queues are.

use super::{Ports, hold::Hold, steer::queue_length};
use crate::{
    balance::{Slot, Standing},
    message::{ChildId, Event, MAX_SLOTS, Owner},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Between two looks at the queues of a slot that leaves.
const EVERY: Duration = Duration::from_millis(20);
/// How long they must have been empty: a connection that was being made when the slot was left
/// out is in the queue a round trip later, while its worker still accepts.
const EMPTY_FOR: Duration = Duration::from_millis(100);
/// When to give up: a worker that accepts nothing would not do so later either.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far a slot's leave is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Retirement {
    /// Its queues are not known to be empty.
    Waiting { next: Instant, until: Option<Instant>, empty_since: Option<Instant> },
    /// It was told; it stays left out.
    Told,
}

impl Retirement {
    fn begin(now: Instant, patience: Option<Duration>) -> Self {
        let until = patience.map(|patience| now + patience);
        Self::Waiting { next: now, until, empty_since: None }
    }

    fn next(&self) -> Option<Instant> {
        match self {
            Self::Waiting { next, .. } => Some(*next),
            Self::Told => None,
        }
    }

    /// Looks once; true when it is to be told now.
    fn look(&mut self, empty: bool, now: Instant) -> bool {
        let Self::Waiting { next, until, empty_since } = self else { return false };
        if now < *next {
            return false;
        }
        *next = now + EVERY;
        *empty_since = if empty { empty_since.or(Some(now)) } else { None };
        let long = empty_since.is_some_and(|since| now >= since + EMPTY_FOR);
        let over = long || until.is_some_and(|until| now >= until);
        if over {
            *self = Self::Told;
        }
        over
    }
}

impl Ports {
    /// Steers new connections away from a slot; where somebody passes them on, he has done so
    /// before. For [`crate::Request::Retire`]; answered by [`Event::Retired`], at once if there is
    /// nothing to steer.
    pub fn retire(&mut self, owner: Owner) -> Vec<Event> {
        let mut mine = self.table.holds.values().filter(|hold| hold.owner == owner);
        // Of what is being handed over, nobody has been found yet of whom nothing was told.
        let steered = self.is_awaiting() || mine.any(|hold| hold.private || self.has_others(hold));
        if !steered {
            return vec![Event::Retired { owner }];
        }
        let begun = self.retiring.entry(owner.clone());
        *begun.or_insert(Retirement::Told) = Retirement::begin(Instant::now(), Some(PATIENCE));
        self.mark_owner(&owner);
        self.steer()
    }

    /// Whether another socket of the group takes what would have come to this one.
    fn has_others(&self, hold: &Hold) -> bool {
        let stays =
            |other: &Hold| other.cookie != hold.cookie && !self.retiring.contains_key(&other.owner);
        let id = super::steer::group_of(hold);
        id.is_some_and(|id| self.of_group(&id).any(stays))
    }

    pub(super) fn next_retirement(&self) -> Option<Instant> {
        self.retiring.values().chain(self.relieved.values()).filter_map(Retirement::next).min()
    }

    pub(super) fn look_at_retiring(&mut self, now: Instant) -> Vec<Event> {
        let mut retiring = std::mem::take(&mut self.retiring);
        let mut events = Vec::new();
        for (owner, retirement) in &mut retiring {
            let due = retirement.next().is_some_and(|next| next <= now);
            if due && retirement.look(self.is_empty(owner), now) {
                // Its workers stop accepting now, while they are members of their groups still,
                // and other slots may leave at the same time.
                self.own(owner).for_each(Hold::silence);
                events.push(Event::Retired { owner: owner.clone() });
            }
        }
        self.retiring = retiring;
        events
    }

    fn is_empty(&self, owner: &Owner) -> bool {
        let mut mine = self.table.serving().filter(|hold| hold.owner == *owner);
        mine.all(|hold| queue_length(hold) == 0)
    }

    /// A slot that had left is back.
    pub(super) fn unretire(&mut self, owner: &Owner) {
        if self.retiring.remove(owner).is_some() {
            self.own(owner).for_each(Hold::hear);
            self.mark_owner(owner);
        }
    }

    /// The sockets of a slot that no other slot has.
    fn own<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Hold> {
        let mine = self.table.serving().filter(move |hold| hold.owner == *owner);
        mine.filter(|hold| !self.is_shared(hold))
    }

    /// Sends what comes from now on to a child's replacement. For [`crate::Request::Relieve`];
    /// answered by [`Event::Relieved`], at once if the two have the same sockets.
    pub fn relieve(&mut self, child: ChildId) -> Vec<Event> {
        if !self.is_awaiting() && !self.has_own(child) {
            return vec![Event::Relieved { child }];
        }
        self.relieved.insert(child, Retirement::begin(Instant::now(), None));
        self.mark_own(child);
        self.steer()
    }

    /// Slots that leave, and children that are replaced: what the next keeper has to know.
    pub(crate) fn leaving(&self) -> (impl Iterator<Item = &Owner>, impl Iterator<Item = ChildId>) {
        (self.retiring.keys(), self.relieved.keys().copied())
    }

    /// Whether a child serves sockets that its slot has replaced.
    fn has_own(&self, child: ChildId) -> bool {
        self.table.ghosts.iter().any(|ghost| ghost.is_served_by(child))
    }

    pub(super) fn mark_own(&mut self, child: ChildId) {
        let own = self.table.ghosts.iter().filter(|ghost| ghost.is_served_by(child));
        self.table.marked.extend(own.filter_map(super::steer::group_of));
    }

    pub(super) fn look_at_relieved(&mut self, now: Instant) -> Vec<Event> {
        let mut relieved = std::mem::take(&mut self.relieved);
        relieved
            .retain(|child, _| self.sources.get(child).is_some_and(super::source::Source::lives));
        let mut events = Vec::new();
        for (child, relief) in &mut relieved {
            let mut own = self.table.ghosts.iter().filter(|ghost| ghost.is_served_by(*child));
            let due = relief.next().is_some_and(|next| next <= now);
            if due && relief.look(own.all(|ghost| queue_length(ghost) == 0), now) {
                // Its worker stops accepting now, while it is a member of its group still.
                // Not where its socket is that of others: all slots of a shared queue have one.
                let own = self.table.ghosts.iter().filter(|ghost| ghost.is_served_by(*child));
                own.filter(|ghost| !self.is_shared(ghost)).for_each(Hold::silence);
                events.push(Event::Relieved { child: *child });
            }
        }
        self.relieved = relieved;
        events
    }

    /// How full all slots' queues are. For [`crate::Request::Slots`].
    pub fn slots(&self, request: u64) -> Vec<Event> {
        let mut apps: BTreeMap<&str, BTreeMap<u32, Slot>> = BTreeMap::new();
        for hold in self.table.serving() {
            let slots = apps.entry(&hold.owner.app).or_default();
            let number = hold.owner.slot;
            let new = Slot { slot: number, waiting: 0, standing: self.standing(hold) };
            let slot = slots.entry(number).or_insert(new);
            slot.waiting = slot.waiting.saturating_add(queue_length(hold));
            if slot.standing == Standing::Serving {
                slot.standing = new.standing;
            }
        }
        let mut events = Vec::new();
        for (app, slots) in apps {
            let slots: Vec<_> = slots.into_values().collect();
            let fallback = self.balances.get(app).and_then(|balance| balance.fallback);
            events.extend(slots.chunks(MAX_SLOTS).map(|slots| {
                let (app, slots) = (app.to_owned(), slots.to_vec());
                Event::Slots { request, app, fallback, slots }
            }));
        }
        events.push(Event::SlotsEnd { request });
        events
    }

    fn standing(&self, hold: &Hold) -> Standing {
        let group = super::steer::group_of(hold).and_then(|id| self.groups.get(&id));
        let blocked = group.is_some_and(|group| group.health.is_blocked(hold.cookie));
        if self.retiring.contains_key(&hold.owner) {
            Standing::Retiring
        } else if !hold.is_served() {
            Standing::Unserved
        } else if blocked {
            Standing::Blocked
        } else {
            Standing::Serving
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_told_once_its_queues_stayed_empty() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut retirement = Retirement::begin(start, Some(PATIENCE));
        let looks = [(0, true), (20, false), (40, true), (100, true), (139, true), (160, true)];
        let told = looks.map(|(millis, empty)| retirement.look(empty, at(millis)));
        assert_eq!(told, [false, false, false, false, false, true]);
        assert_eq!(retirement.next(), None);
        assert!(!retirement.look(true, at(500)));
    }

    #[test]
    fn a_full_queue_is_waited_for_a_second() {
        let start = Instant::now();
        let mut retirement = Retirement::begin(start, Some(PATIENCE));
        assert!(!retirement.look(false, start + PATIENCE - Duration::from_millis(1)));
        assert!(retirement.look(false, start + PATIENCE + EVERY));
        let mut retirement = Retirement::begin(start, None);
        assert!(!retirement.look(false, start + PATIENCE * 1000));
    }
}

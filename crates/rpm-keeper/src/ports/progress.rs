//! What became of the calls that were let through: binds that succeeded or failed, sockets that
//! listen, shut down or lost their users.

use super::{
    Ports,
    attempt::{Attempt, Standing},
    hold::{Hold, HoldId, Phase},
};
use crate::message::{ChildId, Event};
use std::{os::fd::OwnedFd, time::Instant};

impl Ports {
    /// Looks at every bind in flight.
    pub(super) fn look_at_attempts(&mut self, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        for mut attempt in std::mem::take(&mut self.table.attempts) {
            if attempt.bound {
                self.table.attempts.push(attempt);
                continue;
            }
            match attempt.standing() {
                Standing::Bound(socket) => events.extend(self.was_bound(attempt, socket)),
                Standing::Failed => events.extend(self.failed(&attempt)),
                Standing::InFlight => {
                    attempt.schedule.look(now);
                    self.table.attempts.push(attempt);
                }
            }
        }
        events
    }

    /// A bind succeeded. UDP has no listen, so its socket is held from here on.
    pub(super) fn was_bound(&mut self, mut attempt: Attempt, socket: OwnedFd) -> Option<Event> {
        if !attempt.key.is_udp() {
            attempt.bound = true;
            self.table.attempts.push(attempt);
            return None;
        }
        let (child, address) = (attempt.child, attempt.key.address.clone());
        let mut hold = Hold::new(attempt.owner, attempt.key, socket, Phase::Listening).ok()?;
        hold.used_by(child, attempt.place);
        hold.nonblocking = attempt.nonblocking;
        self.table.insert(hold);
        self.handover.touched = true;
        Some(Event::Listening { child, address })
    }

    /// A bind failed, or its socket was closed before we looked: tells why, if a reason is found.
    pub(super) fn failed(&self, attempt: &Attempt) -> Option<Event> {
        let (errno, holder) = self.reason(attempt)?;
        let address = attempt.key.address.clone();
        Some(Event::Refused { child: attempt.child, address, errno, holder })
    }

    /// Looks whether announced sockets listen by now, and tells of those that do.
    pub(super) fn look_at_holds(&mut self, now: Instant) -> Vec<Event> {
        let (mut events, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (id, hold) in &mut self.table.holds {
            let moves = !matches!(hold.phase, Phase::Listening);
            let Some(children) = hold.look(now) else {
                gone.push(*id);
                continue;
            };
            changed.extend(moves.then_some(*id));
            events.extend(children.into_iter().map(|child| {
                let address = hold.key.address.clone();
                Event::Listening { child, address }
            }));
        }
        self.handover.touched |= !changed.is_empty() || !gone.is_empty() || !events.is_empty();
        changed.into_iter().for_each(|id| self.table.mark(id));
        gone.into_iter().for_each(|id| self.table.remove(id));
        events
    }

    /// A held socket hung up: somebody shut it down for all who share it.
    pub(super) fn hung_up(&mut self, id: HoldId) {
        if let Some(hold) = self.table.holds.get_mut(&id) {
            hold.hung_up(Instant::now());
            self.table.mark(id);
        }
    }

    /// Nobody is left in a child's tree.
    pub(super) fn ended(&mut self, child: ChildId) -> Vec<Event> {
        let events = self.look_at_attempts(Instant::now());
        self.table.attempts.retain(|attempt| attempt.child != child);
        self.table.forget_user(child);
        self.recall_ghosts();
        self.waiting.forget(child);
        let Some(source) = self.sources.get_mut(&child) else { return events };
        source.listener = None;
        source.settles = None;
        let (owner, forgotten) = (source.owner.clone(), source.forgotten);
        if forgotten {
            self.sources.remove(&child);
        }
        self.sweep(&owner);
        events
    }

    /// Children that count as settled now.
    pub(super) fn settle_due(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let all = self.sources.iter().filter(|(_, source)| due(source.settles));
        let all: Vec<_> = all.map(|(child, _)| *child).collect();
        all.into_iter().for_each(|child| self.settled(child));
    }
}

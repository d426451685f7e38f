//! What is known when a bind is seen.

use super::{
    Ports,
    attempt::Attempt,
    hold::HoldId,
    key::Key,
    lease::Censuses,
    source::{Caller, Claim},
    steer::{group_of, queue_length},
    verdict::{Facts, Held},
};
use crate::message::ChildId;
use rpm_unix::socket;

impl Ports {
    /// `patient`: the caller may still wait for others.
    pub(super) fn facts(&mut self, claim: &Claim, patient: bool, censuses: &mut Censuses) -> Facts {
        let Claim { caller, key, wants, .. } = claim;
        let app = &caller.owner.app;
        let rivals: Vec<_> = self.table.rivals(app, key).map(|(id, _)| id).collect();
        let mut own = false;
        for id in &rivals {
            own |= self.is_used_by(*id, caller.child, censuses);
        }
        let near = |attempt: &&Attempt| attempt.owner.app == *app && attempt.key.overlaps(key);
        let attempts: Vec<_> = self.table.attempts.iter().filter(near).collect();
        own |= attempts.iter().any(|attempt| attempt.bound && attempt.child == caller.child);
        // Where all have one socket, a second slot waits until the first one's listens.
        let is_one = self.is_one(app, key);
        let known = |attempt: &Attempt| {
            (attempt.bound || attempt.joins) && !(is_one && attempt.key == *key)
        };
        let in_flight = !attempts.iter().all(|attempt| known(attempt));
        let busy =
            |attempt: &Attempt| attempt.owner.app != *app && attempt.key == *key && !attempt.bound;
        let busy = self.table.attempts.iter().any(busy);
        Facts {
            given: rivals.iter().any(|id| self.is_socket(*id, caller.cookie)),
            foreign: self.table.foreigner(app, key).cloned(),
            in_flight: patient && (in_flight || busy) && !own,
            others: !attempts.is_empty() || !rivals.is_empty(),
            room: self.table.has_room(app, key),
            hold: self.held(caller, key, censuses),
            own,
            wants: *wants,
        }
    }

    fn is_socket(&self, id: HoldId, cookie: u64) -> bool {
        self.table.holds.get(&id).is_some_and(|hold| hold.cookie == cookie)
    }

    /// The socket to give: the slot's own, or of a path that of any slot.
    fn held(&mut self, caller: &Caller, key: &Key, censuses: &mut Censuses) -> Option<Held> {
        let (app, table) = (&caller.owner.app, &self.table);
        let own = table.find(&caller.owner, key);
        let id = if key.is_unix() {
            own.or_else(|| table.first(app, key))?
        } else if self.is_one(app, key) {
            table.first(app, key)?
        } else {
            let private = self.is_private(app, key);
            let kind =
                |id: &HoldId| table.holds.get(id).is_some_and(|hold| hold.private == private);
            own.filter(|id| !table.is_borrowed(*id) && kind(id))?
        };
        let shuts_down = self.table.rivals(&caller.owner.app, key).any(|(_, hold)| hold.shuts_down);
        let expected = self.table.holds.get(&id)?.nonblocking;
        let nonblocking = socket::is_nonblocking(&caller.socket).ok();
        let differs = expected.is_some() && expected != nonblocking;
        let replaces = self.is_replaceable(id, caller.child);
        let unshareable = !key.is_unix()
            && (shuts_down || differs || replaces)
            && self.is_used_by_others(id, caller.child, censuses);
        Some(Held { id, unshareable })
    }

    /// Whether a replacement should have a socket of its own, so that the program it replaces can
    /// be left without new connections. Not beside one that hangs: what waits for that is lost with
    /// its socket, but answered by whoever shares it. Nor in a group of unknown order, where
    /// nobody can be left out.
    fn is_replaceable(&self, id: HoldId, child: ChildId) -> bool {
        let Some(hold) = self.table.holds.get(&id) else { return false };
        let lives = |other: &ChildId| {
            *other != child && self.sources.get(other).is_some_and(|source| !source.exited)
        };
        if !hold.users.keys().any(lives) {
            return false;
        }
        if hold.private {
            return !hold.asked && queue_length(hold) == 0;
        }
        let Some(group) = group_of(hold) else { return false };
        let steering = self.groups.get(&group);
        let blocked = steering.is_some_and(|group| group.health.is_blocked(hold.cookie));
        let unknown = steering.is_some_and(|group| group.unknown);
        !unknown && !self.is_one(&group.0, &group.1) && !hold.asked && !blocked
    }

    pub(super) fn is_used_by_others(
        &mut self,
        id: HoldId,
        child: ChildId,
        censuses: &mut Censuses,
    ) -> bool {
        let Some(hold) = self.table.holds.get(&id) else { return false };
        let others: Vec<_> = hold.users.keys().copied().filter(|other| *other != child).collect();
        others.into_iter().any(|other| self.is_used_by(id, other, censuses))
    }
}

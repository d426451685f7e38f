//! The end of held sockets: who is released, and who was replaced, leaves its group, whoever has a
//! duplicate still. When that is, is decided elsewhere (`lease.rs`, `asked.rs`, `table.rs`).

use super::{
    Ports,
    hold::Hold,
    lease::Censuses,
    steer::{GroupId, group_of},
};
use rpm_unix::socket;
use std::time::{Duration, Instant};

/// How long a replaced socket is kept after its last program was seen to end. A process that ends
/// has its descriptors until it has left memory, but since Linux 6.11 its filter goes before, and
/// `/proc` tells nothing of it any more: that long the socket is a member of its group.
const LINGERS: Duration = Duration::from_secs(1);

impl Ports {
    /// Closes released sockets, and replaced ones that no living child has open any more: until
    /// then those are members of their groups, in an order that only we can keep.
    pub(super) fn bury(&mut self) {
        if self.table.gone.is_empty() && !self.table.recalled {
            return;
        }
        // Who joined and goes in one turn changes the order as well.
        self.table.marked.clone().iter().for_each(|id| self.mirror(id));
        let gone = std::mem::take(&mut self.table.gone);
        let gone: Vec<_> = gone.into_iter().map(|hold| (self.is_over(&hold), hold)).collect();
        gone.iter().filter(|(over, _)| *over).for_each(|(_, hold)| hold.silence());
        gone.into_iter().for_each(|(over, hold)| self.close_member(hold, over));
        if !std::mem::take(&mut self.table.recalled) {
            return;
        }
        let (mut censuses, now) = (Censuses::default(), Instant::now());
        for mut hold in std::mem::take(&mut self.table.ghosts) {
            let member =
                group_of(&hold).map_or(hold.private, |id| self.is_member(&id, hold.cookie));
            let open = member && self.is_open(&hold, &mut censuses);
            // Once its slot is gone, others may want the address.
            let replaced = member && self.table.find(&hold.owner, &hold.key).is_some();
            let lingers = hold.lingers.unwrap_or(now + LINGERS);
            if !open && hold.lingers.is_none() && self.is_over(&hold) {
                hold.silence();
            }
            hold.lingers = (!open).then_some(lingers);
            if open || (replaced && now < lingers) {
                self.table.ghosts.push(hold);
            } else {
                let over = self.is_over(&hold);
                self.close_member(hold, over);
            }
        }
    }

    /// When to look again at a replaced socket that nobody seems to have open.
    pub(super) fn next_burial(&self) -> Option<Instant> {
        self.next_farewell()
    }

    /// Looks at replaced sockets whose time is up, at the end of this turn.
    pub(super) fn look_at_ghosts(&mut self, now: Instant) {
        self.handover.touched |= !self.table.ghosts.is_empty();
        self.table.recalled |=
            self.table.ghosts.iter().any(|ghost| ghost.lingers.is_some_and(|at| at <= now));
    }

    /// Children may have closed what only they had kept open.
    pub(super) fn recall_ghosts(&mut self) {
        self.table.recalled = !self.table.ghosts.is_empty();
    }

    fn is_member(&self, id: &GroupId, cookie: u64) -> bool {
        self.groups.get(id).is_some_and(|group| group.order.index_of(cookie).is_some())
    }

    /// Closes a socket for good: of a group it leaves the choice first, then the group. The daemon
    /// has a duplicate until it has heard of this, so closing ours would not be enough.
    fn close_member(&mut self, hold: Hold, over: bool) {
        if self.is_shared(&hold) {
            return;
        }
        let group = group_of(&hold).filter(|id| self.is_member(id, hold.cookie));
        if let Some(id) = &group {
            // Nobody may be sent there any more when it closes.
            let _told_later = self.choose(id, Some(hold.cookie));
        }
        if over {
            // One that does not listen has nothing to end.
            let _silent = socket::end_listening(&hold.socket);
        }
        let cookie = hold.cookie;
        drop(hold);
        if let Some(id) = group {
            if let Some(group) = self.groups.get_mut(&id) {
                group.order.left(cookie);
            }
            self.table.marked.insert(id);
        }
    }

    /// Whether another hold is of the same socket: of another slot, or of a successor.
    pub(super) fn is_shared(&self, hold: &Hold) -> bool {
        let shares = |other: &Hold| other.cookie == hold.cookie && other.number != hold.number;
        self.table.holds.values().chain(&self.table.ghosts).any(shares)
    }

    /// Whether nobody will accept from a released socket any more.
    fn is_over(&self, hold: &Hold) -> bool {
        let mut censuses = Censuses::default();
        hold.is_tcp() && !self.is_shared(hold) && !self.is_accepted_from(hold, &mut censuses)
    }
}

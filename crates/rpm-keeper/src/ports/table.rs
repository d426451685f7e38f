//! [`Table`]: everything that is bound, or about to be. Small enough to be searched from end to
//! end: a bind is a rare event.

use super::{
    attempt::Attempt,
    hold::{Hold, HoldId},
    key::Key,
    steer::{GroupId, group_of},
};
use crate::message::{Address, ChildId, Owner};
use std::collections::{BTreeMap, BTreeSet};

/// How many sockets and attempts there may be: each is a descriptor of ours.
pub(super) const MAX_SOCKETS: usize = 4096;
/// How many addresses one app may have: a program that binds without end is no server.
pub(super) const MAX_ADDRESSES: usize = 64;

/// Holds and attempts of all apps.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) holds: BTreeMap<HoldId, Hold>,
    pub(super) attempts: Vec<Attempt>,
    /// Released, and still to be closed.
    pub(super) gone: Vec<Hold>,
    /// Replaced by another socket of the slot; a child that still has one open keeps it a member of
    /// its group.
    pub(super) ghosts: Vec<Hold>,
    /// Whether the ghosts are to be looked at.
    pub(super) recalled: bool,
    /// Groups in which something changed.
    pub(super) marked: BTreeSet<GroupId>,
    next: u64,
}

impl Table {
    /// Adds a hold in place of the slot's former one at the address; what was learned of the app's
    /// manners stays.
    pub(super) fn insert(&mut self, mut hold: Hold) -> HoldId {
        let same = |one: &Hold| one.owner == hold.owner && one.key == hold.key;
        let former: Vec<_> =
            self.holds.iter().filter(|one| same(one.1)).map(|one| *one.0).collect();
        for id in former {
            if let Some(mut former) = self.holds.remove(&id) {
                hold.succeed(&mut former);
                self.ghosts.push(former);
                self.recalled = true;
            }
        }
        let id = HoldId(self.next);
        hold.number = self.next;
        self.next += 1;
        self.marked.extend(group_of(&hold));
        self.holds.insert(id, hold);
        id
    }

    /// The number of the next hold.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    /// Adds a hold as a former keeper had it.
    pub(super) fn restore(&mut self, mut hold: Hold, replaced: bool) {
        hold.number = self.next;
        self.next += 1;
        if replaced {
            self.ghosts.push(hold);
        } else {
            self.holds.insert(HoldId(hold.number), hold);
        }
    }

    /// Releases a hold; it is closed by [`super::Ports::bury`]. If its program had taken the place
    /// of another that serves still, the slot has the former socket again.
    pub(super) fn remove(&mut self, id: HoldId) {
        let Some(hold) = self.holds.remove(&id) else { return };
        self.marked.extend(group_of(&hold));
        let former = |ghost: &Hold| {
            ghost.owner == hold.owner
                && ghost.key == hold.key
                && ghost.cookie != hold.cookie
                && ghost.is_served()
                && ghost.listens()
        };
        if let Some(at) = self.ghosts.iter().rposition(former) {
            let ghost = self.ghosts.swap_remove(at);
            ghost.hear();
            self.holds.insert(HoldId(ghost.number), ghost);
        }
        self.gone.push(hold);
    }

    /// Holds, and replaced ones that a child serves still.
    pub(super) fn serving(&self) -> impl Iterator<Item = &Hold> {
        let served = |ghost: &&Hold| ghost.is_served() && ghost.listens();
        self.holds.values().chain(self.ghosts.iter().filter(served))
    }

    /// The hold that took the place of this one in its slot.
    pub(super) fn successor(&self, ghost: &Hold) -> Option<&Hold> {
        let id = self.find(&ghost.owner, &ghost.key)?;
        self.holds.get(&id).filter(|hold| hold.cookie != ghost.cookie)
    }

    /// Replaced holds of this one's slot that children serve still.
    pub(super) fn predecessors<'a>(&'a self, hold: &'a Hold) -> impl Iterator<Item = &'a Hold> {
        let same = |ghost: &&Hold| {
            ghost.owner == hold.owner && ghost.key == hold.key && ghost.cookie != hold.cookie
        };
        self.ghosts.iter().filter(same).filter(|ghost| ghost.is_served() && ghost.listens())
    }

    /// Something of this hold changed.
    pub(super) fn mark(&mut self, id: HoldId) {
        self.marked.extend(self.holds.get(&id).and_then(group_of));
    }

    /// The first slot's hold at this address, for all slots of the app.
    pub(super) fn first(&self, app: &str, key: &Key) -> Option<HoldId> {
        let same = |hold: &Hold| hold.owner.app == app && hold.key == *key;
        let all = self.holds.iter().filter(|(_, hold)| same(hold));
        all.min_by_key(|(_, hold)| hold.owner.slot).map(|(id, _)| *id)
    }

    /// Whether a lower slot has the same socket.
    pub(super) fn is_borrowed(&self, id: HoldId) -> bool {
        let Some(hold) = self.holds.get(&id) else { return false };
        let lends =
            |other: &Hold| other.cookie == hold.cookie && other.owner.slot < hold.owner.slot;
        self.holds.values().any(lends)
    }

    /// The hold of this slot at this address.
    pub(super) fn find(&self, owner: &Owner, key: &Key) -> Option<HoldId> {
        let mut all = self.holds.iter();
        all.find(|(_, hold)| hold.owner == *owner && hold.key == *key).map(|(id, _)| *id)
    }

    /// What exactly is held of this owner at an address.
    pub(super) fn key_at(&self, owner: &Owner, address: &Address) -> Option<Key> {
        let same = |hold: &&Hold| hold.owner == *owner && hold.key.address == *address;
        self.holds.values().find(same).map(|hold| hold.key.clone())
    }

    /// The hold of this very socket in this app; that of the slot itself, if there are several.
    pub(super) fn find_socket(&self, owner: &Owner, cookie: u64) -> Option<HoldId> {
        let same = |hold: &Hold| hold.cookie == cookie && hold.owner.app == owner.app;
        let found = self.holds.iter().filter(|(_, hold)| same(hold));
        found.max_by_key(|(_, hold)| hold.owner == *owner).map(|(id, _)| *id)
    }

    /// Holds of one app at addresses that overlap this one.
    pub(super) fn rivals(&self, app: &str, key: &Key) -> impl Iterator<Item = (HoldId, &Hold)> {
        let all = self.holds.iter().map(|(id, hold)| (*id, hold));
        all.filter(move |(_, hold)| hold.owner.app == app && hold.key.overlaps(key))
    }

    /// Another app at an overlapping address.
    pub(super) fn foreigner(&self, app: &str, key: &Key) -> Option<&Owner> {
        let holds = self.holds.values().map(|hold| (&hold.owner, &hold.key, true));
        let attempts = self.attempts.iter();
        let attempts = attempts.map(|attempt| (&attempt.owner, &attempt.key, attempt.bound));
        let mut all = holds.chain(attempts);
        all.find(|(owner, other, bound)| *bound && owner.app != app && other.overlaps(key))
            .map(|(owner, ..)| owner)
    }

    /// Whether one more socket fits.
    pub(super) fn has_room(&self, app: &str, key: &Key) -> bool {
        let holds = self.holds.values().map(|hold| (&hold.owner, &hold.key));
        let attempts = self.attempts.iter().map(|attempt| (&attempt.owner, &attempt.key));
        let of_app = holds.chain(attempts).filter(|(owner, _)| owner.app == app);
        let addresses: BTreeSet<_> = of_app.map(|(_, key)| key).collect();
        let used = self.holds.len() + self.ghosts.len() + self.attempts.len();
        used < MAX_SOCKETS && (addresses.contains(key) || addresses.len() < MAX_ADDRESSES)
    }

    /// Nobody of this child's tree is left.
    pub(super) fn forget_user(&mut self, child: ChildId) {
        for hold in self.holds.values_mut() {
            if hold.forget(child) {
                self.marked.extend(group_of(hold));
            }
        }
        for ghost in &mut self.ghosts {
            if ghost.forget(child) {
                self.marked.extend(group_of(ghost));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{hold::Phase, key::Key},
        *,
    };
    use std::net::TcpListener;

    fn owner(app: &str, slot: u32) -> Owner {
        Owner { app: app.to_owned(), slot }
    }

    fn key(port: u16) -> Key {
        let address = Address::Tcp(([127, 0, 0, 1], port).into());
        Key { address, namespace: 1, only_v6: false, device: Vec::new() }
    }

    fn hold(owner: Owner, key: Key) -> Hold {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        Hold::new(owner, key, socket.into(), Phase::Listening).unwrap()
    }

    #[test]
    fn a_slot_has_one_socket_at_an_address_and_keeps_its_manners() {
        let mut table = Table::default();
        let mut rude = hold(owner("a", 0), key(1));
        rude.shuts_down = true;
        let first = table.insert(rude);
        let other = table.insert(hold(owner("a", 1), key(1)));
        let second = table.insert(hold(owner("a", 0), key(1)));
        assert_eq!(table.find(&owner("a", 0), &key(1)), Some(second));
        assert_eq!(table.holds.keys().copied().collect::<Vec<_>>(), [other, second]);
        assert!(!table.holds.contains_key(&first) && table.holds[&second].shuts_down);
        assert_eq!(table.find(&owner("a", 2), &key(1)), None);
    }

    #[test]
    fn a_socket_is_known_within_its_app_only() {
        let mut table = Table::default();
        let id = table.insert(hold(owner("a", 0), key(1)));
        let clone = table.holds[&id].for_slot(owner("a", 1)).unwrap();
        let cookie = clone.cookie;
        let second = table.insert(clone);
        assert_eq!(table.find_socket(&owner("a", 1), cookie), Some(second));
        assert_eq!(table.find_socket(&owner("a", 0), cookie), Some(id));
        assert!(table.find_socket(&owner("a", 9), cookie).is_some());
        assert_eq!(table.find_socket(&owner("b", 0), cookie), None);
        assert_eq!(table.foreigner("b", &key(1)), Some(&owner("a", 0)));
        assert_eq!(table.foreigner("a", &key(1)), None);
        assert_eq!(table.foreigner("b", &key(2)), None);
    }

    #[test]
    fn an_app_has_room_for_so_many_addresses() {
        let mut table = Table::default();
        for port in 1..=MAX_ADDRESSES {
            let key = key(u16::try_from(port).unwrap());
            assert!(table.has_room("a", &key), "{port}");
            table.insert(hold(owner("a", 0), key));
        }
        assert!(!table.has_room("a", &key(999)));
        assert!(table.has_room("a", &key(1)));
        assert!(table.has_room("b", &key(999)));
    }
}

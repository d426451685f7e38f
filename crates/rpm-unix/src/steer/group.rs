//! The order in which the kernel keeps the members of a `SO_REUSEPORT` group, which no call tells.
//! Nothing here talks to the kernel.

use super::{Member, Members, Unfit};

/// A mirror of the kernel's array (traps B2; `reuseport_add_sock` and `__reuseport_detach_sock` of
/// net/core/sock_reuseport.c).
///
/// A socket joins at the end, when it starts to listen (TCP) or is bound (UDP) with `SO_REUSEPORT`;
/// one that got the option only afterwards is the first when the second joins, so it has joined
/// when it began to listen. It leaves when its last descriptor is closed, or when it no longer
/// listens after shutdown(2), and the last of the array takes its place. One that listens anew
/// after a shutdown joins anew; a listen(2) on one that listens changes nothing.
///
/// The kernel's group is one address, port, family, network namespace, owner and, for IPv6, one
/// value of `IPV6_V6ONLY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<Id> {
    order: Vec<Id>,
}

impl<Id> Default for Group<Id> {
    fn default() -> Self {
        Self { order: Vec::new() }
    }
}

impl<Id: Copy + Eq> Group<Id> {
    /// A group without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// A socket joins; nothing changes if it is a member.
    pub fn joined(&mut self, id: Id) {
        if !self.order.contains(&id) {
            self.order.push(id);
        }
    }

    /// A member leaves; says whether it was one.
    pub fn left(&mut self, id: Id) -> bool {
        let place = self.order.iter().position(|member| *member == id);
        place.map(|place| self.order.swap_remove(place)).is_some()
    }

    /// Its place in the array.
    pub fn index_of(&self, id: Id) -> Option<u32> {
        (0..).zip(&self.order).find(|(_, member)| **member == id).map(|(index, _)| index)
    }

    /// How many members there are.
    pub fn size(&self) -> u32 {
        (0..).zip(&self.order).last().map_or(0, |(index, _)| index + 1)
    }

    /// All members in the order of the array.
    pub fn ids(&self) -> &[Id] {
        &self.order
    }

    /// The members to choose among: those for which there is a slot.
    pub fn members(&self, slot: impl Fn(Id) -> Option<u32>) -> Result<Members, Unfit> {
        let member = |(index, id): (u32, &Id)| Some(Member { slot: slot(*id)?, index });
        Members::new(self.size(), (0..).zip(&self.order).filter_map(member).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_member_fills_the_hole() {
        let mut group = Group::new();
        "abcd".chars().for_each(|id| group.joined(id));
        group.joined('b');
        assert_eq!((group.ids(), group.size()), (&['a', 'b', 'c', 'd'][..], 4));
        assert!(group.left('b') && !group.left('b'));
        assert_eq!(group.ids(), ['a', 'd', 'c']);
        assert!(group.left('a'));
        group.joined('a');
        assert_eq!(group.ids(), ['c', 'd', 'a']);
        assert_eq!([group.index_of('d'), group.index_of('b')], [Some(1), None]);
    }

    #[test]
    fn members_are_those_with_a_slot() {
        let mut group = Group::new();
        assert_eq!(group.members(Some), Err(Unfit::None));
        [10, 20, 30].into_iter().for_each(|id| group.joined(id));
        let expected = vec![Member { slot: 1, index: 0 }, Member { slot: 3, index: 2 }];
        let found = group.members(|id| (id != 20).then_some(id / 10));
        assert_eq!(found, Members::new(3, expected));
    }
}

//! The members of a group that may be chosen, checked once so that no program made of them can
//! fail.

use std::fmt;

/// The most members one program chooses among. The longest program, that of `ip_hash`, takes 12
/// instructions for each, and classic BPF ends at 4096 (`BPF_MAXINSNS`). Before Linux 6.8 it may be
/// refused with `ENOMEM` from about 180 members on (net.core.optmem_max was 20 KiB).
pub const MAX_MEMBERS: usize = 256;

/// A socket that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, which outlives the socket: `ip_hash` ties a client's address to it. Of two members
    /// with one slot, `ip_hash` chooses the one with the lower index.
    pub slot: u32,
    /// Its place in the kernel's array, see [`Group`](super::Group).
    pub index: u32,
}

/// At least one member, each in the group and named once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    size: u32,
    /// By index.
    chosen: Vec<Member>,
}

/// Why members cannot be chosen among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is none.
    None,
    /// More than [`MAX_MEMBERS`].
    TooMany,
    /// An index that is not below the group's size: the kernel would choose among all.
    Beyond {
        /// The index.
        index: u32,
        /// The size.
        size: u32,
    },
    /// An index that is there twice.
    Twice {
        /// The index.
        index: u32,
    },
}

impl Members {
    /// Some or all members of a group that has `size` of them.
    pub fn new(size: u32, mut chosen: Vec<Member>) -> Result<Self, Unfit> {
        chosen.sort_by_key(|member| member.index);
        if chosen.len() > MAX_MEMBERS {
            return Err(Unfit::TooMany);
        }
        let Member { index: last, .. } = *chosen.last().ok_or(Unfit::None)?;
        if last >= size {
            return Err(Unfit::Beyond { index: last, size });
        }
        let indices = || chosen.iter().map(|member| member.index);
        match indices().zip(indices().skip(1)).find(|(one, next)| one == next) {
            Some((index, _)) => Err(Unfit::Twice { index }),
            None => Ok(Self { size, chosen }),
        }
    }

    /// Whether these are the whole group.
    pub fn is_all(&self) -> bool {
        self.len() == self.size
    }

    /// Their indices, ascending.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        self.chosen.iter().map(|member| member.index)
    }

    /// By slot, then index: an order that does not change when the kernel's array does.
    pub(super) fn by_slot(&self) -> Vec<Member> {
        let mut members = self.chosen.clone();
        members.sort_by_key(|member| (member.slot, member.index));
        members
    }

    /// How many there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> u32 {
        // At most MAX_MEMBERS.
        self.chosen.len() as u32
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no member to choose"),
            Self::TooMany => write!(f, "more than {MAX_MEMBERS} members to choose among"),
            Self::Beyond { index, size } => write!(f, "member {index} of a group of {size}"),
            Self::Twice { index } => write!(f, "member {index} twice"),
        }
    }
}

impl std::error::Error for Unfit {}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(size: u32, indices: impl IntoIterator<Item = u32>) -> Result<Members, Unfit> {
        let member = |index: u32| Member { slot: 100 - index.min(100), index };
        Members::new(size, indices.into_iter().map(member).collect())
    }

    #[test]
    fn only_members_of_the_group_can_be_chosen() {
        let most = MAX_MEMBERS as u32;
        let table = [
            (members(4, []), Some(Unfit::None)),
            (members(4, [3]), None),
            (members(4, [1, 4]), Some(Unfit::Beyond { index: 4, size: 4 })),
            (members(0, [0]), Some(Unfit::Beyond { index: 0, size: 0 })),
            (members(4, [2, 1, 2]), Some(Unfit::Twice { index: 2 })),
            (members(1000, 0..most), None),
            (members(1000, 0..=most), Some(Unfit::TooMany)),
        ];
        for (result, expected) in table {
            assert_eq!(result.as_ref().err(), expected.as_ref(), "{result:?}");
        }
    }

    #[test]
    fn they_are_known_by_index_and_by_slot() {
        let some = members(4, [3, 0, 2]).unwrap();
        assert!(!some.is_all() && members(4, 0..4).unwrap().is_all());
        assert_eq!(some.indices().collect::<Vec<_>>(), [0, 2, 3]);
        let slots: Vec<_> = some.by_slot().iter().map(|member| member.slot).collect();
        assert_eq!((some.len(), slots), (3, vec![97, 98, 100]));
    }
}

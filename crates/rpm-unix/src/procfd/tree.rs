//! The processes of one app: a session and what descends from it.

use crate::procfs::{Process, processes};
use std::collections::BTreeSet;

/// The processes of the session led by `leader`, and their descendants.
pub(crate) fn members(leader: i32) -> BTreeSet<i32> {
    closure(leader, &processes().unwrap_or_default())
}

fn closure(leader: i32, all: &[Process]) -> BTreeSet<i32> {
    let mut members = BTreeSet::from([leader]);
    // Each round adds a generation; there are no more of those than processes.
    for _ in 0..=all.len() {
        let before = members.len();
        let inside = |one: &&Process| one.session == leader || members.contains(&one.ppid);
        let found: Vec<_> = all.iter().filter(inside).map(|one| one.pid).collect();
        members.extend(found);
        if members.len() == before {
            break;
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_the_session_and_all_that_descends_from_it() {
        let one = |(pid, ppid, session)| Process {
            pid,
            ppid,
            session,
            start_time: 1,
            zombie: false,
            threads: 1,
            cpu_time: Default::default(),
        };
        let all = [
            (1, 0, 1),
            (14, 13, 13),
            (13, 12, 13),
            (12, 10, 10),
            (10, 1, 10),
            (11, 1, 10),
            (20, 1, 20),
        ]
        .map(one);
        assert_eq!(closure(10, &all), BTreeSet::from([10, 11, 12, 13, 14]));
        assert_eq!(closure(99, &all), BTreeSet::from([99]));
    }
}

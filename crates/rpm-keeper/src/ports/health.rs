//! [`Health`]: which members of a group accept nothing, judged by their queues alone. It talks to
//! nobody: lengths come in, verdicts go out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Between two looks. Three of them find a blocked worker, so new connections avoid it after 600 ms
/// at most; five looks a second at a busy group cost nothing beside its connections.
const EVERY: Duration = Duration::from_millis(200);
/// So many looks in a row at a queue that has not shrunk mean that nobody accepts. A worker that is
/// only busy accepts between two requests.
const STILL: u32 = 2;
/// So many looks at empty queues end the looking; the next connection begins it anew.
const QUIET: u32 = 5;
/// A worker is told to be blocked when it was for so many looks: one second in all.
const TELL: u32 = 3;

/// What is known of a group's queues.
#[derive(Debug, Default)]
pub(super) struct Health {
    members: BTreeMap<u64, Queue>,
    /// `None`: all is quiet.
    next: Option<Instant>,
    empty: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    length: u32,
    /// Looks since it shrank, or was empty.
    still: u32,
    /// Looks since it was found blocked.
    blocked: Option<u32>,
    told: bool,
}

/// A change worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) cookie: u64,
    pub(super) blocked: bool,
    pub(super) waiting: u32,
}

impl Health {
    /// Looks at the queues of all members that are served; `at_least`: shorter ones do not count.
    /// Says what to tell, and whether anybody's health changed.
    pub(super) fn look(
        &mut self,
        lengths: &BTreeMap<u64, u32>,
        at_least: u32,
        now: Instant,
    ) -> (Vec<News>, bool) {
        self.members.retain(|cookie, _| lengths.contains_key(cookie));
        self.schedule(lengths.values().all(|length| *length == 0), now);
        let before = self.blocked();
        let mut news = Vec::new();
        for (cookie, length) in lengths {
            let others = self.healthy_others(*cookie, lengths);
            let queue = self.members.entry(*cookie).or_default();
            queue.measure(*length);
            queue.judge(&others, at_least);
            news.extend(queue.news(*cookie));
        }
        let changed = before != self.blocked();
        (news, changed)
    }

    fn schedule(&mut self, all_empty: bool, now: Instant) {
        self.empty = if all_empty { self.empty + 1 } else { 0 };
        self.next = (self.empty < QUIET).then(|| now + EVERY);
    }

    fn healthy_others(&self, cookie: u64, lengths: &BTreeMap<u64, u32>) -> Vec<u32> {
        let healthy = |other: &u64| *other != cookie && !self.is_blocked(*other);
        let lengths = lengths.iter().filter(|(other, _)| healthy(other));
        lengths.map(|(_, length)| *length).collect()
    }

    /// Something happened: the next look is now.
    pub(super) fn wake(&mut self, now: Instant) {
        self.empty = 0;
        self.next = Some(now);
    }

    /// When to look next; `None`: when one of the sockets has a connection.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn is_blocked(&self, cookie: u64) -> bool {
        self.members.get(&cookie).is_some_and(|queue| queue.blocked.is_some())
    }

    fn blocked(&self) -> Vec<u64> {
        let blocked = self.members.iter().filter(|(_, queue)| queue.blocked.is_some());
        blocked.map(|(cookie, _)| *cookie).collect()
    }
}

impl Queue {
    fn measure(&mut self, length: u32) {
        let moved = length == 0 || length < self.length;
        // What is there at the first look has just come.
        let known = self.length > 0;
        self.still = if moved || !known { 0 } else { self.still + 1 };
        self.length = length;
    }

    /// It is blocked when it stands still and is longer than any other by far, and no longer when
    /// it is no longer than another one. There has to be a healthy other one.
    fn judge(&mut self, others: &[u32], at_least: u32) {
        let longest = others.iter().max().copied();
        let shortest = others.iter().min().copied();
        self.blocked = match (self.blocked, shortest, longest) {
            (_, None, _) | (_, _, None) => None,
            (Some(_), _, Some(longest)) if self.length <= longest => None,
            (Some(looks), _, _) => Some(looks + 1),
            (None, Some(shortest), _) => {
                let long = self.length >= at_least && self.length > shortest.saturating_mul(2);
                (self.still >= STILL && long).then_some(0)
            }
        };
    }

    fn news(&mut self, cookie: u64) -> Option<News> {
        let blocked = self.blocked.is_some_and(|looks| looks >= TELL);
        let over = self.told && self.blocked.is_none();
        if !over && (self.told || !blocked) {
            return None;
        }
        self.told = blocked;
        Some(News { cookie, blocked, waiting: self.length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at two members, 1 and 2, once for each pair; who is blocked after each look.
    fn looks(health: &mut Health, at_least: u32, pairs: &[(u32, u32)]) -> Vec<Vec<u64>> {
        let mut now = Instant::now();
        let mut look = |(one, two): &(u32, u32)| {
            now += EVERY;
            health.look(&BTreeMap::from([(1, *one), (2, *two)]), at_least, now);
            health.blocked()
        };
        pairs.iter().map(&mut look).collect()
    }

    #[test]
    fn a_queue_that_stands_still_beside_an_empty_one_is_blocked_until_it_is_empty() {
        let mut health = Health::default();
        let found = looks(&mut health, 1, &[(1, 0), (1, 0), (1, 0), (1, 0), (0, 0)]);
        let blocked: Vec<u64> = vec![1];
        assert_eq!(found, [vec![], vec![], blocked.clone(), blocked, vec![]]);
    }

    #[test]
    fn a_queue_that_shrinks_is_worked_off() {
        let found = looks(&mut Health::default(), 1, &[(9, 0), (9, 0), (8, 0), (9, 0), (8, 0)]);
        assert!(found.iter().all(Vec::is_empty), "{found:?}");
    }

    #[test]
    fn short_queues_and_those_of_all_do_not_count() {
        let found = looks(&mut Health::default(), 4, &[(3, 0); 5]);
        assert!(found.iter().all(Vec::is_empty), "{found:?}");
        let found = looks(&mut Health::default(), 1, &[(8, 4); 5]);
        assert!(found.iter().all(Vec::is_empty), "{found:?}");
    }

    #[test]
    fn never_are_all_blocked() {
        let mut health = Health::default();
        let found = looks(&mut health, 1, &[(1, 0), (2, 0), (3, 0), (3, 4), (3, 5), (3, 9)]);
        assert!(found.iter().all(|blocked| blocked.len() < 2), "{found:?}");
        let found = looks(&mut health, 1, &[(3, 9); 9]);
        assert!(found.iter().all(|blocked| blocked.len() < 2), "{found:?}");
    }

    #[test]
    fn it_is_told_after_a_second_and_when_it_is_over() {
        let mut health = Health::default();
        let mut told = Vec::new();
        let mut now = Instant::now();
        for length in [1, 1, 1, 1, 1, 1, 1, 0, 0] {
            now += EVERY;
            told.extend(health.look(&BTreeMap::from([(1, length), (2, 0)]), 1, now).0);
        }
        let news = |blocked, waiting| News { cookie: 1, blocked, waiting };
        assert_eq!(told, [news(true, 1), news(false, 0)]);
    }

    #[test]
    fn empty_queues_end_the_looking_and_a_connection_begins_it() {
        let mut health = Health::default();
        let now = Instant::now();
        health.wake(now);
        assert_eq!(health.next(), Some(now));
        for look in 1..=QUIET {
            health.look(&BTreeMap::from([(1, 0), (2, 0)]), 1, now);
            assert_eq!(health.next(), (look < QUIET).then_some(now + EVERY), "{look}");
        }
    }
}

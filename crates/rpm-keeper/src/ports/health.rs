//! [`Health`]: which members of a group accept nothing, judged by their queues alone. It talks to
//! nobody: lengths come in, verdicts go out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Between two looks at a group whose queues were empty at the last one. With the time a queue has
/// to stand still it makes 600 ms until new connections avoid a blocked worker.
const EVERY: Duration = Duration::from_millis(200);
/// Between two looks while somebody waits. A queue that is seldom empty when looked at may still be
/// served a thousand times a second; only many looks tell it from one that nobody serves.
const CLOSELY: Duration = Duration::from_millis(25);
/// A queue that has not shrunk for so long, and in so many looks (the keeper itself may have been
/// slow), has nobody who accepts. A worker that is only busy accepts between two requests.
const STILL_FOR: Duration = Duration::from_millis(400);
const STILL_LOOKS: u32 = 12;
/// So many looks at empty queues end the looking; the next connection begins it anew.
const QUIET: u32 = 5;
/// A worker that is blocked for so long is told to be: about a second in all.
const TELL_AFTER: Duration = Duration::from_millis(500);

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
    /// When it was first seen after it shrank or was empty, and how often since.
    still: Option<(Instant, u32)>,
    /// When it was found blocked.
    blocked: Option<Instant>,
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
        let before = self.blocked();
        let mut news = Vec::new();
        for (cookie, length) in lengths {
            let others = self.healthy_others(*cookie, lengths);
            let queue = self.members.entry(*cookie).or_default();
            queue.measure(*length, now);
            queue.judge(&others, at_least, now);
            news.extend(queue.news(*cookie, now));
        }
        self.schedule(now);
        let changed = before != self.blocked();
        (news, changed)
    }

    fn schedule(&mut self, now: Instant) {
        let all_empty = self.members.values().all(|queue| queue.length == 0);
        self.empty = if all_empty { self.empty + 1 } else { 0 };
        let suspect = |queue: &Queue| queue.blocked.is_none() && queue.still.is_some();
        let suspicious = self.members.values().any(suspect);
        let pause = if suspicious { CLOSELY } else { EVERY };
        self.next = (self.empty < QUIET).then(|| now + pause);
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
    fn measure(&mut self, length: u32, now: Instant) {
        let shrank = length < self.length;
        self.still = match self.still {
            _ if length == 0 => None,
            Some((since, looks)) if !shrank => Some((since, looks + 1)),
            Some(_) | None => Some((now, 0)),
        };
        self.length = length;
    }

    fn stands_still(&self, now: Instant) -> bool {
        let long = |(since, looks)| now >= since + STILL_FOR && looks >= STILL_LOOKS;
        self.still.is_some_and(long)
    }

    /// It is blocked when it stands still and is longer than any other by far, and no longer when
    /// it is no longer than another one. There has to be a healthy other one.
    fn judge(&mut self, others: &[u32], at_least: u32, now: Instant) {
        let longest = others.iter().max().copied();
        let shortest = others.iter().min().copied();
        self.blocked = match (self.blocked, shortest, longest) {
            (_, None, _) | (_, _, None) => None,
            (Some(_), _, Some(longest)) if self.length <= longest => None,
            (Some(since), _, _) => Some(since),
            (None, Some(shortest), _) => {
                let long = self.length >= at_least && self.length > shortest.saturating_mul(2);
                (long && self.stands_still(now)).then_some(now)
            }
        };
    }

    fn news(&mut self, cookie: u64, now: Instant) -> Option<News> {
        let blocked = self.blocked.is_some_and(|since| now >= since + TELL_AFTER);
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

    /// A group of two members, 1 and 2, and its time.
    struct Pair {
        health: Health,
        at_least: u32,
        start: Instant,
        now: Instant,
        told: Vec<News>,
    }

    impl Pair {
        fn new(at_least: u32) -> Self {
            let now = Instant::now();
            Self { health: Health::default(), at_least, start: now, now, told: Vec::new() }
        }

        /// Looks once, when it is time to; who is blocked then.
        fn look(&mut self, one: u32, two: u32) -> Vec<u64> {
            self.now = self.health.next().unwrap_or(self.now);
            let lengths = BTreeMap::from([(1, one), (2, two)]);
            self.told.extend(self.health.look(&lengths, self.at_least, self.now).0);
            self.health.blocked()
        }

        /// Looks until somebody is blocked; who, and how many milliseconds after the start.
        fn until_blocked(&mut self, one: u32, two: u32) -> Option<(Vec<u64>, u128)> {
            let found =
                (0..40).find_map(|_| Some(self.look(one, two)).filter(|all| !all.is_empty()));
            Some((found?, (self.now - self.start).as_millis()))
        }
    }

    #[test]
    fn a_queue_that_stands_still_beside_an_empty_one_is_blocked_until_it_is_empty() {
        let mut pair = Pair::new(1);
        assert_eq!(pair.until_blocked(1, 0), Some((vec![1], STILL_FOR.as_millis())));
        assert_eq!(pair.look(9, 0), [1]);
        assert_eq!(pair.look(1, 0), [1]);
        assert!(pair.look(0, 0).is_empty());
    }

    #[test]
    fn a_queue_that_shrinks_or_is_empty_at_times_is_worked_off() {
        for lengths in [[9, 8], [1, 0]] {
            let mut pair = Pair::new(1);
            for round in 0..20 {
                let stands = (0..10).any(|_| !pair.look(lengths[0], 0).is_empty());
                assert!(!stands && pair.look(lengths[1], 0).is_empty(), "{lengths:?} {round}");
            }
        }
    }

    #[test]
    fn short_queues_and_those_of_all_do_not_count() {
        assert_eq!(Pair::new(4).until_blocked(3, 0), None);
        assert!(Pair::new(4).until_blocked(4, 0).is_some());
        assert_eq!(Pair::new(1).until_blocked(8, 4), None);
        assert!(Pair::new(1).until_blocked(9, 4).is_some());
    }

    #[test]
    fn never_are_all_blocked() {
        let mut pair = Pair::new(1);
        assert!(pair.until_blocked(3, 0).is_some());
        for two in 1..100 {
            assert!(pair.look(3, two).len() < 2, "{two}");
        }
    }

    #[test]
    fn it_is_told_after_a_second_and_when_it_is_over() {
        let mut pair = Pair::new(1);
        pair.until_blocked(1, 0);
        assert_eq!(pair.told, []);
        while pair.told.is_empty() {
            pair.look(2, 0);
        }
        assert!(pair.now - pair.start <= Duration::from_millis(1200));
        pair.look(0, 0);
        pair.look(0, 0);
        let news = |blocked, waiting| News { cookie: 1, blocked, waiting };
        assert_eq!(pair.told, [news(true, 2), news(false, 0)]);
    }

    #[test]
    fn empty_queues_end_the_looking_and_a_connection_begins_it() {
        let mut pair = Pair::new(1);
        pair.health.wake(pair.now);
        assert_eq!(pair.health.next(), Some(pair.now));
        for look in 1..=QUIET {
            pair.look(0, 0);
            assert_eq!(pair.health.next().is_some(), look < QUIET, "{look}");
        }
    }
}

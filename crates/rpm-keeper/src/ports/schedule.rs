//! [`Schedule`]: when to look again at something for which the kernel has no event.

use std::time::{Duration, Instant};

/// How often it is looked: after 1, 2, 4 … 256 ms. A `bind` takes microseconds; half a second
/// later it has failed, or its thread does not run.
const MAX_LOOKS: u32 = 9;

/// A bounded number of looks, each after twice the time of the former.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    next: Instant,
    looks: u32,
}

impl Schedule {
    pub(super) fn from(now: Instant) -> Self {
        Self { next: now + Duration::from_millis(1), looks: 0 }
    }

    /// When to look next; `None`: never again.
    pub(super) fn next(&self) -> Option<Instant> {
        (!self.is_over()).then_some(self.next)
    }

    /// Counts a look, if it is time for one.
    pub(super) fn look(&mut self, now: Instant) {
        if now >= self.next && !self.is_over() {
            self.looks += 1;
            self.next = now + Duration::from_millis(1 << self.looks);
        }
    }

    /// No look is left.
    pub(super) fn is_over(&self) -> bool {
        self.looks >= MAX_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_double_and_end() {
        let start = Instant::now();
        let mut schedule = Schedule::from(start);
        let mut waits = Vec::new();
        let mut now = start;
        while let Some(next) = schedule.next() {
            waits.push((next - now).as_millis());
            now = next;
            schedule.look(now - Duration::from_micros(1));
            assert_eq!(schedule.next(), Some(next));
            schedule.look(now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
        assert!(schedule.is_over());
    }
}

//! [`Pace`]: how fast one worker may talk on its channel. One that floods it waits itself: its
//! messages stay in the kernel, and then in its own memory.

use std::time::{Duration, Instant};

/// Messages a second; an app that reports its figures sends a few.
const MAX_MESSAGES: u32 = 1000;
/// Bytes a second, for who sends long ones, or rubbish.
const MAX_BYTES: u64 = 16 << 20;
const WINDOW: Duration = Duration::from_secs(1);

/// What was taken from one channel in this second.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
    messages: u32,
    /// Bytes taken in all, when the second began and now.
    before: u64,
    taken: u64,
}

impl Pace {
    /// Nothing was taken yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, messages: 0, before: 0, taken: 0 }
    }

    /// A message was taken; `bytes` have been in all.
    pub(crate) fn took(&mut self, bytes: u64, now: Instant) {
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self { since: now, messages: 0, before: self.taken, taken: self.taken };
        }
        self.messages = self.messages.saturating_add(1);
        self.taken = bytes;
    }

    /// Until when nothing more is to be taken; `None`: it may go on.
    pub(crate) fn pause(&self) -> Option<Instant> {
        let full =
            self.messages >= MAX_MESSAGES || self.taken.saturating_sub(self.before) >= MAX_BYTES;
        full.then(|| self.since + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_messages_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for number in 1..MAX_MESSAGES {
            pace.took(number.into(), start);
            assert_eq!(pace.pause(), None);
        }
        pace.took(u64::from(MAX_MESSAGES), start);
        assert_eq!(pace.pause(), Some(start + WINDOW));
        pace.took(u64::from(MAX_MESSAGES) + 1, start + WINDOW);
        assert_eq!(pace.pause(), None);
    }

    #[test]
    fn so_many_bytes_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.took(MAX_BYTES - 1, start);
        assert_eq!(pace.pause(), None);
        pace.took(MAX_BYTES, start);
        assert_eq!(pace.pause(), Some(start + WINDOW));
        let next = start + WINDOW;
        pace.took(2 * MAX_BYTES - 1, next);
        assert_eq!(pace.pause(), None);
        pace.took(2 * MAX_BYTES, next);
        assert_eq!(pace.pause(), Some(next + WINDOW));
    }
}

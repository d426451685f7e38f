//! Binds whose answer depends on another bind that is in flight.
//!
//! The kernel has no event for "that bind is done": what usually ends the wait is the other
//! program's `listen`, its next bind, or its exit; a short, bounded schedule covers the rest.

use super::schedule::Schedule;
use crate::message::ChildId;
use rpm_unix::seccomp::Notification;
use std::time::Instant;

/// How many callers may wait at once; one more is let through alone.
const MAX_WAITING: usize = 1024;

/// A caller that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) child: ChildId,
    pub(super) note: Notification,
    pub(super) schedule: Schedule,
}

/// All of them, in the order they came; each thread once.
#[derive(Debug, Default)]
pub(super) struct Queue(Vec<Waiting>);

impl Queue {
    /// False if there is no room.
    #[must_use]
    pub(super) fn push(&mut self, waiting: Waiting) -> bool {
        self.0.retain(|one| one.note.thread != waiting.note.thread);
        let fits = self.0.len() < MAX_WAITING;
        if fits {
            self.0.push(waiting);
        }
        fits
    }

    /// All, to be decided again; those whose time has come are a look nearer to their end.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Waiting> {
        let mut all = std::mem::take(&mut self.0);
        all.iter_mut().for_each(|one| one.schedule.look(now));
        all
    }

    pub(super) fn forget(&mut self, child: ChildId) {
        self.0.retain(|one| one.child != child);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().filter_map(|one| one.schedule.next()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_unix::seccomp::Call;

    fn waiting(thread: i32) -> Waiting {
        let call = Call::Listen { backlog: 1 };
        let note = Notification { id: 1, thread, fd: 3, call };
        Waiting { child: ChildId(1), note, schedule: Schedule::from(Instant::now()) }
    }

    #[test]
    fn a_thread_waits_once_and_the_queue_is_bounded() {
        let mut queue = Queue::default();
        for thread in 0..i32::try_from(MAX_WAITING).unwrap() {
            assert!(queue.push(waiting(thread)), "{thread}");
        }
        assert!(queue.push(waiting(0)));
        assert!(!queue.push(waiting(-1)));
        assert_eq!(queue.take(Instant::now()).len(), MAX_WAITING);
        assert_eq!(queue.next(), None);
    }
}

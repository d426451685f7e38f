//! [`Queue`]: clients that no upstream can be found for at the moment, the longest waiting first.

use crate::session::Session;
use std::{collections::VecDeque, time::Instant};

/// Clients that may wait. As many as a listening socket's queue usually holds (net.core.somaxconn
/// was 128 and is 4,096), and few enough to look through whenever an upstream comes up.
pub const MAX_WAITING: usize = 1_024;

/// Clients that wait. A session in it has a deadline.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Box<Session>>,
}

impl Queue {
    /// Puts a client in its place; gives it back if the queue is full. All have waited since their
    /// first failure, so one that fails again comes before those that came later.
    pub(crate) fn push(&mut self, session: Box<Session>) -> Result<(), Box<Session>> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(session);
        }
        let place = self.waiting.partition_point(|other| other.deadline <= session.deadline);
        self.waiting.insert(place, session);
        Ok(())
    }

    /// When the first one has waited long enough.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().and_then(|session| session.deadline)
    }

    /// Takes out one that has waited long enough.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Box<Session>> {
        self.waiting.pop_front_if(|session| session.deadline.is_none_or(|deadline| deadline <= now))
    }

    /// Takes out all, in their order.
    pub(crate) fn take(&mut self) -> VecDeque<Box<Session>> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::Accepted;
    use std::time::Duration;

    fn session(deadline: Instant) -> Box<Session> {
        let (one, _other) = tokio::net::UnixStream::pair().unwrap();
        let mut session = Session::new(Accepted { stream: one.into(), peer: None, listener: 0 }, 0);
        session.deadline = Some(deadline);
        Box::new(session)
    }

    #[tokio::test]
    async fn the_longest_waiting_comes_first() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut queue = Queue::default();
        for seconds in [3, 1, 2] {
            queue.push(session(after(seconds))).unwrap();
        }
        assert_eq!((queue.len(), queue.deadline()), (3, Some(after(1))));
        assert!(queue.pop_expired(start).is_none());
        assert_eq!(queue.pop_expired(after(1)).unwrap().deadline, Some(after(1)));
        let rest: Vec<_> = queue.take().into_iter().map(|one| one.deadline.unwrap()).collect();
        assert_eq!(rest, [after(2), after(3)]);
        assert!(queue.is_empty() && queue.deadline().is_none());
    }

    #[tokio::test]
    async fn a_full_queue_takes_nobody() {
        rpm_unix::limits::raise_open_files().unwrap();
        let mut queue = Queue::default();
        let now = Instant::now();
        for _ in 0..MAX_WAITING {
            queue.push(session(now)).unwrap();
        }
        assert!(queue.push(session(now)).is_err());
        assert!(queue.pop_expired(now).is_some());
        assert!(queue.push(session(now)).is_ok());
    }
}

//! [`Pipes`]: empty pipes for splicing, used again and again. A direction has one only while bytes
//! are in it, so a thousand idle connections need none.

use nix::fcntl::OFlag;
use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The kernel's default size of a pipe: 16 pages.
pub(crate) const PIPE_BYTES: usize = 64 << 10;

/// An empty pipe, not blocking at either end.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) read: OwnedFd,
    pub(crate) write: OwnedFd,
}

/// Pipes that nobody uses at the moment. The lock is held for a push or a pop.
#[derive(Debug)]
pub(crate) struct Pipes {
    free: Mutex<Vec<Pipe>>,
    made: AtomicUsize,
    max: usize,
}

impl Pipes {
    /// No pipes yet, and never more than `max`.
    pub(crate) fn new(max: usize) -> Self {
        Self { free: Mutex::default(), made: AtomicUsize::new(0), max }
    }

    /// An empty pipe; `None` if there are too many, or the system has none.
    pub(crate) fn take(&self) -> Option<Loan<'_>> {
        let pipe = self.pop().or_else(|| self.make())?;
        Some(Loan { pipes: self, pipe: Some(pipe) })
    }

    fn pop(&self) -> Option<Pipe> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn make(&self) -> Option<Pipe> {
        if self.made.fetch_add(1, Relaxed) < self.max
            && let Ok((read, write)) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        {
            return Some(Pipe { read, write });
        }
        self.made.fetch_sub(1, Relaxed);
        None
    }
}

/// A pipe in use. Dropping it closes it, with what is in it.
#[derive(Debug)]
pub(crate) struct Loan<'a> {
    pipes: &'a Pipes,
    /// `None` only while it is being dropped.
    pipe: Option<Pipe>,
}

impl Loan<'_> {
    /// The pipe.
    pub(crate) fn get(&self) -> Option<&Pipe> {
        self.pipe.as_ref()
    }

    /// Gives it back; it must be empty.
    pub(crate) fn give_back(mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.pipes.free.lock().unwrap_or_else(PoisonError::into_inner).push(pipe);
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if self.pipe.is_some() {
            self.pipes.made.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn pipes_are_used_again_and_bounded() {
        let pipes = Pipes::new(2);
        let number = |loan: &Loan<'_>| loan.get().unwrap().read.as_raw_fd();
        let (one, two) = (pipes.take().unwrap(), pipes.take().unwrap());
        assert!(pipes.take().is_none());
        let first = number(&one);
        one.give_back();
        let again = pipes.take().unwrap();
        assert_eq!(number(&again), first);
        // A pipe with bytes in it is not used again, and makes room for a new one.
        drop(two);
        assert!(pipes.take().is_some());
        assert_eq!(pipes.made.load(Relaxed), 1);
    }
}

//! `Transit`: a second pipe, between the pipe of a stream that floods and its file.
//!
//! A splice into a file holds the pipe's lock while it copies, and the app's writes wait for that
//! lock: the two take turns, however many processors there are. From a pipe to another only
//! references to pages move, so here the app writes on while its former bytes are copied. Bytes are
//! in one pipe or the other at any time, and somebody who outlives us holds both: a successor goes
//! on with what is in transit (traps A7).

use crate::{
    pump::PIECE_BYTES,
    sink::{Outcome, outcome},
};
use rpm_unix::pipe::{pipe, splice};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// A pipe in which bytes wait that are no longer in their stream's.
#[derive(Debug)]
pub(crate) struct Transit {
    pipe: OwnedFd,
    /// Bytes in it; of one that was taken over nobody knows how many.
    held: usize,
}

/// A new one for so many bytes, to be held by somebody who outlives us before anything goes in. As
/// large as the stream's pipe it takes all that one has at once, which was measured to be fastest.
pub fn create(bytes: usize) -> io::Result<OwnedFd> {
    // This end is open for reading as well: it is the whole pipe in one descriptor.
    Ok(pipe(Some(bytes))?.write)
}

impl Transit {
    /// Goes on with a pipe as it was left.
    pub(crate) fn open(pipe: OwnedFd) -> Self {
        Self { pipe, held: usize::MAX }
    }

    /// Moves bytes in from a stream's pipe, as many as there is room for.
    pub(crate) fn fill(&mut self, from: BorrowedFd<'_>) -> Outcome {
        let moved = outcome(splice(from, &self.pipe, PIECE_BYTES));
        if let Outcome::Moved(bytes) = &moved {
            self.held = self.held.saturating_add(*bytes);
        }
        moved
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// So many bytes were taken out; `None`: nothing was there.
    pub(crate) fn took(&mut self, bytes: Option<usize>) {
        self.held = match bytes {
            Some(bytes) if self.held != usize::MAX => self.held.saturating_sub(bytes),
            Some(_) => usize::MAX,
            None => 0,
        };
    }
}

impl AsFd for Transit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, io::Write};

    const BYTES: usize = 64 << 10;

    #[test]
    fn a_successor_finds_what_is_in_transit_before_what_is_behind_it() {
        let held = create(BYTES).unwrap();
        let ours = pipe(None).unwrap();
        let mut writer = File::from(ours.write);
        writer.write_all(b"one").unwrap();
        let mut transit = Transit::open(held.try_clone().unwrap());
        transit.took(None);
        assert!(transit.is_empty());
        assert!(matches!(transit.fill(ours.read.as_fd()), Outcome::Moved(3)));
        assert!(matches!(transit.fill(ours.read.as_fd()), Outcome::Empty));
        drop(transit);
        writer.write_all(b"two").unwrap();
        let mut transit = Transit::open(held);
        assert!(!transit.is_empty());
        let file = tempfile::tempfile().unwrap();
        let moved = splice(&transit, &file, 2).unwrap();
        transit.took(Some(moved));
        assert!(!transit.is_empty());
        assert!(matches!(transit.fill(ours.read.as_fd()), Outcome::Moved(3)));
        assert_eq!(splice(&transit, &file, 99).unwrap(), 4);
        let nothing = splice(&transit, &file, 99).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        transit.took(None);
        assert!(transit.is_empty());
    }

    #[test]
    fn it_takes_no_more_than_it_has_room_for() {
        let ours = pipe(Some(1 << 20)).unwrap();
        let mut writer = File::from(ours.write);
        let bytes = vec![b'x'; 2 * BYTES];
        writer.write_all(&bytes).unwrap();
        let mut transit = Transit::open(create(BYTES).unwrap());
        assert!(matches!(transit.fill(ours.read.as_fd()), Outcome::Moved(BYTES)));
        assert!(matches!(transit.fill(ours.read.as_fd()), Outcome::Empty));
    }
}

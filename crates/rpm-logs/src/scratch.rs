//! [`Tools`]: what all streams of a thread use in turn: the memory in which lines are framed, and
//! the pipe by which ends of lines are looked for.

use crate::{peek::Peek, spool::Spool};
use std::io;

/// Memory beyond this is given back after use: a long line had it made.
const KEEP_BYTES: usize = 1 << 20;

/// One for each thread.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) peek: Peek,
    pub(crate) scratch: Scratch,
}

impl Tools {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { peek: Peek::new()?, scratch: Scratch::default() })
    }
}

/// Lines on their way from a spool to files. Its memory is made once: clearing it for every look
/// would cost as much as the rest.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    room: Vec<u8>,
    loaded: usize,
    /// As they are written.
    pub(crate) framed: Vec<u8>,
}

impl Scratch {
    /// The lines as they came.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.room.get(..self.loaded).unwrap_or_default()
    }

    /// Reads what waits in a spool, at most `limit` bytes.
    pub(crate) fn load(&mut self, spool: &Spool, limit: usize) -> io::Result<()> {
        self.loaded = usize::try_from(spool.waiting()).unwrap_or(usize::MAX).min(limit);
        if self.room.len() < self.loaded {
            self.room.resize(self.loaded, 0);
        }
        spool.read(self.room.get_mut(..self.loaded).unwrap_or_default())
    }

    /// Only the first of the bytes are to be written now.
    pub(crate) fn keep(&mut self, length: usize) {
        self.loaded = self.loaded.min(length);
    }

    /// They are written.
    pub(crate) fn done(&mut self) {
        self.loaded = 0;
        for memory in [&mut self.room, &mut self.framed] {
            if memory.capacity() > KEEP_BYTES {
                *memory = Vec::new();
            }
        }
    }
}

//! [`Reader`]: the lines of one file, forwards, each with its time.

use super::{Timed, clock::Clock, files, modified};
use crate::{
    lines::{Piece, Splitter},
    times::Times,
};
use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
};

/// Bytes read at once.
const BLOCK_BYTES: usize = 64 << 10;

/// Reads one file.
pub(super) struct Reader {
    input: Box<dyn Read + Send>,
    splitter: Splitter,
    clock: Clock,
    /// Where the next line begins.
    offset: u64,
    ready: VecDeque<Timed>,
    /// So many bytes of the next line stood in the file before.
    carried: usize,
    /// Bytes that were read for the clock.
    first: Vec<u8>,
    /// So many lines are still to be left out.
    pub(super) skip: usize,
}

/// Bytes `from..to` of an open file.
pub(super) fn open(file: File, times: Option<Times>, from: u64, to: u64) -> io::Result<Reader> {
    let changed = modified(&file.metadata()?);
    Reader::new(Box::new(Section { file, from, to }), times, from, changed)
}

/// Bytes `from..to` of a rotated file, once it is unpacked.
pub(super) fn open_rotated(path: &Path, from: u64, to: u64) -> io::Result<Reader> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !files::is_compressed(path) {
        let times = Times::open(path, Some(&metadata));
        return open(file, times, from, to);
    }
    let mut input = files::unpacked(path, file)?;
    io::copy(&mut input.by_ref().take(from), &mut io::sink())?;
    let input = Box::new(input.take(to - from));
    Reader::new(input, Times::open(path, None), from, modified(&metadata))
}

impl Reader {
    fn new(
        mut input: Box<dyn Read + Send>,
        times: Option<Times>,
        offset: u64,
        changed: u64,
    ) -> io::Result<Self> {
        let mut first = Vec::new();
        if times.is_none() {
            let peek = super::clock::PEEK_BYTES as u64;
            input.by_ref().take(peek).read_to_end(&mut first)?;
        }
        let clock = Clock::new(times, offset, &first, changed);
        let (splitter, ready) = (Splitter::default(), VecDeque::new());
        Ok(Self { input, splitter, clock, offset, ready, carried: 0, first, skip: 0 })
    }

    /// The next line. `rest` is what the file before ended with: it begins the first line.
    pub(super) fn next(&mut self, rest: &mut Vec<u8>) -> io::Result<Option<Timed>> {
        if !rest.is_empty() {
            self.carried = rest.len();
            self.splitter = Splitter::beginning(std::mem::take(rest));
        }
        while self.ready.is_empty() {
            let block = self.block()?;
            if block.is_empty() {
                return Ok(None);
            }
            let Self { splitter, clock, offset, ready, carried, .. } = self;
            splitter.push(&block, |Piece { text, ends }| {
                let at = clock.at(*offset, &text);
                let length = text.len().saturating_sub(std::mem::take(carried));
                *offset += length as u64 + u64::from(ends);
                ready.push_back(Timed { at, text, ends });
            });
        }
        Ok(self.ready.pop_front())
    }

    fn block(&mut self) -> io::Result<Vec<u8>> {
        if !self.first.is_empty() {
            return Ok(std::mem::take(&mut self.first));
        }
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match self.input.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    block.truncate(count);
                    return Ok(block);
                }
            }
        }
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What stands behind the last newline, if anything.
    pub(super) fn unfinished(&mut self) -> Option<Timed> {
        let text = self.take_rest();
        let at = self.clock.at(self.offset, &text);
        (!text.is_empty()).then_some(Timed { at, text, ends: false })
    }

    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.splitter.take_rest()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("clock", &self.clock).field("offset", &self.offset).finish()
    }
}

/// A part of a file, by offsets, so that nobody else's reading moves it.
struct Section {
    file: File,
    from: u64,
    to: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.to - self.from).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..length).unwrap_or_default(), self.from)?;
        self.from += count as u64;
        Ok(count)
    }
}

//! [`Spooled`]: one stream by way of its spool into its files, line by line: framed, merged, or
//! into several files at once. Every write is in the journal, so that a kill repeats none.

use crate::{
    frame::{Frame, MAX_LINE_BYTES, Run, lines, run},
    scratch::Scratch,
    ship::Shipper,
    sink::{LogFile, Outcome, Place},
    spool::{Intent, Spool},
    times::now_ms,
};
use std::{
    collections::VecDeque,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::Arc,
};

/// Bytes framed and written at once; a longer line takes more.
const BATCH_BYTES: usize = 256 << 10;
/// Last lines kept for the record of an exit.
const LAST_LINES: usize = 50;
/// Of each, so many bytes.
const LAST_LINE_BYTES: usize = 4096;

/// A stream's spool, files and senders.
#[derive(Debug)]
pub(crate) struct Spooled {
    spool: Spool,
    frame: Frame,
    files: Vec<Arc<LogFile>>,
    ships: Vec<Shipper>,
    last: VecDeque<Vec<u8>>,
}

/// What to do with a file that takes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Throw the bytes away and count them.
    #[default]
    Drop,
    /// Let the app wait.
    Block,
}

/// What a try to write came to.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Bytes of the stream that are in all files.
    pub(crate) bytes: u64,
    /// Bytes that are missing in a file for good.
    pub(crate) dropped: u64,
    /// Why; or why nothing goes on, if nothing was dropped.
    pub(crate) error: Option<io::Error>,
}

/// How urgently the beginning of a line is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urge {
    /// Only whole lines.
    Lines,
    /// It has waited long enough.
    Now,
    /// Its end will not come.
    Ended,
}

impl Spooled {
    /// Goes on with `memory` as a predecessor left it.
    pub(crate) fn new(
        memory: OwnedFd,
        frame: Frame,
        files: Vec<Arc<LogFile>>,
        ships: Vec<Shipper>,
    ) -> io::Result<Self> {
        let spool = Spool::open(memory)?;
        let mut spooled = Self { spool, frame, files, ships, last: VecDeque::new() };
        spooled.settle()?;
        Ok(spooled)
    }

    /// Looks whether the write that a predecessor began was done, as long as nobody else writes to
    /// that file, and takes back half of one. The journal says it from then on.
    fn settle(&mut self) -> io::Result<()> {
        let Some(intent) = self.spool.intent() else { return Ok(()) };
        let file = self.files.get(first(intent.target));
        let done = file.is_some_and(|file| file.has(intent.place, intent.length) == Some(true));
        let target = intent.target + u64::from(done);
        self.spool.begin(Intent { target, place: Place::NONE, ..intent })
    }

    pub(crate) fn files(&self) -> &[Arc<LogFile>] {
        &self.files
    }

    /// Moves bytes from `pipe` into the spool.
    pub(crate) fn fill(&mut self, pipe: BorrowedFd<'_>) -> Outcome {
        self.spool.fill(pipe)
    }

    /// Nothing more can be taken now.
    pub(crate) fn is_full(&self) -> bool {
        self.spool.is_full()
    }

    /// Bytes that are not in the files yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.spool.waiting()
    }

    /// The last lines of the stream, as they came, with what is not a whole line yet.
    pub(crate) fn last_lines(&self) -> Vec<Vec<u8>> {
        let mut rest = Scratch::default();
        // Where the rest cannot be read there is only less to show.
        let read = rest.load(&self.spool, LAST_LINE_BYTES);
        let rest = lines(rest.bytes()).filter(|_| read.is_ok()).map(<[u8]>::to_vec);
        let mut all: Vec<_> = self.last.iter().cloned().chain(rest).collect();
        all.drain(..all.len().saturating_sub(LAST_LINES));
        all
    }

    /// Writes what waits, as far as lines end or `urge` says.
    ///
    /// # Errors
    /// The spool itself fails; nothing of that is a file's fault.
    pub(crate) fn write(
        &mut self,
        urge: Urge,
        when_full: WhenFull,
        scratch: &mut Scratch,
    ) -> io::Result<Written> {
        let mut all = Written::default();
        if let Some(intent) = self.spool.intent() {
            scratch.load(&self.spool, self.spool.until(intent.to))?;
            self.frame(intent.cut, intent.at, scratch);
            if !self.deliver(intent, when_full, scratch, &mut all)? {
                return Ok(all);
            }
        }
        while let Some(intent) = self.next(urge, scratch)? {
            if !self.deliver(intent, when_full, scratch, &mut all)? {
                return Ok(all);
            }
            self.publish(intent.at, scratch.bytes());
        }
        scratch.done();
        Ok(all)
    }

    /// The next run of lines, framed.
    fn next(&mut self, urge: Urge, scratch: &mut Scratch) -> io::Result<Option<Intent>> {
        if self.spool.waiting() == 0 {
            return Ok(None);
        }
        for limit in [BATCH_BYTES, MAX_LINE_BYTES] {
            scratch.load(&self.spool, limit)?;
            let is_all = self.spool.waiting() <= limit as u64;
            let force = urge != Urge::Lines && is_all;
            if let Some(run) = run(scratch.bytes(), force, urge == Urge::Ended) {
                let at = now_ms();
                let run = self.frame_what_fits(run, at, scratch);
                let to = self.spool.after(run.length);
                let (place, length) = (Place::NONE, scratch.framed.len() as u64);
                return Ok(Some(Intent { to, at, target: 0, place, length, cut: run.cut }));
            }
            if is_all {
                break;
            }
        }
        Ok(None)
    }

    /// Frames a run of lines, or so many of them as a file may have.
    fn frame_what_fits(&self, mut run: Run, at: u64, scratch: &mut Scratch) -> Run {
        let room = self.files.iter().filter_map(|file| file.max_size()).min();
        let room = room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
        loop {
            scratch.keep(run.length);
            self.frame(run.cut, at, scratch);
            let fewer = (scratch.framed.len() > room).then(|| half(scratch.bytes())).flatten();
            let Some(length) = fewer else { return run };
            run = Run { length, cut: false };
        }
    }

    fn frame(&self, cut: bool, at: u64, scratch: &mut Scratch) {
        let mut framed = std::mem::take(&mut scratch.framed);
        framed.clear();
        self.frame.write(scratch.bytes(), cut, at, &mut framed);
        scratch.framed = framed;
    }

    /// Writes what is framed to each file from the intent's on; false: one of them lets us wait.
    fn deliver(
        &mut self,
        intent: Intent,
        when_full: WhenFull,
        scratch: &Scratch,
        all: &mut Written,
    ) -> io::Result<bool> {
        let length = scratch.framed.len() as u64;
        let mut whole = true;
        for (number, file) in self.files.iter().enumerate().skip(first(intent.target)) {
            let target = number as u64;
            let spool = &mut self.spool;
            let written = file.append(&scratch.framed, |place| {
                spool.begin(Intent { target, place, length, ..intent })
            });
            if let Err(error) = written {
                all.error = Some(error);
                if when_full == WhenFull::Block {
                    return Ok(false);
                }
                whole = false;
            }
        }
        let bytes = scratch.bytes().len() as u64;
        *(if whole { &mut all.bytes } else { &mut all.dropped }) += bytes;
        self.spool.finish(intent.to)?;
        Ok(true)
    }

    /// Tells the senders, and remembers the last lines.
    fn publish(&mut self, at: u64, bytes: &[u8]) {
        for ship in &mut self.ships {
            lines(bytes).for_each(|line| ship.send(line, at));
        }
        let newest = bytes.rsplitn(LAST_LINES + 1, |byte| *byte == b'\n');
        let length: usize = newest.take(LAST_LINES).map(|line| line.len() + 1).sum();
        let from = bytes.len().saturating_sub(length);
        for line in lines(bytes.get(from..).unwrap_or_default()) {
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            self.last.push_back(line.get(..LAST_LINE_BYTES).unwrap_or(line).to_vec());
        }
    }
}

/// About half of these lines; `None`: it is one.
fn half(bytes: &[u8]) -> Option<usize> {
    let middle = bytes.len() / 2;
    let is_end = |byte: &u8| *byte == b'\n';
    let before = bytes.get(..middle)?.iter().rposition(is_end);
    let end = before.or_else(|| Some(middle + bytes.get(middle..)?.iter().position(is_end)?))?;
    Some(end + 1).filter(|length| *length < bytes.len())
}

fn first(target: u64) -> usize {
    usize::try_from(target).unwrap_or(usize::MAX)
}

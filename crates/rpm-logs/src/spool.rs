//! `Spool`: what was taken from a pipe and is not yet in a file, in a memory file that outlives
//! the daemon (traps A7).
//!
//! Bytes come by splice, behind the first page, and the description's offset says how many came: it
//! moves with them. The first page is a journal of one record: how many bytes are dealt with, and
//! what is being written where. A record is written before the file is, and again after it, each
//! time with one write within one page, which no kill divides. So a successor knows whether a write
//! was done, and repeats it with the same time if not.

use crate::sink::{Outcome, Place, outcome};
use rpm_unix::{memfd, pipe::splice};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
};

/// Where bytes begin: behind the journal's page.
const BEGIN: u64 = 4096;
/// Bytes a spool may hold before nothing more is taken from its pipe: the longest line and more.
pub(crate) const MAX_BYTES: u64 = 2 << 20;
/// Memory that was dealt with is given back in such portions while more is coming.
const GIVE_BACK: u64 = 1 << 20;
/// What a spool without waiting bytes keeps at most: giving back each line's memory would cost more
/// than writing it.
const KEPT_BYTES: u64 = 16 << 10;
/// Numbers in the journal.
const FIELDS: usize = 10;
/// `rpmspol1`: the version of this layout.
const MAGIC: u64 = u64::from_le_bytes(*b"rpmspol1");

/// A write that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Up to where the spool is written.
    pub(crate) to: u64,
    /// The time its lines are given, in milliseconds since the epoch.
    pub(crate) at: u64,
    /// To which of the stream's files; those before it are done.
    pub(crate) target: u64,
    /// Where in it.
    pub(crate) place: Place,
    /// How many bytes.
    pub(crate) length: u64,
    /// Its last line goes on later.
    pub(crate) cut: bool,
}

/// The bytes between a pipe and a stream's files.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    /// Up to here all is dealt with.
    done: u64,
    /// Up to here bytes came.
    filled: u64,
    /// Up to here memory was given back.
    given_back: u64,
    intent: Option<Intent>,
}

/// A new spool's memory, to be held by somebody who outlives us, and then given to a stream.
pub fn create() -> io::Result<OwnedFd> {
    let memory = memfd::empty(c"rpm-spool")?;
    let file = File::from(memory.try_clone()?);
    write(&file, BEGIN, None)?;
    (&file).seek(SeekFrom::Start(BEGIN))?;
    Ok(memory)
}

impl Spool {
    /// Goes on with the memory as it was left.
    pub(crate) fn open(memory: OwnedFd) -> io::Result<Self> {
        let mut file = File::from(memory);
        let (done, intent) = read(&file)?;
        let filled = file.stream_position()?.max(done);
        Ok(Self { file, done, filled, given_back: BEGIN, intent })
    }

    /// Moves bytes from `pipe`, as many as there is room for.
    pub(crate) fn fill(&mut self, pipe: BorrowedFd<'_>) -> Outcome {
        let room = usize::try_from(MAX_BYTES.saturating_sub(self.waiting())).unwrap_or(0);
        if room == 0 {
            return Outcome::Empty;
        }
        let outcome = outcome(splice(pipe, &self.file, room));
        if let Outcome::Moved(bytes) = &outcome {
            self.filled += *bytes as u64;
        }
        outcome
    }

    /// Bytes that came and are not dealt with.
    pub(crate) fn waiting(&self) -> u64 {
        self.filled.saturating_sub(self.done)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting() >= MAX_BYTES
    }

    /// The write that a predecessor began.
    pub(crate) fn intent(&self) -> Option<Intent> {
        self.intent
    }

    /// Reads the first of the waiting bytes, of which there must be as many.
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(room, self.done)
    }

    /// Where the spool is when `bytes` more are dealt with.
    pub(crate) fn after(&self, bytes: usize) -> u64 {
        self.done + bytes as u64
    }

    /// Bytes between what is dealt with and `to`.
    pub(crate) fn until(&self, to: u64) -> usize {
        usize::try_from(to.saturating_sub(self.done)).unwrap_or(0)
    }

    /// Notes what is about to be written.
    pub(crate) fn begin(&mut self, intent: Intent) -> io::Result<()> {
        write(&self.file, self.done, Some(intent))?;
        self.intent = Some(intent);
        Ok(())
    }

    /// All up to `to` is dealt with.
    pub(crate) fn finish(&mut self, to: u64) -> io::Result<()> {
        self.done = to.min(self.filled);
        self.intent = None;
        write(&self.file, self.done, None)?;
        let all = self.done == self.filled;
        if self.done - self.given_back >= if all { KEPT_BYTES } else { GIVE_BACK } {
            // Kept memory is bounded all the same: the next portion gives back this one, too.
            let _kept = memfd::punch(self.file.as_fd(), BEGIN.max(self.given_back), self.done);
            // The page of the last byte may have been given back in part.
            self.given_back = self.done & !(BEGIN - 1);
        }
        Ok(())
    }
}

fn write(file: &File, done: u64, intent: Option<Intent>) -> io::Result<()> {
    let mut fields = [0; FIELDS];
    let numbers = match intent {
        None => [MAGIC, done, 0, 0, 0, 0, 0, 0, 0, 0],
        Some(Intent { to, at, target, place, length, cut }) => {
            let Place { device, inode, offset } = place;
            [MAGIC, done, to, at, target, device, inode, offset, length, u64::from(cut)]
        }
    };
    fields.copy_from_slice(&numbers);
    let bytes: Vec<u8> = fields.iter().flat_map(|number: &u64| number.to_le_bytes()).collect();
    file.write_all_at(&bytes, 0)
}

fn read(file: &File) -> io::Result<(u64, Option<Intent>)> {
    let mut bytes = [0; FIELDS * 8];
    file.read_exact_at(&mut bytes, 0)?;
    let mut fields = [0; FIELDS];
    for (field, bytes) in fields.iter_mut().zip(bytes.as_chunks().0) {
        *field = u64::from_le_bytes(*bytes);
    }
    let [magic, done, to, at, target, device, inode, offset, length, cut] = fields;
    if magic != MAGIC || done < BEGIN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a spool"));
    }
    let place = Place { device, inode, offset };
    let intent = (to > done).then_some(Intent { to, at, target, place, length, cut: cut != 0 });
    Ok((done, intent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_unix::pipe::pipe;
    use std::io::Write;

    const INTENT: Intent = Intent {
        to: BEGIN + 3,
        at: 7,
        target: 1,
        place: Place { device: 2, inode: 3, offset: 4 },
        length: 5,
        cut: true,
    };

    #[test]
    fn a_successor_finds_what_was_taken_and_what_was_begun() {
        let memory = create().unwrap();
        let ours = pipe(None).unwrap();
        let mut writer = File::from(ours.write);
        writer.write_all(b"a\nb").unwrap();
        let mut spool = Spool::open(memory.try_clone().unwrap()).unwrap();
        assert!(matches!(spool.fill(ours.read.as_fd()), Outcome::Moved(3)));
        let mut bytes = [0; 2];
        spool.begin(INTENT).unwrap();
        drop(spool);
        let mut spool = Spool::open(memory.try_clone().unwrap()).unwrap();
        assert_eq!((spool.waiting(), spool.intent()), (3, Some(INTENT)));
        spool.finish(spool.after(2)).unwrap();
        writer.write_all(b"c").unwrap();
        assert!(matches!(spool.fill(ours.read.as_fd()), Outcome::Moved(1)));
        drop(spool);
        let spool = Spool::open(memory).unwrap();
        assert_eq!(spool.waiting(), 2);
        spool.read(&mut bytes).unwrap();
        assert_eq!((&bytes, spool.intent()), (b"bc", None));
    }

    #[test]
    fn a_full_spool_takes_nothing_and_memory_is_given_back() {
        let memory = create().unwrap();
        let ours = pipe(Some(1 << 20)).unwrap();
        let mut writer = File::from(ours.write);
        let mut spool = Spool::open(memory.try_clone().unwrap()).unwrap();
        let block = vec![b'x'; 64 << 10];
        for _ in 0..MAX_BYTES / block.len() as u64 {
            writer.write_all(&block).unwrap();
            while matches!(spool.fill(ours.read.as_fd()), Outcome::Moved(_)) {}
        }
        assert!(spool.is_full());
        writer.write_all(b"y").unwrap();
        assert!(matches!(spool.fill(ours.read.as_fd()), Outcome::Empty));
        spool.finish(spool.after(2 << 20)).unwrap();
        assert!(matches!(spool.fill(ours.read.as_fd()), Outcome::Moved(1)));
        spool.finish(spool.after(1)).unwrap();
        let blocks =
            std::os::unix::fs::MetadataExt::blocks(&File::from(memory).metadata().unwrap());
        assert!(blocks * 512 <= 2 * 4096, "{blocks}");
    }

    #[test]
    fn other_files_are_no_spools() {
        assert!(Spool::open(memfd::empty(c"x").unwrap()).is_err());
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 100], 0).unwrap();
        assert!(Spool::open(file.into()).is_err());
    }
}

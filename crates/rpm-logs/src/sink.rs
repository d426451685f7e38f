//! [`LogFile`]: one log file, however many pipes end in it.
//!
//! Bytes come by splice, which moves them out of the pipe and into the file as one step of the
//! kernel, always to the file's end: a daemon killed at any moment leaves neither a gap nor a
//! repetition, and its successor opens the path and goes on (traps A7). splice refuses append mode,
//! so the writer itself says where the end is; it alone rotates, and notices when somebody else
//! truncated, moved or removed the file.

mod open_file;
mod portion;

use crate::{
    open::Access,
    rotate::{
        self,
        plan::Plan,
        total::{Share, Totals},
    },
    times::now_ms,
};
use open_file::{Open, RETRY_MS};
pub(crate) use portion::Portion;
use portion::Size;
use std::{
    io::{self, ErrorKind},
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// How a file is made and kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who may read it.
    pub access: Access,
    /// When it is rotated; `None`: never.
    pub rotate: Option<Plan>,
}

/// An open log file.
#[derive(Debug)]
pub struct LogFile {
    log: Log,
    /// Pipes that end here now: with several, each gives whole lines only.
    pipes: AtomicUsize,
    /// Held for a few system calls, never across a wait: two writes at one offset would write over
    /// each other.
    open: Mutex<State>,
}

/// What does not change of it.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    rules: Rules,
    share: Share,
}

impl Log {
    /// Bytes it may have before it is rotated; `None`: any number.
    fn max_size(&self) -> Option<u64> {
        let plan = self.rules.rotate.as_ref()?;
        [plan.max_size, self.share.of(&self.path)].into_iter().flatten().min()
    }
}

/// A file that could not be opened is tried again with the next bytes.
#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// It is reckoned with among the others.
    joined: bool,
    /// Not before this.
    retry_at: u64,
}

/// What one attempt to write did.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Bytes that are in the file now.
    Moved(usize),
    /// The pipe is empty.
    Empty,
    /// The pipe holds the beginning of a line, and others write to the file.
    Unfinished,
    /// The pipe is empty and nobody has it open for writing.
    End,
    /// The file takes nothing; the bytes are still in the pipe, but for `lost`.
    Failed { error: io::Error, lost: usize },
}

/// Where in which file something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) offset: u64,
}

impl Place {
    /// In no file: nothing was begun.
    pub(crate) const NONE: Self = Self { device: 0, inode: 0, offset: 0 };
}

impl LogFile {
    /// The file at `path`, opened with the first bytes. Missing directories are made (0700). A path
    /// that is a terminal, a device or a named pipe works too; the latter needs its reader.
    pub fn new(path: impl Into<PathBuf>, rules: Rules) -> Self {
        Self::among(Arc::default(), "", path, rules)
    }

    /// One that shares limits with others of its app and with all.
    pub(crate) fn among(
        totals: Arc<Totals>,
        app: &str,
        path: impl Into<PathBuf>,
        rules: Rules,
    ) -> Self {
        let log = Log { path: path.into(), rules, share: Share::new(totals, app) };
        Self { log, pipes: AtomicUsize::new(0), open: Mutex::default() }
    }

    /// Opens it now.
    pub fn open(path: impl Into<PathBuf>, rules: Rules) -> io::Result<Self> {
        let file = Self::new(path, rules);
        file.ensure()?;
        Ok(file)
    }

    /// Opens it, if it is not.
    pub(crate) fn ensure(&self) -> io::Result<()> {
        self.opened(&mut self.lock()).map(drop)
    }

    fn opened<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Open> {
        if state.open.is_none() {
            if now_ms() < state.retry_at {
                return Err(io::Error::other("it could not be opened a moment ago"));
            }
            state.retry_at = now_ms() + RETRY_MS;
            let file = Open::new(&self.log)?;
            if let Some(plan) = &self.log.rules.rotate
                && file.is_regular()
            {
                self.join(plan, std::mem::replace(&mut state.joined, true));
            }
            state.open = Some(file);
        }
        state.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn join(&self, plan: &Plan, again: bool) {
        let Log { path, share, .. } = &self.log;
        if !again && share.totals.join_again(path, &share.app, plan) {
            return;
        }
        // What is left of a former life need not be in order for the log to go on.
        let kept = rotate::settle(path, plan).unwrap_or_default();
        if !again {
            share.totals.join(path, &share.app, plan, kept);
        }
    }

    /// Bytes it may have before it is rotated; `None`: any number.
    pub(crate) fn max_size(&self) -> Option<u64> {
        self.log.max_size()
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.log.path
    }

    /// How it is made and kept.
    pub fn rules(&self) -> &Rules {
        &self.log.rules
    }

    /// Counts one pipe more or less that ends here.
    pub(crate) fn joined(&self) {
        self.pipes.fetch_add(1, Relaxed);
    }

    pub(crate) fn left(&self) {
        self.pipes.fetch_sub(1, Relaxed);
    }

    /// Opens the path anew: an outside logrotate has moved the file. On an error the old file stays
    /// in use.
    pub fn reopen(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.open = Some(Open::new(&self.log)?);
        Ok(())
    }

    /// Writes what is in memory of the file's time index: somebody is about to read it.
    pub fn flush_times(&self) {
        if let Some(open) = &mut self.lock().open {
            open.times.flush(now_ms());
        }
    }

    /// Moves bytes from `pipe`.
    pub(crate) fn take(&self, pipe: BorrowedFd<'_>, mut portion: Portion<'_>) -> Outcome {
        let mut state = self.lock();
        let open = match self.opened(&mut state) {
            Ok(open) => open,
            Err(error) => return Outcome::Failed { error, lost: 0 },
        };
        let offset = match open.prepare(&self.log) {
            Ok(offset) => offset,
            Err(error) => return Outcome::Failed { error, lost: 0 },
        };
        let whole = !portion.unfinished && self.pipes.load(Relaxed) > 1;
        let max = self.log.max_size();
        let max = max.filter(|_| open.is_regular() && open.retry_at <= now_ms());
        let (limit, then_rotate) = match portion.size(pipe, max.map(|max| (max, offset)), whole) {
            Size::Take(limit) => (limit, false),
            Size::Last(limit) => (limit, true),
            Size::Rotate => {
                return match open.rotate(&self.log) {
                    // The next attempt finds a new file.
                    Ok(()) => Outcome::Moved(0),
                    // It grows beyond its size rather than that bytes are lost.
                    Err(_) => open.take_now(pipe, offset, portion.limit),
                };
            }
            Size::Wait => return Outcome::Unfinished,
            Size::Not(outcome) => return outcome,
        };
        let outcome = open.take_now(pipe, offset, limit);
        if then_rotate && matches!(outcome, Outcome::Moved(bytes) if bytes > 0) {
            // If it fails, the next attempt tells by the file's size.
            let _later = open.rotate(&self.log);
        }
        outcome
    }

    /// Writes `bytes`, all or nothing; `before` is told where, just before that. Where it is not
    /// told again it can be looked up with [`Self::has`].
    pub(crate) fn append(
        &self,
        bytes: &[u8],
        before: impl FnOnce(Place) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.lock();
        let open = self.opened(&mut state)?;
        let mut offset = open.prepare(&self.log)?;
        let max = self.log.max_size();
        let full = max.is_some_and(|max| offset > 0 && offset + bytes.len() as u64 > max);
        if full && open.is_regular() && open.retry_at <= now_ms() {
            // Where it fails the file grows beyond its size.
            let _later = open.rotate(&self.log);
            offset = open.prepare(&self.log)?;
        }
        let (device, inode) = open.identity;
        before(Place { device, inode, offset })?;
        let written = open.write(bytes, offset);
        match &written {
            Ok(()) => open.times.note(offset, now_ms()),
            // Half a line is none.
            Err(_) if open.is_regular() => open.cut(offset),
            Err(_) => {}
        }
        written
    }

    /// After a crash: whether `length` bytes at `place` are in this file. If only some are, they
    /// are removed. `None`: it is another file.
    pub(crate) fn has(&self, place: Place, length: u64) -> Option<bool> {
        let mut state = self.lock();
        let open = self.opened(&mut state).ok()?;
        let metadata = open.file.metadata().ok()?;
        if open.identity != (place.device, place.inode) || !metadata.is_file() {
            return None;
        }
        let whole = metadata.len() >= place.offset + length;
        if !whole && metadata.len() > place.offset {
            open.cut(place.offset);
        }
        Some(whole)
    }

    /// A thread that died holding the lock leaves a file that is as good as before.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        let state = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.joined {
            let length = state.open.as_ref().and_then(|open| open.file.metadata().ok());
            self.log.share.totals.leave(&self.log.path, length.map_or(0, |file| file.len()));
        }
    }
}

/// What a system call on a pipe says.
pub(crate) fn outcome(moved: io::Result<usize>) -> Outcome {
    match moved {
        Ok(0) => Outcome::End,
        Ok(bytes) => Outcome::Moved(bytes),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Outcome::Empty,
        // Nothing was moved; the caller asks again.
        Err(error) if error.kind() == ErrorKind::Interrupted => Outcome::Moved(0),
        Err(error) => Outcome::Failed { error, lost: 0 },
    }
}

#[cfg(test)]
mod tests;

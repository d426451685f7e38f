//! [`LogFile`]: one log file, however many pipes end in it.
//!
//! Bytes come by splice, which moves them out of the pipe and into the file as one step of the
//! kernel, always to the file's end: a daemon killed at any moment leaves neither a gap nor a
//! repetition, and its successor opens the path and goes on (traps A7). splice refuses append mode,
//! so the writer itself looks where the end is; it alone rotates, and notices when somebody else
//! truncated, moved or removed the file.

mod portion;

use crate::{
    open::{Access, open},
    rotate::{self, plan::Plan},
    times::{TimesWriter, now_ms},
};
pub(crate) use portion::Portion;
use portion::Size;
use rpm_unix::pipe::splice;
use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Bytes copied at once to what cannot be spliced to: a terminal, a device.
const COPY_BYTES: usize = 64 << 10;
/// How often a file that is written to is looked for at its path, in milliseconds.
const LOOK_MS: u64 = 1000;
/// How long a rotation or a look that failed is not tried again, in milliseconds.
const RETRY_MS: u64 = 1000;

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
    path: PathBuf,
    rules: Rules,
    /// Pipes that end here now: with several, each gives whole lines only.
    pipes: AtomicUsize,
    /// Held for a few system calls, never across a wait: two writes at one offset would write over
    /// each other.
    open: Mutex<State>,
}

/// A file that could not be opened is tried again with the next bytes.
#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// Not before this.
    retry_at: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    method: Method,
    /// When what was written.
    times: TimesWriter,
    /// When the path is looked at next.
    look_at: u64,
    /// When a new file is begun whatever its size.
    rotate_at: Option<u64>,
    /// No rotation before this: the last one failed.
    retry_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Splice,
    /// Loses what is in the daemon's hands if it is killed; only where splice does not work.
    Copy,
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

impl LogFile {
    /// The file at `path`, opened with the first bytes. Missing directories are made (0700). A path
    /// that is a terminal, a device or a named pipe works too; the latter needs its reader.
    pub fn new(path: impl Into<PathBuf>, rules: Rules) -> Self {
        Self { path: path.into(), rules, pipes: AtomicUsize::new(0), open: Mutex::default() }
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
            let file = Open::new(&self.path, &self.rules)?;
            if let Some(plan) = &self.rules.rotate
                && file.is_regular()
            {
                // What is left of a former life need not be in order for the log to go on.
                let _unsettled = rotate::settle(&self.path, plan);
            }
            state.open = Some(file);
        }
        state.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is made and kept.
    pub fn rules(&self) -> &Rules {
        &self.rules
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
        state.open = Some(Open::new(&self.path, &self.rules)?);
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
        let offset = match open.prepare(&self.path, &self.rules) {
            Ok(offset) => offset,
            Err(error) => return Outcome::Failed { error, lost: 0 },
        };
        let whole = !portion.unfinished && self.pipes.load(Relaxed) > 1;
        let max = self.rules.rotate.as_ref().and_then(|plan| plan.max_size);
        let max = max.filter(|_| open.is_regular() && open.retry_at <= now_ms());
        let (limit, then_rotate) = match portion.size(pipe, max.map(|max| (max, offset)), whole) {
            Size::Take(limit) => (limit, false),
            Size::Last(limit) => (limit, true),
            Size::Rotate => {
                return match open.rotate(&self.path, &self.rules) {
                    // The next attempt finds a new file.
                    Ok(()) => Outcome::Moved(0),
                    // It grows beyond its size rather than that bytes are lost.
                    Err(_) => take_now(open, pipe, offset, portion.limit),
                };
            }
            Size::Wait => return Outcome::Unfinished,
            Size::Not(outcome) => return outcome,
        };
        let outcome = take_now(open, pipe, offset, limit);
        if then_rotate && matches!(outcome, Outcome::Moved(bytes) if bytes > 0) {
            // If it fails, the next attempt tells by the file's size.
            let _later = open.rotate(&self.path, &self.rules);
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
        let mut offset = open.prepare(&self.path, &self.rules)?;
        let max = self.rules.rotate.as_ref().and_then(|plan| plan.max_size);
        let full = max.is_some_and(|max| offset > 0 && offset + bytes.len() as u64 > max);
        if full && open.is_regular() && open.retry_at <= now_ms() {
            // Where it fails the file grows beyond its size.
            let _later = open.rotate(&self.path, &self.rules);
            offset = open.prepare(&self.path, &self.rules)?;
        }
        let metadata = open.file.metadata()?;
        before(Place { device: metadata.dev(), inode: metadata.ino(), offset })?;
        let written = open.file.write_all(bytes);
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
        if (metadata.dev(), metadata.ino()) != (place.device, place.inode) || !metadata.is_file() {
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

fn take_now(open: &mut Open, pipe: BorrowedFd<'_>, at: u64, limit: usize) -> Outcome {
    let outcome = open.take(pipe, limit);
    if matches!(outcome, Outcome::Moved(bytes) if bytes > 0) {
        open.times.note(at, now_ms());
    }
    outcome
}

impl Open {
    fn new(path: &Path, rules: &Rules) -> io::Result<Self> {
        let file = open(path, rules.access)?;
        let metadata = file.metadata()?;
        let method = if metadata.is_file() { Method::Splice } else { Method::Copy };
        let now = now_ms();
        let interval = rules.rotate.as_ref().and_then(|plan| plan.interval.as_ref());
        // A file with lines of a former day is of that day.
        let since = if metadata.len() > 0 { modified(&metadata).unwrap_or(now) } else { now };
        Ok(Self {
            times: TimesWriter::open(path, &metadata),
            file,
            method,
            look_at: now + LOOK_MS,
            rotate_at: interval.and_then(|interval| interval.after(since)),
            retry_at: 0,
        })
    }

    fn is_regular(&self) -> bool {
        self.method == Method::Splice || self.file.metadata().is_ok_and(|found| found.is_file())
    }

    /// Everything but the writing: the file is there, not too old, and we are at its end. Where the
    /// next byte goes.
    fn prepare(&mut self, path: &Path, rules: &Rules) -> io::Result<u64> {
        let now = now_ms();
        if now >= self.look_at {
            self.look_at = now + LOOK_MS;
            self.look(path, rules);
        }
        let length = self.seek_to_end()?;
        let due = self.rotate_at.is_some_and(|at| now >= at) && now >= self.retry_at;
        if !due {
            return Ok(length);
        }
        if length == 0 {
            let interval = rules.rotate.as_ref().and_then(|plan| plan.interval.as_ref());
            self.rotate_at = interval.and_then(|interval| interval.after(now));
            return Ok(0);
        }
        // Where it fails the old file goes on.
        let _later = self.rotate(path, rules);
        self.seek_to_end()
    }

    /// Goes to the path's file if that is another by now: the old one was moved or removed.
    fn look(&mut self, path: &Path, rules: &Rules) {
        let ours = self.file.metadata().map(|ours| identity(&ours));
        let moved = match (ours, std::fs::metadata(path)) {
            (Ok(ours), Ok(theirs)) => ours != identity(&theirs),
            (_, Err(error)) => error.kind() == ErrorKind::NotFound,
            (Err(_), Ok(_)) => false,
        };
        if moved && let Ok(new) = Self::new(path, rules) {
            *self = new;
        }
    }

    fn rotate(&mut self, path: &Path, rules: &Rules) -> io::Result<()> {
        let Some(plan) = &rules.rotate else { return Ok(()) };
        let done = self.try_rotate(path, rules, plan);
        if done.is_err() {
            self.retry_at = now_ms() + RETRY_MS;
        }
        done
    }

    fn try_rotate(&mut self, path: &Path, rules: &Rules, plan: &Plan) -> io::Result<()> {
        self.times.flush(now_ms());
        // Somebody was faster; then there is a file of ours at the path, or none.
        let ours = std::fs::metadata(path).is_ok_and(|theirs| {
            self.file.metadata().is_ok_and(|ours| identity(&ours) == identity(&theirs))
        });
        if ours {
            rotate::put_away(path, plan, self.file.metadata()?.len())?;
        }
        *self = Self::new(path, rules)?;
        Ok(())
    }

    fn take(&mut self, pipe: BorrowedFd<'_>, limit: usize) -> Outcome {
        if self.method == Method::Splice {
            match outcome(splice(pipe, &self.file, limit)) {
                // A file system without splice.
                Outcome::Failed { error, .. } if error.kind() == ErrorKind::InvalidInput => {
                    self.method = Method::Copy;
                }
                outcome => return outcome,
            }
        }
        self.copy(pipe, limit)
    }

    /// After a truncation (`flush`, copytruncate) our offset is behind the end and would leave a
    /// hole; after somebody else's append it is before it and would write over that. Where the next
    /// byte goes.
    fn seek_to_end(&mut self) -> io::Result<u64> {
        let metadata = self.file.metadata()?;
        if metadata.is_file() && metadata.len() != self.file.stream_position()? {
            self.file.seek(SeekFrom::End(0))?;
        }
        Ok(metadata.len())
    }

    fn cut(&mut self, length: u64) {
        // Where this fails a piece of a line stays: there is nothing better to do.
        let _torn = self.file.set_len(length);
    }

    fn copy(&mut self, pipe: BorrowedFd<'_>, limit: usize) -> Outcome {
        let mut buffer = vec![0; limit.min(COPY_BYTES)];
        let read = pipe.try_clone_to_owned().and_then(|pipe| File::from(pipe).read(&mut buffer));
        let length = match outcome(read) {
            Outcome::Moved(length) => length,
            other => return other,
        };
        match self.file.write_all(buffer.get(..length).unwrap_or_default()) {
            Ok(()) => Outcome::Moved(length),
            Err(error) => Outcome::Failed { error, lost: length },
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

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn modified(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests;

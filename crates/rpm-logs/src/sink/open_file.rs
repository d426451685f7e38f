//! [`Open`]: a log file as it is open now: at its end, of the right day, still at its path; and how
//! bytes get into it.

use super::{Log, Outcome, outcome};
use crate::{
    open::open,
    rotate::{self, plan::Plan},
    times::{TimesWriter, now_ms},
};
use rpm_unix::pipe::splice_to;
use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::BorrowedFd,
        unix::fs::{FileExt, MetadataExt},
    },
};

/// Bytes copied at once to what cannot be spliced to: a terminal, a device.
const COPY_BYTES: usize = 64 << 10;
/// How often a file that is written to is looked for at its path, in milliseconds.
const LOOK_MS: u64 = 1000;
/// How long an opening, a rotation or a look that failed is not tried again, in milliseconds.
pub(super) const RETRY_MS: u64 = 1000;

#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: File,
    /// Its device and inode.
    pub(super) identity: (u64, u64),
    method: Method,
    /// When what was written.
    pub(super) times: TimesWriter,
    /// When the path is looked at next.
    pub(super) look_at: u64,
    /// When a new file is begun whatever its size.
    pub(super) rotate_at: Option<u64>,
    /// No rotation before this: the last one failed.
    pub(super) retry_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Splice,
    /// Loses what is in the daemon's hands if it is killed; only where splice does not work.
    Copy,
}

impl Open {
    pub(super) fn new(log: &Log) -> io::Result<Self> {
        let Log { path, rules, .. } = log;
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
            identity: identity(&metadata),
            method,
            look_at: now + LOOK_MS,
            rotate_at: interval.and_then(|interval| interval.after(since)),
            retry_at: 0,
        })
    }

    pub(super) fn is_regular(&self) -> bool {
        self.method == Method::Splice || self.file.metadata().is_ok_and(|found| found.is_file())
    }

    /// Everything but the writing: the file is there, not too old, and we are at its end. Where the
    /// next byte goes.
    pub(super) fn prepare(&mut self, log: &Log) -> io::Result<u64> {
        let now = now_ms();
        if now >= self.look_at {
            self.look_at = now + LOOK_MS;
            self.look(log);
        }
        let length = self.end()?;
        let due = self.rotate_at.is_some_and(|at| now >= at) && now >= self.retry_at;
        if !due {
            return Ok(length);
        }
        if length == 0 {
            let interval = log.rules.rotate.as_ref().and_then(|plan| plan.interval.as_ref());
            self.rotate_at = interval.and_then(|interval| interval.after(now));
            return Ok(0);
        }
        // Where it fails the old file goes on.
        let _later = self.rotate(log);
        self.end()
    }

    /// Goes to the path's file if that is another by now: the old one was moved or removed.
    fn look(&mut self, log: &Log) {
        let moved = match std::fs::metadata(&log.path) {
            Ok(theirs) => self.identity != identity(&theirs),
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if moved && let Ok(new) = Self::new(log) {
            *self = new;
        }
    }

    pub(super) fn rotate(&mut self, log: &Log) -> io::Result<()> {
        let Some(plan) = &log.rules.rotate else { return Ok(()) };
        let done = self.try_rotate(log, plan);
        if done.is_err() {
            self.retry_at = now_ms() + RETRY_MS;
        }
        done
    }

    fn try_rotate(&mut self, log: &Log, plan: &Plan) -> io::Result<()> {
        self.times.flush(now_ms());
        // Somebody was faster; then there is a file of ours at the path, or none.
        let theirs = std::fs::metadata(&log.path);
        let ours = theirs.is_ok_and(|theirs| self.identity == identity(&theirs));
        if ours {
            let bytes = self.file.metadata()?.len();
            rotate::put_away(&log.path, plan, bytes, &log.share.totals)?;
        }
        *self = Self::new(log)?;
        Ok(())
    }

    /// Moves bytes from `pipe` to `at`, the file's end.
    pub(super) fn take_now(&mut self, pipe: BorrowedFd<'_>, at: u64, limit: usize) -> Outcome {
        let outcome = self.take(pipe, at, limit);
        if matches!(outcome, Outcome::Moved(bytes) if bytes > 0) {
            self.times.note(at, now_ms());
        }
        outcome
    }

    fn take(&mut self, pipe: BorrowedFd<'_>, at: u64, limit: usize) -> Outcome {
        if self.method == Method::Splice {
            match outcome(splice_to(pipe, &self.file, at, limit)) {
                // A file system without splice.
                Outcome::Failed { error, .. } if error.kind() == ErrorKind::InvalidInput => {
                    self.method = Method::Copy;
                }
                outcome => return outcome,
            }
        }
        self.copy(pipe, at, limit)
    }

    /// Where the next byte goes: the end as it is now, also after a truncation (`flush`,
    /// copytruncate) or somebody else's append. 0 where there are no places: in a device.
    fn end(&self) -> io::Result<u64> {
        let metadata = self.file.metadata()?;
        Ok(if metadata.is_file() { metadata.len() } else { 0 })
    }

    /// Writes all of `bytes` at `at`, the file's end.
    pub(super) fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.is_regular() {
            self.file.write_all_at(bytes, at)
        } else {
            self.file.write_all(bytes)
        }
    }

    pub(super) fn cut(&mut self, length: u64) {
        // Where this fails a piece of a line stays: there is nothing better to do.
        let _torn = self.file.set_len(length);
    }

    fn copy(&mut self, pipe: BorrowedFd<'_>, at: u64, limit: usize) -> Outcome {
        let mut buffer = vec![0; limit.min(COPY_BYTES)];
        let read = pipe.try_clone_to_owned().and_then(|pipe| File::from(pipe).read(&mut buffer));
        let length = match outcome(read) {
            Outcome::Moved(length) => length,
            other => return other,
        };
        match self.write(buffer.get(..length).unwrap_or_default(), at) {
            Ok(()) => Outcome::Moved(length),
            Err(error) => Outcome::Failed { error, lost: length },
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn modified(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

//! [`LogFile`]: one open log file, however many pipes end in it.
//!
//! Bytes come by splice, which moves them out of the pipe and into the file as one step of the
//! kernel, and the file's offset is in the open description, a duplicate of which the keeper holds:
//! a daemon killed at any moment leaves neither a gap nor a repetition (traps A7). splice refuses
//! append mode, so the writer itself looks where the end is.

use crate::times::{TimesWriter, now_ms};
use rpm_unix::pipe::splice;
use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Bytes copied at once to what cannot be spliced to: a terminal, a device.
const COPY_BYTES: usize = 64 << 10;

/// An open log file.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// Held for one system call or a few, never across a wait: two splices at one offset would
    /// write over each other.
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    method: Method,
    /// When what was written.
    times: TimesWriter,
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
    /// The pipe is empty and nobody has it open for writing.
    End,
    /// The file takes nothing; the bytes are still in the pipe, but for `lost`.
    Failed { error: io::Error, lost: usize },
}

impl LogFile {
    /// Opens `path` for writing at its end. Makes missing directories (0700) and the file (0600).
    /// A path that is a terminal, a device or a named pipe works too; the latter needs its reader.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = create(&path)?;
        Self::new(file, path)
    }

    /// Takes over the description that the keeper held, with its offset. `path` is where it was
    /// opened.
    pub fn adopt(description: OwnedFd, path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::new(description.into(), path.into())
    }

    fn new(file: File, path: PathBuf) -> io::Result<Self> {
        let open = Mutex::new(Open::new(file, &path)?);
        Ok(Self { path, open })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A duplicate of the description, for the keeper.
    pub fn description(&self) -> io::Result<OwnedFd> {
        self.lock().file.as_fd().try_clone_to_owned()
    }

    /// The offset of the next byte: what a worker started now writes comes behind it.
    pub fn position(&self) -> io::Result<u64> {
        let open = self.lock();
        let metadata = open.file.metadata()?;
        if metadata.is_file() { Ok(metadata.len()) } else { Ok(0) }
    }

    /// Whether the path names another file by now, or none: somebody rotated or removed it. Two
    /// `stat`s, so for now and then, not for every write.
    pub fn is_replaced(&self) -> io::Result<bool> {
        let ours = self.lock().file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(theirs) => Ok(identity(&ours) != identity(&theirs)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Opens the path anew, for all pumps at once; the keeper must be given the new
    /// [`Self::description`]. On an error the old file stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        let mut open = self.lock();
        *open = Open::new(create(&self.path)?, &self.path)?;
        Ok(())
    }

    /// Writes what is in memory of the file's time index: somebody is about to read it.
    pub fn flush_times(&self) {
        self.lock().times.flush(now_ms());
    }

    /// Moves at most `limit` bytes from `pipe`.
    pub(crate) fn take(&self, pipe: BorrowedFd<'_>, limit: usize) -> Outcome {
        let mut open = self.lock();
        let offset = match open.seek_to_end() {
            Ok(offset) => offset,
            Err(error) => return Outcome::Failed { error, lost: 0 },
        };
        let outcome = open.take(pipe, limit);
        if matches!(outcome, Outcome::Moved(bytes) if bytes > 0) {
            open.times.note(offset, now_ms());
        }
        outcome
    }
    /// A thread that died holding the lock leaves a file that is as good as before.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn new(file: File, path: &Path) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let method = if metadata.is_file() { Method::Splice } else { Method::Copy };
        Ok(Self { times: TimesWriter::open(path, &metadata), file, method })
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

fn create(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // O_NONBLOCK: a named pipe without a reader is an error, not a daemon that hangs.
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits());
    let mut file = options.open(path)?;
    if file.metadata()?.is_file() {
        file.seek(SeekFrom::End(0))?;
    }
    Ok(file)
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_unix::pipe::{Pipe, pipe};
    use std::os::unix::fs::PermissionsExt;

    fn filled(bytes: &[u8]) -> Pipe {
        let pipe = pipe(None).unwrap();
        File::from(pipe.write.try_clone().unwrap()).write_all(bytes).unwrap();
        pipe
    }

    fn write(file: &LogFile, bytes: &[u8]) {
        let pipe = filled(bytes);
        assert!(
            matches!(file.take(pipe.read.as_fd(), 1 << 20), Outcome::Moved(n) if n == bytes.len())
        );
        assert!(matches!(file.take(pipe.read.as_fd(), 1 << 20), Outcome::Empty));
        drop(pipe.write);
        assert!(matches!(file.take(pipe.read.as_fd(), 1 << 20), Outcome::End));
    }

    #[test]
    fn directories_and_file_are_the_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/out.log");
        write(&LogFile::open(&path).unwrap(), b"first\n");
        write(&LogFile::open(&path).unwrap(), b"second\n");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(std::fs::read(&path).unwrap(), b"first\nsecond\n");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&directory.path().join("a")), 0o700);
        assert_eq!(mode(&directory.path().join("a/b")), 0o700);
    }

    #[test]
    fn a_truncated_file_starts_anew_without_a_hole_and_a_strangers_line_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.log");
        let file = LogFile::open(&path).unwrap();
        write(&file, b"old\n");
        File::create(&path).unwrap();
        write(&file, b"new\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"stranger\n").unwrap();
        write(&file, b"end\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"new\nstranger\nend\n");
        assert_eq!(file.position().unwrap(), 17);
    }

    #[test]
    fn a_rotated_file_is_noticed_and_reopened() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("out.log"), directory.path().join("out.log.1"));
        let file = LogFile::open(&path).unwrap();
        assert!(!file.is_replaced().unwrap());
        std::fs::rename(&path, &old).unwrap();
        assert!(file.is_replaced().unwrap());
        write(&file, b"still old\n");
        File::create(&path).unwrap();
        assert!(file.is_replaced().unwrap());
        file.reopen().unwrap();
        assert!(!file.is_replaced().unwrap());
        write(&file, b"new\n");
        assert_eq!(std::fs::read(&old).unwrap(), b"still old\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
    }

    #[test]
    fn a_reopen_that_fails_keeps_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.log");
        let file = LogFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        file.reopen().unwrap_err();
        write(&file, b"into the removed file\n");
    }

    #[test]
    fn the_keepers_duplicate_goes_on_where_the_file_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.log");
        let file = LogFile::open(&path).unwrap();
        write(&file, b"one\n");
        let kept = file.description().unwrap();
        drop(file);
        write(&LogFile::adopt(kept, &path).unwrap(), b"two\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn a_device_is_copied_to_and_a_pipe_without_reader_refused() {
        write(&LogFile::open("/dev/null").unwrap(), b"gone\n");
        let pipe = filled(b"full\n");
        let full = LogFile::open("/dev/full").unwrap().take(pipe.read.as_fd(), 100);
        assert!(matches!(full, Outcome::Failed { lost: 5, .. }), "{full:?}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = LogFile::open(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ENXIO as i32));
    }
}

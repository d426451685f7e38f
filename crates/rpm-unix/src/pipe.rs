//! Pipes that outlive their readers (traps A4, A13) and moving bytes out of them without a copy.

use nix::{
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl},
    sys::stat::Mode,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

pub use crate::fd::set_nonblocking;

/// A pipe whose reader may go and come back.
#[derive(Debug)]
pub struct Pipe {
    /// Non-blocking, closes at exec.
    pub read: OwnedFd,
    /// For the writing process: open for reading as well, so that with no reader left it waits and
    /// does not die of SIGPIPE. Blocking, closes at exec.
    pub write: OwnedFd,
}

/// A new pipe, of this many bytes if the system grants them, else of the default 64 KiB. Without
/// CAP_SYS_RESOURCE a user pays for large ones with the size of all his other pipes.
pub fn pipe(bytes: Option<usize>) -> io::Result<Pipe> {
    let (read, only_write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let write = reopen(&only_write, OFlag::O_RDWR)?;
    if let Some(bytes) = bytes.and_then(|bytes| i32::try_from(bytes).ok()) {
        // A refusal leaves the default size, which is what everybody else gets too.
        let _refused = fcntl(&read, FcntlArg::F_SETPIPE_SZ(bytes));
    }
    Ok(Pipe { read, write })
}

/// A new description of the same pipe or file, through /proc/self/fd.
fn reopen(fd: impl AsFd, flags: OFlag) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    Ok(nix::fcntl::open(path.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Opens the read end of the pipe that another process has at a descriptor: what a new keeper does
/// when both managers were killed.
pub fn reopen_of(pid: i32, number: i32) -> io::Result<OwnedFd> {
    let path = format!("/proc/{pid}/fd/{number}");
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path.as_str(), flags, Mode::empty())?)
}

/// Opens the pipe that another process has at a descriptor for writing, without ever waiting in it.
/// Only a pipe without a name: what else a program has there may be a file that is not its own to
/// write to, and we may be root.
pub fn writer_of(pid: i32, number: i32) -> io::Result<OwnedFd> {
    let path = format!("/proc/{pid}/fd/{number}");
    let is_pipe = |path: &str| {
        Ok::<_, io::Error>(std::fs::read_link(path)?.to_string_lossy().starts_with("pipe:["))
    };
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "not a pipe");
    if !is_pipe(&path)? {
        return Err(refused());
    }
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let writer = nix::fcntl::open(path.as_str(), flags, Mode::empty())?;
    // It may have been another one between the two.
    let opened = format!("/proc/self/fd/{}", writer.as_raw_fd());
    if is_pipe(&opened)? { Ok(writer) } else { Err(refused()) }
}

/// Moves at most `limit` bytes from a pipe to a file at its own offset, or to another pipe, and
/// says how many; 0 is the end. Never waits for the pipe `from`. The file must not be in append
/// mode.
pub fn splice(from: impl AsFd, to: impl AsFd, limit: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    Ok(nix::fcntl::splice(from, None, to, None, limit, flags)?)
}

/// The same into a regular file at `at`, whatever the file's own offset.
pub fn splice_to(from: impl AsFd, to: impl AsFd, at: u64, limit: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    let mut at = i64::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge)?;
    Ok(nix::fcntl::splice(from, None, to, Some(&mut at), limit, flags)?)
}

/// Copies at most `limit` bytes from a pipe to another, without taking them; 0 is the end. Never
/// waits.
pub fn peek(from: impl AsFd, to: impl AsFd, limit: usize) -> io::Result<usize> {
    Ok(nix::fcntl::tee(from, to, limit, SpliceFFlags::SPLICE_F_NONBLOCK)?)
}

/// `/dev/null` for reading and writing.
pub fn null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom, Write};

    #[test]
    fn a_writer_without_a_reader_waits_and_its_bytes_stay() {
        let Pipe { read, write } = pipe(None).unwrap();
        drop(read);
        let mut writer = File::from(write);
        writer.write_all(b"kept").unwrap();
        let again = reopen_of(std::process::id() as i32, writer.as_raw_fd()).unwrap();
        let mut bytes = [0; 8];
        let count = File::from(again).read(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"kept");
    }

    #[test]
    fn a_pipe_of_another_process_is_written_to_and_nothing_else() {
        let me = std::process::id() as i32;
        let Pipe { read, write } = pipe(None).unwrap();
        let writer = writer_of(me, write.as_raw_fd()).unwrap();
        File::from(writer).write_all(b"line\n").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(File::from(read).read(&mut bytes).unwrap(), 5);
        let file = tempfile::tempfile().unwrap();
        let error = writer_of(me, file.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_reader_sees_the_end_when_the_writer_closes() {
        let Pipe { read, write } = pipe(None).unwrap();
        let mut reader = File::from(read);
        let empty = reader.read(&mut [0; 1]).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        drop(write);
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn splice_moves_what_is_there_and_then_would_block() {
        let Pipe { read, write } = pipe(Some(1 << 20)).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        File::from(write.try_clone().unwrap()).write_all(b"0123456789").unwrap();
        assert_eq!(splice(&read, &file, 4).unwrap(), 4);
        assert_eq!(splice(&read, &file, 1 << 20).unwrap(), 6);
        let empty = splice(&read, &file, 1).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        drop(write);
        assert_eq!(splice(&read, &file, 1).unwrap(), 0);
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "0123456789");
    }
}

//! [`Peek`]: looks at what a pipe holds without taking it, to find the ends of lines.

use rpm_unix::pipe::{peek, pipe};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
};

/// Bytes looked at, at most: the kernel's default for a pipe.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// A pipe for copies, and the memory to look at them.
#[derive(Debug)]
pub(crate) struct Peek {
    read: File,
    write: OwnedFd,
    bytes: Vec<u8>,
}

/// How much of a pipe is whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Bytes seen.
    pub(crate) seen: usize,
    /// Of these, up to and with the last newline.
    pub(crate) whole: usize,
}

impl Peek {
    pub(crate) fn new() -> io::Result<Self> {
        let copies = pipe(None)?;
        Ok(Self { read: copies.read.into(), write: copies.write, bytes: Vec::new() })
    }

    /// Looks at the first `limit` bytes of `pipe`. An empty one is `WouldBlock`; its end: nothing
    /// seen.
    pub(crate) fn lines(&mut self, pipe: impl AsFd, limit: usize) -> io::Result<Lines> {
        let seen = peek(pipe, &self.write, limit.min(MAX_BYTES))?;
        self.bytes.resize(seen, 0);
        self.read.read_exact(&mut self.bytes)?;
        let newline = memchr::memrchr(b'\n', &self.bytes);
        Ok(Lines { seen, whole: newline.map_or(0, |at| at + 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn looking_takes_nothing() {
        let ours = pipe(None).unwrap();
        let mut peek = Peek::new().unwrap();
        assert_eq!(peek.lines(&ours.read, 9).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut writer = File::from(ours.write);
        writer.write_all(b"a\nbc\nd").unwrap();
        assert_eq!(peek.lines(&ours.read, 99).unwrap(), Lines { seen: 6, whole: 5 });
        assert_eq!(peek.lines(&ours.read, 4).unwrap(), Lines { seen: 4, whole: 2 });
        assert_eq!(peek.lines(&ours.read, 1).unwrap(), Lines { seen: 1, whole: 0 });
        drop(writer);
        let mut text = String::new();
        File::from(ours.read.try_clone().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nbc\nd");
        assert_eq!(peek.lines(&ours.read, 9).unwrap(), Lines { seen: 0, whole: 0 });
    }
}

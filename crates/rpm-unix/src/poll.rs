//! poll(2), with borrowed descriptors.

use nix::poll::{PollFd, PollFlags, PollTimeout};
use std::{io, os::fd::BorrowedFd, time::Duration};

/// What to wait for on one descriptor, and afterwards what there is.
#[derive(Debug)]
#[repr(transparent)]
pub struct Entry<'fd>(PollFd<'fd>);

impl<'fd> Entry<'fd> {
    /// Waits for bytes, connections, or the end.
    pub fn readable(fd: BorrowedFd<'fd>) -> Self {
        Self(PollFd::new(fd, PollFlags::POLLIN))
    }

    /// Waits for room to write or the end, and for bytes too if `read`.
    pub fn writable(fd: BorrowedFd<'fd>, read: bool) -> Self {
        let mut flags = PollFlags::POLLOUT;
        flags.set(PollFlags::POLLIN, read);
        Self(PollFd::new(fd, flags))
    }

    /// Waits only for an error or hang-up.
    pub fn hangup(fd: BorrowedFd<'fd>) -> Self {
        Self(PollFd::new(fd, PollFlags::empty()))
    }

    /// Waits for what is exceptional: that a file of the kernel's has changed, for instance.
    pub fn urgent(fd: BorrowedFd<'fd>) -> Self {
        Self(PollFd::new(fd, PollFlags::POLLPRI))
    }

    /// There is something to read, or the other end is gone.
    pub fn can_read(&self) -> bool {
        let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
        self.got(PollFlags::POLLIN | ended)
    }

    /// There is room to write, or the other end is gone.
    pub fn can_write(&self) -> bool {
        let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
        self.got(PollFlags::POLLOUT | ended)
    }

    /// An error or a hang-up.
    pub fn has_ended(&self) -> bool {
        self.got(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL)
    }

    /// Anything at all.
    pub fn is_ready(&self) -> bool {
        self.0.any().unwrap_or(true)
    }

    fn got(&self, flags: PollFlags) -> bool {
        self.0.revents().is_some_and(|got| got.intersects(flags))
    }
}

/// Waits until an entry is ready, or `timeout` (rounded up to a millisecond) has passed; says how
/// many are. An interruption by a signal counts as a time-out.
pub fn poll(entries: &mut [Entry<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let count = libc::nfds_t::try_from(entries.len()).map_err(io::Error::other)?;
    // SAFETY: Entry is PollFd is pollfd, both transparent; the slice is valid for `count` of them
    // and each descriptor is borrowed for as long as the entries live.
    let ready = unsafe {
        libc::poll(entries.as_mut_ptr().cast::<libc::pollfd>(), count, milliseconds(timeout))
    };
    match usize::try_from(ready) {
        Ok(ready) => Ok(ready),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
    }
}

fn milliseconds(timeout: Option<Duration>) -> i32 {
    match timeout {
        None => i32::from(PollTimeout::NONE),
        Some(timeout) => {
            let rounded_up = timeout.as_nanos().div_ceil(1_000_000);
            i32::try_from(rounded_up).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{fd::AsFd, unix::net::UnixStream};

    #[test]
    fn entries_tell_what_happened_to_each() {
        let (quiet, _other) = UnixStream::pair().unwrap();
        let (ended, other) = UnixStream::pair().unwrap();
        drop(other);
        let mut entries = [
            Entry::readable(quiet.as_fd()),
            Entry::writable(quiet.as_fd(), true),
            Entry::hangup(ended.as_fd()),
        ];
        assert_eq!(poll(&mut entries, None).unwrap(), 2);
        let [nothing, room, end] = entries;
        assert!(!nothing.is_ready());
        assert!(room.can_write() && !room.can_read() && !room.has_ended());
        assert!(end.has_ended() && end.can_read());
    }

    #[test]
    fn time_passes_in_whole_milliseconds_rounded_up() {
        let table = [
            (None, -1),
            (Some(Duration::ZERO), 0),
            (Some(Duration::from_nanos(1)), 1),
            (Some(Duration::from_millis(7)), 7),
            (Some(Duration::MAX), i32::MAX),
        ];
        for (timeout, expected) in table {
            assert_eq!(milliseconds(timeout), expected, "{timeout:?}");
        }
    }
}

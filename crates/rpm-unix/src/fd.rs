//! File descriptors as such: taking over inherited numbers, flags, standard streams.

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::{Mutex, PoisonError},
};

/// The numbers that [`adopt`] gave away.
static ADOPTED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes over a descriptor that this process inherited at exec, and makes it close at the next
/// exec.
///
/// # Errors
/// `EBADF` if the number is not open, `EBUSY` if it was adopted before.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag and neither takes nor changes the descriptor.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut adopted = ADOPTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !adopted.insert(number) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the number is open, and the insertion above makes sure that only one caller ever gets
    // it. The contract of this function is that the number was inherited, so no object of this
    // process owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    set_cloexec(&fd, true)?;
    Ok(fd)
}

/// A duplicate of an inherited descriptor, with a number above the standard streams; it closes at
/// exec. The number itself stays as it is.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: makes a new descriptor of one that is open or answers EBADF; takes integers only.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    crate::syscall::owned(copy.into())
}

/// Closes every descriptor above the standard streams but these: what whoever started us left
/// open is not for us to keep. Call it first thing in a process, before anything is opened; on
/// kernels before 5.9 nothing is closed.
pub fn close_inherited(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<_> = kept.iter().map(|fd| libc::c_long::from(fd.as_raw_fd())).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in kept {
        close_range(first, number - 1);
        first = number + 1;
    }
    close_range(first, libc::c_long::from(libc::c_uint::MAX));
}

fn close_range(first: libc::c_long, last: libc::c_long) {
    if first <= last {
        // SAFETY: takes integers only. By the contract of `close_inherited` no object of this
        // process owns any of these.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Whether the descriptor closes at exec.
pub fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Whether reads and writes return `WouldBlock` in place of waiting. Belongs to the open
/// description, so it holds for every duplicate.
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<()> {
    let mut flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, on);
    fcntl(&fd, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// Puts duplicates in the place of the standard streams; what was there is closed.
pub fn set_standard_streams(
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    error: BorrowedFd<'_>,
) -> io::Result<()> {
    nix::unistd::dup2_stdin(input)?;
    nix::unistd::dup2_stdout(output)?;
    nix::unistd::dup2_stderr(error)?;
    Ok(())
}

/// The number, for a log or the environment of a child.
pub fn number(fd: impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_number_is_adopted_once() {
        let (read, _write) = nix::unistd::pipe().unwrap();
        let number = read.into_raw_fd();
        let adopted = adopt(number).unwrap();
        let flags = fcntl(&adopted, FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, libc::FD_CLOEXEC);
        assert_eq!(adopt(number).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    }

    #[test]
    fn closed_and_negative_numbers_are_refused() {
        for number in [-1, 1 << 20, i32::MAX] {
            assert_eq!(adopt(number).unwrap_err().raw_os_error(), Some(libc::EBADF), "{number}");
        }
    }

    #[test]
    fn nonblocking_is_set_and_cleared() {
        let (read, _write) = nix::unistd::pipe().unwrap();
        set_nonblocking(&read, true).unwrap();
        let error = nix::unistd::read(&read, &mut [0; 1]).unwrap_err();
        assert_eq!(error, nix::errno::Errno::EAGAIN);
        set_nonblocking(&read, false).unwrap();
        let flags = OFlag::from_bits_retain(fcntl(&read, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
    }
}

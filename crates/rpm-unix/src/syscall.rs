//! Results of raw system calls as `io::Result`.

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

/// The value, or the error of a call that reports it by -1 and errno.
pub(crate) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The new descriptor that a system call returned.
pub(crate) fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let number =
        RawFd::try_from(check(result)?).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: callers pass the result of a call that made this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

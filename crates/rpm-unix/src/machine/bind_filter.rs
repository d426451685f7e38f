//! Whether `bind` and `listen` of apps can be answered: a thread puts itself under the filter.

use crate::{seccomp, syscall::check};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    thread,
};

/// Tries the filter, its listener and the giving of descriptors, all of what sharing needs.
///
/// # Errors
/// `EBUSY`: the caller is under such a filter already. `EPERM`, `EACCES`: a sandbox forbids it.
/// `EINVAL`, `ENOSYS`: the kernel is older than 5.9. Others as of seccomp(2).
pub fn bind_filter() -> io::Result<()> {
    // A filter counts for one thread and cannot be taken off: it ends with this one.
    let tried = thread::Builder::new().name("probe".into()).spawn(|| {
        let listener = seccomp::install()?;
        gives_descriptors(&listener)
    })?;
    tried.join().map_err(|_| io::Error::other("the probe's thread ended early"))?
}

/// Asks for a descriptor to be given to a caller that does not exist: a kernel that can (5.9) says
/// that there is none, another that it does not know the request.
fn gives_descriptors(listener: &OwnedFd) -> io::Result<()> {
    let number = u32::try_from(listener.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let request =
        libc::seccomp_notif_addfd { id: 0, flags: 0, srcfd: number, newfd: 0, newfd_flags: 0 };
    let fd = listener.as_raw_fd();
    // SAFETY: the kernel reads one seccomp_notif_addfd, whose size is part of the request code.
    let asked = check(
        unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request) }.into(),
    );
    match asked {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_leaves_this_thread_as_it_was() {
        let first = bind_filter().map_err(|error| error.raw_os_error());
        let again = bind_filter().map_err(|error| error.raw_os_error());
        assert_eq!(first, again);
        // Nobody would answer, if this thread were under the filter.
        std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    }
}

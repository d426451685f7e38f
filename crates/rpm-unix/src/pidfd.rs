//! Processes by descriptor: a pid can be reused, a pidfd cannot.

use crate::syscall::{check, owned};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// The process with this id; of a thread id it is an error.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers and returns a new descriptor, which closes at exec.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    owned(result)
}

/// Sends a signal; to a process that is gone it is `ESRCH`. Signal 0 only asks.
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    let no_info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is allowed and means the same as for kill(2); nothing else is a
    // pointer.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, no_info, 0) })?;
    Ok(())
}

/// A duplicate of another process's descriptor; needs the right to trace it.
pub fn getfd(pidfd: impl AsFd, number: i32) -> io::Result<OwnedFd> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: takes three integers and returns a new descriptor, which closes at exec.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_getfd, fd, number, 0) };
    owned(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn a_process_gets_its_signal_and_then_is_gone() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pidfd = open(child.id() as i32).unwrap();
        send_signal(&pidfd, 0).unwrap();
        send_signal(&pidfd, libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        let gone = send_signal(&pidfd, 0).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
    }
}

//! The other end of the filter: calls arrive here and wait for their answer.

use crate::{
    poll::{Entry, poll},
    syscall::check,
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// Where the calls of one process tree arrive.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    sizes: Sizes,
}

/// How large this kernel's structures are, in bytes; they may grow beyond those of libc.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    notification: usize,
    response: usize,
}

/// Which call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// bind(2).
    Bind {
        /// Where the caller's sockaddr is, in its memory.
        address: u64,
        /// How long it says that is, in bytes.
        length: u64,
    },
    /// listen(2).
    Listen {
        /// The backlog it asked for.
        backlog: i32,
    },
}

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Names it in the answer; never reused.
    pub id: u64,
    /// The calling thread, which need not be the process (traps B8).
    pub thread: i32,
    /// The first argument: the caller's number for the socket.
    pub fd: i32,
    /// The call and its other arguments.
    pub call: Call,
}

/// What the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel does the call as if there were no filter.
    Continue,
    /// The call returns 0 and was not done.
    Success,
    /// The call fails with this error number and was not done.
    Error(i32),
}

/// What a [`Listener`] has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A call waits.
    Call,
    /// Nobody is left who could call.
    Closed,
    /// Nothing yet.
    Quiet,
}

impl Listener {
    /// Takes over a descriptor that [`super::install`] made, here or in a child.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd, sizes: sizes()? })
    }

    /// Looks without waiting.
    pub fn readiness(&self) -> Readiness {
        let mut entries = [Entry::readable(self.fd.as_fd())];
        let found = poll(&mut entries, Some(Duration::ZERO));
        let [entry] = entries;
        match found {
            Ok(1..) if entry.has_ended() => Readiness::Closed,
            Ok(1..) => Readiness::Call,
            Ok(0) | Err(_) => Readiness::Quiet,
        }
    }

    /// Takes the next call. Waits if there is none: ask [`Self::readiness`] first.
    ///
    /// # Errors
    /// `NotFound`: the caller died or was interrupted meanwhile.
    pub fn receive(&self) -> io::Result<Notification> {
        let mut buffer = zeroed(self.sizes.notification);
        let fd = self.fd.as_raw_fd();
        // SAFETY: the buffer is zeroed, as the kernel demands, aligned for the structure, and as
        // large as the kernel said it writes.
        uninterrupted(|| unsafe {
            libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_RECV, buffer.as_mut_ptr())
        })?;
        // SAFETY: the buffer holds at least a whole seccomp_notif of plain integers, filled above.
        let raw = unsafe { buffer.as_ptr().cast::<libc::seccomp_notif>().read() };
        Notification::from_raw(&raw).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Whether the caller still waits, so that what was read from it belongs to this call.
    pub fn is_valid(&self, notification: &Notification) -> bool {
        let id = notification.id;
        let fd = self.fd.as_raw_fd();
        // SAFETY: the kernel reads eight bytes from `id`.
        uninterrupted(|| unsafe {
            libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
        })
        .is_ok()
    }

    /// Answers.
    ///
    /// # Errors
    /// `NotFound`: the caller is gone, or a signal made it issue the call again as a new one.
    pub fn answer(&self, notification: &Notification, answer: Answer) -> io::Result<()> {
        let mut buffer = zeroed(self.sizes.response);
        let response = answer.to_raw(notification.id);
        // SAFETY: the buffer holds at least a whole seccomp_notif_resp and is aligned for it.
        unsafe { buffer.as_mut_ptr().cast::<libc::seccomp_notif_resp>().write(response) };
        let fd = self.fd.as_raw_fd();
        // SAFETY: the buffer is as large as the kernel said it reads.
        uninterrupted(|| unsafe {
            libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_SEND, buffer.as_mut_ptr())
        })
    }

    /// Puts a duplicate of `source` behind the caller's number of its socket; the call is still to
    /// be answered.
    ///
    /// ADDFD_FLAG_SEND would do both at once, but then the call returns the number, and a `bind`
    /// that returns 3 has failed to many programs (libuv). So the caller can be interrupted in
    /// between; it then calls again, with a socket that is already the right one.
    pub fn replace_fd(
        &self,
        notification: &Notification,
        source: BorrowedFd<'_>,
        close_on_exec: bool,
    ) -> io::Result<()> {
        let number = |fd: i32| u32::try_from(fd).map_err(|_| io::ErrorKind::InvalidInput);
        let request = libc::seccomp_notif_addfd {
            id: notification.id,
            flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
            srcfd: number(source.as_raw_fd())?,
            newfd: number(notification.fd)?,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        let fd = self.fd.as_raw_fd();
        // SAFETY: the kernel reads one seccomp_notif_addfd, whose size is part of the request code.
        uninterrupted(|| unsafe {
            libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request)
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Notification {
    fn from_raw(raw: &libc::seccomp_notif) -> Option<Self> {
        let [fd, second, third, ..] = raw.data.args;
        // The kernel, too, takes the lower half of a register for an int.
        let call = match i64::from(raw.data.nr) {
            libc::SYS_bind => Call::Bind { address: second, length: u64::from(third as u32) },
            libc::SYS_listen => Call::Listen { backlog: second as i32 },
            _ => return None,
        };
        Some(Self { id: raw.id, thread: i32::try_from(raw.pid).ok()?, fd: fd as i32, call })
    }
}

impl Answer {
    fn to_raw(self, id: u64) -> libc::seccomp_notif_resp {
        let (error, flags) = match self {
            Self::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Self::Success => (0, 0),
            Self::Error(number) => (-number, 0),
        };
        libc::seccomp_notif_resp { id, val: 0, error, flags }
    }
}

/// Repeats a call as long as a signal interrupts it: an answer that is lost hangs its caller.
fn uninterrupted(mut call: impl FnMut() -> i32) -> io::Result<()> {
    loop {
        match check(call().into()) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn sizes() -> io::Result<Sizes> {
    let mut raw =
        libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    let operation = libc::SECCOMP_GET_NOTIF_SIZES;
    // SAFETY: the kernel writes one seccomp_notif_sizes.
    check(unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, &raw mut raw) })?;
    Ok(Sizes {
        notification: usize::from(raw.seccomp_notif).max(size_of::<libc::seccomp_notif>()),
        response: usize::from(raw.seccomp_notif_resp).max(size_of::<libc::seccomp_notif_resp>()),
    })
}

/// Zeroes, at least `bytes` of them, aligned to eight.
fn zeroed(bytes: usize) -> Vec<u64> {
    vec![0; bytes.div_ceil(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(nr: i64, args: [u64; 6]) -> libc::seccomp_notif {
        let data = libc::seccomp_data { nr: nr as i32, arch: 0, instruction_pointer: 0, args };
        libc::seccomp_notif { id: 9, pid: 77, flags: 0, data }
    }

    #[test]
    fn arguments_are_taken_from_the_lower_half_of_registers() {
        let high = 0xdead_beef_0000_0000;
        let bind = Notification::from_raw(&raw(
            libc::SYS_bind,
            [high | 3, 0x7fff_1234_5678, high | 16, 0, 0, 0],
        ));
        let call = Call::Bind { address: 0x7fff_1234_5678, length: 16 };
        assert_eq!(bind, Some(Notification { id: 9, thread: 77, fd: 3, call }));
        let args = [3, high | 0xffff_ffff, 0, 0, 0, 0];
        let listen = Notification::from_raw(&raw(libc::SYS_listen, args));
        let call = Call::Listen { backlog: -1 };
        assert_eq!(listen, Some(Notification { id: 9, thread: 77, fd: 3, call }));
        assert_eq!(Notification::from_raw(&raw(libc::SYS_connect, [0; 6])), None);
    }

    #[test]
    fn answers_are_what_the_kernel_expects() {
        let table = [
            (Answer::Continue, (0, 1)),
            (Answer::Success, (0, 0)),
            (Answer::Error(libc::EADDRINUSE), (-98, 0)),
        ];
        for (answer, expected) in table {
            let raw = answer.to_raw(5);
            assert_eq!((raw.id, raw.val, (raw.error, raw.flags)), (5, 0, expected), "{answer:?}");
        }
    }

    #[test]
    fn this_kernel_tells_its_sizes() {
        let sizes = sizes().unwrap();
        assert!(sizes.notification >= 80 && sizes.response >= 24);
    }
}

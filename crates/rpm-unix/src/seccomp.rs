//! Answering another process's `bind` and `listen`: the filter that stops them (installed by the
//! child itself, between fork and exec) and the listener on which they arrive.
//!
//! What to answer is not decided here; `rpm-keeper`'s ports do that. Reading the caller's memory
//! and descriptors is in [`crate::caller`].

mod filter;
mod listener;

pub use listener::{Answer, Call, Listener, Notification, Readiness};

use crate::syscall::owned;
use nix::errno::Errno;
use std::os::fd::OwnedFd;

/// Installs the filter in the calling thread and returns its listener, which closes at exec. The
/// filter is inherited by everything the thread forks and executes, and cannot be removed.
///
/// Meant for a child between fork and exec: it allocates nothing and takes no lock. With
/// CAP_SYS_ADMIN it is to be called before the user is changed: then `no_new_privs` is not needed,
/// and programs with file capabilities keep them (traps B5). Without, `no_new_privs` is set.
///
/// WAIT_KILLABLE_RECV is never set: with it, a call whose answerer died could not be issued again
/// (traps A5). SPEC_ALLOW is, or kernels before 5.16 slow every filtered program down.
///
/// # Errors
/// `EBUSY`: the caller is under such a filter already (traps B6). `ENOSYS`, `EINVAL`: the kernel is
/// older than 5.0, or the machine is neither x86_64 nor aarch64.
pub fn install() -> Result<OwnedFd, Errno> {
    match load() {
        Err(Errno::EACCES) => {
            nix::sys::prctl::set_no_new_privs()?;
            load()
        }
        result => result,
    }
}

fn load() -> Result<OwnedFd, Errno> {
    let instructions = filter::INSTRUCTIONS;
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(|_| Errno::EINVAL)?,
        filter: instructions.as_ptr().cast_mut(),
    };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `program` and the static instructions it names outlive the call, and the kernel only
    // reads them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    owned(result).map_err(|_| Errno::last())
}

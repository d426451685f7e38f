//! fork(2), into a control group where there is one.
//!
//! A process that is moved into a group after it was made waits until the kernel has seen every
//! CPU pass, 10 ms and more on a machine at rest; one that is made in it costs microseconds.

use std::{
    mem,
    os::fd::{AsRawFd, BorrowedFd},
};

/// clone(2): the child is in the group of version 2 that `cgroup` refers to (Linux 5.7).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Where a fork comes back.
pub(super) enum Forked {
    /// In the child; whether it is in the group.
    Child { in_group: bool },
    /// In the caller, with the child's pid.
    Parent { child: i32 },
}

/// Forks, into `group` where the kernel can do that.
///
/// # Safety
/// As for fork(2) of a process that has a single thread.
pub(super) unsafe fn fork(group: Option<BorrowedFd<'_>>) -> nix::Result<Forked> {
    if let Some(group) = group {
        // SAFETY: as our own.
        let forked = unsafe { fork_into(group) };
        // Sandboxes and older kernels have no clone3, or not this: then the child enters by itself.
        if forked.is_ok() {
            return forked;
        }
    }
    // SAFETY: as our own.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Forked::Child { in_group: false }),
        nix::unistd::ForkResult::Parent { child } => Ok(Forked::Parent { child: child.as_raw() }),
    }
}

/// Version 2 of the kernel's `struct clone_args` (clone(2)).
#[repr(C, align(8))]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// # Safety
/// As for [`fork`].
unsafe fn fork_into(group: BorrowedFd<'_>) -> nix::Result<Forked> {
    let arguments = Arguments {
        flags: CLONE_INTO_CGROUP,
        // Neither a signal's number nor that of an open descriptor is negative.
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        cgroup: group.as_raw_fd().unsigned_abs().into(),
        ..Arguments::default()
    };
    // SAFETY: the kernel reads `arguments` and copies this process as fork(2) does: nothing is
    // shared, the child goes on on a copy of this stack. The C library's own record of the thread's
    // id is the parent's in the child, which only executes or exits.
    let child = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, mem::size_of::<Arguments>())
    };
    match nix::errno::Errno::result(child)? {
        0 => Ok(Forked::Child { in_group: true }),
        child => Ok(Forked::Parent { child: i32::try_from(child).unwrap_or_default() }),
    }
}

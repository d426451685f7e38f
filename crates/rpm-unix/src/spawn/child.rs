//! The child's half, between fork and exec. It works through one list in a fixed order and never
//! comes back: it becomes the program, or reports which step failed and exits.

use super::search::Image;
use super::{Baseline, Credentials, Program, Setup, SpawnError, Stage, report::Report};
use crate::process;
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, SigmaskHow, sigprocmask},
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid},
};
use std::{
    convert::Infallible,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

/// The largest number a program may inherit a descriptor at: that of [`crate::fd::adopt`].
const MAX_TARGET: RawFd = 63;
/// The kernel's _NSIG, and the size of its signal set.
const LAST_SIGNAL: libc::c_long = 64;
const SIGNAL_SET_BYTES: usize = 8;
/// Shells use it for a program that could not be executed; nobody sees it, the report is read.
const EXIT_CODE: i32 = 127;

/// Ends the process when dropped, so that not even a panic could run our caller's code twice.
struct NeverReturn;

impl Drop for NeverReturn {
    fn drop(&mut self) {
        // SAFETY: ends the process and touches no memory.
        unsafe { libc::_exit(EXIT_CODE) }
    }
}

/// How this process was forked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth<'a> {
    pub(super) setup: &'a Setup<'a>,
    /// Whether it was forked into its control group.
    pub(super) in_group: bool,
    /// The pid of whoever forked it.
    pub(super) parent: i32,
}

/// Becomes the program, or ends.
pub(super) fn run(
    program: &Program,
    image: &mut Image<'_>,
    start: Birth<'_>,
    report: &OwnedFd,
) -> ! {
    let guard = NeverReturn;
    let Err(error) = become_program(program, image, start, report);
    // The socket was ours alone until now; if even this fails, the parent sees a child that died.
    let _lost = Report::send(error.socket, &Report::Failed(error.error));
    drop(guard);
    // The guard has ended the process; this is for the compiler.
    std::process::abort()
}

/// A failure, and where its report goes by then.
struct Failure<'a> {
    socket: BorrowedFd<'a>,
    error: SpawnError,
}

fn become_program<'a>(
    program: &Program,
    image: &mut Image<'_>,
    Birth { setup, in_group, parent }: Birth<'_>,
    report: &'a OwnedFd,
) -> Result<Infallible, Failure<'a>> {
    use std::os::fd::AsFd;
    let early = |stage| {
        move |error: io::Error| Failure {
            socket: report.as_fd(),
            error: SpawnError::new(stage, &error),
        }
    };
    reset_dispositions();
    // Before the user changes, and while its lists are still open.
    setup.group.map_or(Ok(()), |group| group.enter(in_group)).map_err(early(Stage::Limits))?;
    nix::unistd::setsid().map_err(|error| early(Stage::Limits)(error.into()))?;
    let top = place(setup, report).map_err(early(Stage::Descriptors))?;
    // SAFETY: `place` has just made this descriptor, and nothing in this process closes it.
    let socket = unsafe { BorrowedFd::borrow_raw(top) };
    let late =
        |stage| move |error: io::Error| Failure { socket, error: SpawnError::new(stage, &error) };
    restore(setup.baseline).map_err(late(Stage::Limits))?;
    // As root the filter comes before the user changes, so that it needs no no_new_privs (traps
    // B5).
    if setup.filter {
        install_filter(socket).map_err(late(Stage::Filter))?;
    }
    if let Some(credentials) = &program.credentials {
        change_user(credentials).map_err(late(Stage::Credentials))?;
    }
    std::env::set_current_dir(&program.directory).map_err(late(Stage::Directory))?;
    unblock_signals().map_err(late(Stage::Limits))?;
    if let Some(variable) = setup.pid_variable {
        image.tell_pid(variable);
    }
    still_wanted(parent).map_err(late(Stage::Fork))?;
    Err(late(Stage::Exec)(image.execute()))
}

/// Whoever wanted the program may have died meanwhile. Nobody would know of it then, and it is
/// started once more.
fn still_wanted(parent: i32) -> io::Result<()> {
    if process::parent() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
}

/// Ignored signals stay ignored over exec: Rust ignores SIGPIPE, nohup SIGHUP (traps B12). The raw
/// call is used since the C library refuses the two signals it keeps for itself, which somebody
/// above us may ignore all the same.
fn reset_dispositions() {
    // The kernel's own sigaction, at most this long everywhere: all zero is the default action.
    let default = [0_u64; 8];
    let nowhere: *mut u64 = std::ptr::null_mut();
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the kernel reads a sigaction from `default`, which is larger, and writes nothing.
        // The default action runs no code of ours. SIGKILL and SIGSTOP are refused, and need no
        // reset.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                nowhere,
                SIGNAL_SET_BYTES,
            )
        };
    }
}

fn unblock_signals() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Puts every descriptor at its number and closes all others; returns where the report socket is
/// now: above the last one, closing at exec.
fn place(setup: &Setup<'_>, report: &OwnedFd) -> io::Result<RawFd> {
    let standard = [(setup.input, 0), (setup.output, 1), (setup.error, 2)];
    let last = setup.inherited.iter().map(|(_, target)| *target).fold(2, RawFd::max);
    if last > MAX_TARGET || setup.inherited.iter().any(|(_, target)| *target < 3) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let top = last + 1;
    // First above all targets, so that no target overwrites a source that is still needed.
    let mut copies = Vec::with_capacity(standard.len() + setup.inherited.len());
    for (source, target) in standard.iter().chain(setup.inherited) {
        copies.push((duplicate(source.as_raw_fd(), top + 1)?, *target));
    }
    let report = duplicate(report.as_raw_fd(), top + 1)?;
    for (copy, target) in copies {
        move_to(copy, target, 0)?;
    }
    move_to(report, top, libc::O_CLOEXEC)?;
    close_others(setup, top);
    Ok(top)
}

fn duplicate(source: RawFd, at_least: RawFd) -> io::Result<RawFd> {
    // SAFETY: makes a new descriptor and takes integers only.
    let copy = unsafe { libc::fcntl(source, libc::F_DUPFD_CLOEXEC, at_least) };
    Ok(Errno::result(copy)?)
}

fn move_to(source: RawFd, target: RawFd, flags: i32) -> io::Result<()> {
    // SAFETY: takes integers only. What `target` was is closed in this child, where no object that
    // owned it is used or dropped any more.
    Errno::result(unsafe { libc::dup3(source, target, flags) })?;
    Ok(())
}

/// All our descriptors close at exec anyway; this is for one that somebody left to us without that.
/// It also keeps the child from holding listening sockets while exec waits for a disk.
fn close_others(setup: &Setup<'_>, top: RawFd) {
    for number in 3..top {
        if !setup.inherited.iter().any(|(_, target)| *target == number) {
            // SAFETY: as in `move_to`.
            unsafe { libc::close(number) };
        }
    }
    let (first, last) = (libc::c_long::from(top) + 1, libc::c_long::from(libc::c_uint::MAX));
    // SAFETY: as in `move_to`. Kernels before 5.9 refuse, and exec closes them.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

fn restore(baseline: &Baseline) -> io::Result<()> {
    umask(Mode::from_bits_truncate(baseline.umask));
    baseline.open_files.apply()?;
    baseline.nice.map_or(Ok(()), process::set_nice)?;
    baseline.oom_score_adj.map_or(Ok(()), process::set_oom_score_adj)
}

/// Without a filter the program still runs, and the daemon is told.
fn install_filter(socket: BorrowedFd<'_>) -> io::Result<()> {
    let report = match crate::seccomp::install() {
        Ok(notify) => Report::Filter(notify),
        Err(errno) => Report::NoFilter(errno as i32),
    };
    Report::send(socket, &report)
}

/// Takes the user and its groups for good, and looks that it is so.
fn change_user(credentials: &Credentials) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(credentials.uid), Gid::from_raw(credentials.gid));
    let mut groups: Vec<Gid> = credentials.groups.iter().copied().map(Gid::from_raw).collect();
    let already = Uid::effective() == uid && Gid::effective() == gid;
    if already && !uid.is_root() {
        // An ordinary user may not touch its groups, nor need it to stay what it is.
        return Ok(());
    }
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    let (users, all) = (getresuid()?, getresgid()?);
    let mut now = getgroups()?;
    groups.sort_by_key(|group| group.as_raw());
    now.sort_by_key(|group| group.as_raw());
    let taken = [users.real, users.effective, users.saved] == [uid; 3]
        && [all.real, all.effective, all.saved] == [gid; 3]
        && now == groups;
    if taken { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_somebody_who_is_gone_does_not_become_its_program() {
        still_wanted(process::parent()).unwrap();
        let error = still_wanted(process::own()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}

//! This process itself: its session, name, standing with the kernel.

use crate::syscall::check;
use std::{
    ffi::{CStr, CString},
    fs, io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::ffi::OsStrExt,
    },
};

/// Makes orphaned descendants our children, so that none is lost to init. Survives exec.
pub fn set_child_subreaper() -> io::Result<()> {
    // SAFETY: this prctl takes an integer.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }.into())?;
    Ok(())
}

/// Sets the name that ps shows (at most 15 bytes).
pub fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: this prctl reads a string that ends with NUL.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) }.into())?;
    Ok(())
}

/// Leaves the terminal: a new session with this process as its leader. A leader stays where it is.
pub fn leave_terminal() -> io::Result<()> {
    match nix::unistd::setsid() {
        Ok(_) | Err(nix::errno::Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Executes an open program in this process's place, with these arguments and our environment.
/// Returns only why that failed.
pub fn execute(program: impl AsFd, arguments: &[CString]) -> io::Error {
    let environment = std::env::vars_os().filter_map(|(key, value)| {
        let entry = [key.as_bytes(), b"=", value.as_bytes()].concat();
        CString::new(entry).ok()
    });
    let environment: Vec<CString> = environment.collect();
    // The number itself may close at exec: the kernel has opened the program by then.
    let path = format!("/proc/self/fd/{}", program.as_fd().as_raw_fd());
    let Ok(path) = CString::new(path) else { return io::ErrorKind::InvalidInput.into() };
    match nix::unistd::execve(&path, arguments, &environment) {
        Err(error) => error.into(),
        Ok(never) => match never {},
    }
}

/// Our own process id.
pub fn own() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// Who started us; the subreaper or init once that one is gone.
pub fn parent() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// Our effective user id.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// How willingly the kernel kills this process for its memory: -1000 never, 1000 first.
pub fn oom_score_adj() -> io::Result<i32> {
    let text = fs::read_to_string("/proc/self/oom_score_adj")?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Sets that; to lower it one needs CAP_SYS_RESOURCE.
pub fn set_oom_score_adj(value: i32) -> io::Result<()> {
    fs::write("/proc/self/oom_score_adj", value.to_string())
}

/// Puts the calling thread behind all others, for the processor and for the disk.
pub fn lower_priority() -> io::Result<()> {
    /// The lowest, from setpriority(2), which on Linux means the thread alone.
    const NICE: libc::c_int = 19;
    // From linux/ioprio.h: IOPRIO_WHO_PROCESS, and IOPRIO_CLASS_IDLE in the upper three bits.
    const WHO_PROCESS: libc::c_long = 1;
    const IDLE: libc::c_long = 3 << 13;
    // SAFETY: takes integers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) }.into())?;
    // SAFETY: takes integers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0 as libc::c_long, IDLE) })?;
    Ok(())
}

/// The file mode mask. For a process without other threads: it is set to be read.
pub fn umask() -> u32 {
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    nix::sys::stat::umask(mask);
    mask.bits()
}

/// Whether this process may exceed the user's limits, those for pipes for instance
/// (CAP_SYS_RESOURCE, effective).
pub fn may_exceed_limits() -> bool {
    /// From linux/capability.h.
    const CAP_SYS_RESOURCE: u64 = 24;
    effective_capabilities().is_ok_and(|set| set & (1 << CAP_SYS_RESOURCE) != 0)
}

fn effective_capabilities() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    set.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_back() {
        set_oom_score_adj(oom_score_adj().unwrap()).unwrap();
        set_name(c"probe").unwrap();
        assert_eq!(fs::read_to_string("/proc/thread-self/comm").unwrap(), "probe\n");
        assert!(parent() > 0);
    }

    #[test]
    fn capabilities_are_those_of_the_status_file() {
        if effective_uid() == 0 {
            assert_eq!(effective_capabilities().unwrap() & 1, 1);
        }
    }
}

//! Ends of child processes (waitid).

use crate::syscall::check;
use std::{io, mem};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it, with or without a core dump.
    Signal(i32),
}

/// Reaps one dead child of this process, whichever: its pid and how it ended. `None` if none is
/// dead. The pid may belong to another process from then on.
pub fn reap_any() -> io::Result<Option<(i32, End)>> {
    match wait(libc::P_ALL, 0, libc::WNOHANG) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        result => result,
    }
}

/// Waits for this child's end and reaps it.
pub fn reap(pid: i32) -> io::Result<End> {
    loop {
        let id = libc::id_t::try_from(pid).map_err(io::Error::other)?;
        match wait(libc::P_PID, id, 0) {
            Ok(Some((_, end))) => return Ok(end),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wait(
    kind: libc::idtype_t,
    id: libc::id_t,
    options: libc::c_int,
) -> io::Result<Option<(i32, End)>> {
    // SAFETY: siginfo_t is plain data for which all zero is valid.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    // SAFETY: `info` is a valid siginfo_t for the kernel to fill.
    let result = unsafe { libc::waitid(kind, id, &mut info, options | libc::WEXITED) };
    check(result.into())?;
    // SAFETY: waitid succeeded, so the SIGCHLD fields are set, or still zero if nothing was dead.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let end = match info.si_code {
        libc::CLD_EXITED => End::Code(status),
        _ => End::Signal(status),
    };
    Ok((pid != 0).then_some((pid, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[expect(clippy::zombie_processes, reason = "reap is what is tested")]
    fn codes_and_signals_are_told_apart() {
        for (script, end) in [("exit 7", End::Code(7)), ("kill -9 $$", End::Signal(9))] {
            let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            assert_eq!(reap(child.id() as i32).unwrap(), end, "{script}");
        }
    }

    #[test]
    fn a_stranger_is_an_error() {
        assert_eq!(reap(1).unwrap_err().raw_os_error(), Some(libc::ECHILD));
    }
}

//! The daemon and its keeper: whether they answer, to whom, and whether they are this program.

use super::Check;
use rpm_protocol::Welcome;
use rpm_unix::home::Home;
use std::{fs, io, os::unix::fs::MetadataExt, path::PathBuf};

const AREA: &str = "daemon";
/// This program's version.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// All of this area. `answer` is what the daemon said, `None` where none runs.
pub(crate) fn checks(home: &Home, answer: Result<Option<Welcome>, String>) -> Vec<Check> {
    let keeper = match &answer {
        Ok(Some(welcome)) => keeper(welcome.pid),
        Ok(None) => Check::ok(AREA, "keeper", "none runs; the first command starts it"),
        Err(_) => Check::ok(AREA, "keeper", "unknown"),
    };
    vec![socket(home), answering(home, answer), keeper]
}

fn socket(home: &Home) -> Check {
    let path = home.socket();
    let check = |found: String| Check::ok(AREA, "socket", found);
    let shown = path.display();
    match fs::symlink_metadata(&path) {
        Ok(found) if found.mode() & 0o077 == 0 => check(format!("{shown}, for its owner only")),
        Ok(_) => check(format!("{shown}: others may connect, and are turned away"))
            .warning(format!("chmod 600 {shown}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => check("not there yet".into()),
        Err(error) => check(format!("{shown}: {error}")).broken("set RPM_HOME to another path"),
    }
}

fn answering(home: &Home, answer: Result<Option<Welcome>, String>) -> Check {
    let check = |found: String| Check::ok(AREA, "answer", found);
    match answer {
        Ok(None) => check("none runs; the first command starts it".into()),
        Ok(Some(Welcome { program, pid, .. })) if program == OURS => {
            check(format!("version {program}, pid {pid}"))
        }
        Ok(Some(Welcome { program, pid, .. })) => {
            check(format!("version {program}, pid {pid}, and this is {OURS}")).warning("rpm update")
        }
        Err(reason) => check(reason).broken(format!("{} says more", home.daemon_log().display())),
    }
}

/// The daemon's parent. A program that was replaced on disk shows as deleted (proc(5)).
fn keeper(daemon: i32) -> Check {
    let check = |found: String| Check::ok(AREA, "keeper", found);
    let Some(pid) = rpm_unix::procfs::process(daemon).map(|process| process.ppid) else {
        return check("it changes right now".into());
    };
    judge_keeper(pid, fs::read_link(format!("/proc/{pid}/exe")))
}

fn judge_keeper(pid: i32, program: io::Result<PathBuf>) -> Check {
    let check = |found: String| Check::ok(AREA, "keeper", found);
    match program {
        Ok(path) if path.to_string_lossy().ends_with(" (deleted)") => {
            check(format!("pid {pid} runs a program that was replaced")).warning("rpm update")
        }
        Ok(path) => check(format!("pid {pid}, {}", path.display())),
        Err(error) => check(format!("pid {pid}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn state(answer: Result<Option<&str>, String>) -> State {
        let welcome = |program: &str| Welcome {
            version: 1,
            program: program.into(),
            pid: i32::MAX,
            notice: None,
        };
        let home = Home::new("/nowhere");
        checks(&home, answer.map(|program| program.map(welcome)))[1].state
    }

    #[test]
    fn versions_are_compared() {
        assert_eq!(state(Ok(None)), State::Ok);
        assert_eq!(state(Ok(Some(OURS))), State::Ok);
        assert_eq!(state(Ok(Some("0.0.1"))), State::Warning);
        assert_eq!(state(Err("it does not answer".into())), State::Broken);
    }

    #[test]
    fn a_keeper_of_a_replaced_program_is_told() {
        let state = |path: &str| judge_keeper(7, Ok(path.into())).state;
        assert_eq!(state("/usr/bin/rpm"), State::Ok);
        assert_eq!(state("/usr/bin/rpm (deleted)"), State::Warning);
    }
}

//! Which of its roles this process has. The hidden ones are told from a command by their first
//! word, and are for rpm itself only.

use rpm_keeper::Inheritance;
use rpm_unix::home::Home;
use std::{ffi::OsString, os::fd::RawFd, path::PathBuf, process::ExitCode};

/// `rpm __keeper HOME FD`: what the command line starts where nothing runs.
pub(crate) const KEEPER: &str = "__keeper";
/// `rpm __heir HOME …`: what the daemon starts when the keeper died.
const HEIR: &str = "__heir";
/// `rpm __resume HOME FD`: what a keeper executes in its place.
const RESUME: &str = "__resume";
/// `rpm __check HOME`: what a daemon asks a program that is to be executed so.
const CHECK: &str = "__check";
/// `rpm __daemon HOME`: what the keeper starts.
const DAEMON: &str = "__daemon";

/// `rpm __front CONFIG`: what the keeper starts for an app with `proxy`.
const FRONT: &str = "__front";

/// What to be.
#[derive(Debug, PartialEq)]
pub(crate) enum Role {
    /// The keeper of a home, which says on a descriptor that it is ready.
    Keeper { home: Home, ready: RawFd },
    /// The keeper of a home whose former one died, started by its daemon.
    Heir { home: Home, inheritance: Inheritance },
    /// A keeper that goes on after an upgrade, with what is in this descriptor.
    Resume { home: Home, file: RawFd },
    /// Says whether this program could.
    Check { home: Home },
    /// The daemon of a home.
    Daemon { home: PathBuf },
    /// The front of an app; its configuration as JSON.
    Front { config: String },
    /// The command line.
    CommandLine,
    /// A hidden role without what it needs.
    Wrong,
}

/// The role that `words` ask for, the program's name first.
pub(crate) fn of(words: impl Iterator<Item = OsString>) -> Role {
    let mut words = words.skip(1);
    let role = match words.next() {
        Some(word) if word == KEEPER => keeper(words.next(), words.next()),
        Some(word) if word == HEIR => heir(words),
        Some(word) if word == RESUME => resume(words.next(), words.next()),
        Some(word) if word == CHECK => {
            words.next().map(|home| Role::Check { home: Home::new(PathBuf::from(home)) })
        }
        Some(word) if word == DAEMON => words.next().map(|home| Role::Daemon { home: home.into() }),
        Some(word) if word == FRONT => front(words.next()),
        Some(_) | None => Some(Role::CommandLine),
    };
    role.unwrap_or(Role::Wrong)
}

fn keeper(home: Option<OsString>, ready: Option<OsString>) -> Option<Role> {
    let ready = ready?.to_str()?.parse().ok()?;
    Some(Role::Keeper { home: Home::new(PathBuf::from(home?)), ready })
}

fn resume(home: Option<OsString>, file: Option<OsString>) -> Option<Role> {
    let file = file?.to_str()?.parse().ok()?;
    Some(Role::Resume { home: Home::new(PathBuf::from(home?)), file })
}

fn heir(mut words: impl Iterator<Item = OsString>) -> Option<Role> {
    let home = Home::new(PathBuf::from(words.next()?));
    let rest: Vec<String> = words.map(OsString::into_string).collect::<Result<_, _>>().ok()?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    Some(Role::Heir { home, inheritance: Inheritance::parse(&rest)? })
}

fn front(config: Option<OsString>) -> Option<Role> {
    Some(Role::Front { config: config?.into_string().ok()? })
}

/// Runs a front to its end. What it has to say reaches the daemon's log.
pub(crate) fn run_front(config: &str) -> ExitCode {
    match rpm_front::Config::from_json(config).and_then(rpm_front::run) {
        Ok(rpm_front::Ended::Drained | rpm_front::Ended::Cut) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("error: {error}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// An exit code as the system takes it.
pub(crate) fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Whether this program can go on from what another one left; standard input is the keeper's
/// snapshot.
pub(crate) fn check(home: &Home) -> ExitCode {
    use std::io::Write;
    match rpm_daemon::check_home(home, std::io::stdin()) {
        Ok(()) => {
            let told = writeln!(std::io::stdout(), "{}", rpm_daemon::PROOF);
            ExitCode::from(u8::from(told.is_err()))
        }
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

/// A hidden role was asked for by somebody else.
pub(crate) fn wrong() -> ExitCode {
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        b"error: __keeper, __heir, __daemon and __front are started by rpm itself\n",
    );
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides() {
        let role = |line: &str| of(line.split(' ').map(OsString::from));
        let table = [
            ("rpm", Role::CommandLine),
            ("pm2 ls", Role::CommandLine),
            ("rpm start __daemon", Role::CommandLine),
            ("rpm __keeper /h 5", Role::Keeper { home: Home::new("/h"), ready: 5 }),
            ("rpm __daemon /h", Role::Daemon { home: "/h".into() }),
            ("rpm __keeper /h", Role::Wrong),
            ("rpm __keeper /h five", Role::Wrong),
            ("rpm __front {}", Role::Front { config: "{}".into() }),
            ("rpm __daemon", Role::Wrong),
            ("rpm __heir /h 3 4", Role::Wrong),
            ("rpm __resume /h 9", Role::Resume { home: Home::new("/h"), file: 9 }),
            ("rpm __resume /h", Role::Wrong),
            ("rpm __check /h", Role::Check { home: Home::new("/h") }),
            ("rpm __front", Role::Wrong),
        ];
        for (line, want) in table {
            assert_eq!(role(line), want, "{line}");
        }
    }
}

//! What this user may have of files, processes, pipes and watches.

use super::Check;
use rpm_unix::limits::OpenFiles;
use std::io;

const AREA: &str = "limits";
/// Descriptors that keeper and daemon need for themselves.
const OWN_FILES: u64 = 64;
/// Descriptors of one instance in each of the two: 6 to 8 (traps A14).
const FILES_EACH: u64 = 8;
/// Fewer instances than this are a warning: the number at which PM2's users split their machine.
const MANY: u64 = 250;
/// As much of `pipe-user-pages-soft` is spent on large pipes, of so many pages each (traps A13).
const PIPE_SHARE: u64 = 4;
const PIPE_PAGES: u64 = 64;
/// Below these `watch` of a checkout with its node_modules fails; the kernel's former defaults.
const WATCHES: u64 = 8192;
const WATCHERS: u64 = 128;
/// Fewer processes than this are a warning: some runtimes start a dozen threads for an app.
const PROCESSES: u64 = 2048;

/// What was found.
pub(crate) struct Facts {
    pub(crate) files: io::Result<OpenFiles>,
    pub(crate) processes: io::Result<Option<u64>>,
    /// `fs.pipe-user-pages-soft`; 0: no limit.
    pub(crate) pipe_pages: Option<u64>,
    /// `fs.inotify.max_user_watches` and `max_user_instances`.
    pub(crate) watches: (Option<u64>, Option<u64>),
    /// CAP_SYS_RESOURCE.
    pub(crate) may_exceed: bool,
}

/// All of this area.
pub(crate) fn checks(facts: &Facts) -> Vec<Check> {
    vec![files(&facts.files), processes(&facts.processes), pipes(facts), watches(facts.watches)]
}

fn files(found: &io::Result<OpenFiles>) -> Check {
    let check = |found: String| Check::ok(AREA, "open files", found);
    let limit = match found {
        Ok(limit) => limit.hard,
        Err(error) => return check(error.to_string()).warning("ulimit -Hn tells it"),
    };
    let room = limit.saturating_sub(OWN_FILES) / FILES_EACH;
    let found = check(format!("{limit} at most: room for about {room} instances"));
    if room < MANY {
        return found.warning("raise the hard limit: LimitNOFILE= of the unit, or limits.conf");
    }
    found
}

fn processes(found: &io::Result<Option<u64>>) -> Check {
    let check = |found: String| Check::ok(AREA, "processes", found);
    match found {
        Ok(None) => check("no limit".into()),
        Ok(Some(limit)) if *limit >= PROCESSES => check(format!("{limit} for this user")),
        Ok(Some(limit)) => check(format!("{limit} for this user, threads included"))
            .warning("raise it: LimitNPROC= and TasksMax= of the unit, or limits.conf"),
        Err(error) => check(error.to_string()).warning("ulimit -u tells it"),
    }
}

fn pipes(facts: &Facts) -> Check {
    let check = |found: String| Check::ok(AREA, "pipes", found);
    match facts.pipe_pages {
        _ if facts.may_exceed => check("1 MiB for each stream".into()),
        None | Some(0) => check("no limit".into()),
        Some(pages) => {
            let large = pages / PIPE_SHARE / PIPE_PAGES;
            check(format!("large ones for {large} streams, 64 KiB for further ones"))
        }
    }
}

fn watches((watches, watchers): (Option<u64>, Option<u64>)) -> Check {
    let check = |found: String| Check::ok(AREA, "inotify", found);
    let (Some(watches), Some(watchers)) = (watches, watchers) else {
        return check("absent: `watch` does nothing here".into())
            .warning("a kernel with CONFIG_INOTIFY_USER has it");
    };
    let found = check(format!("{watches} directories, {watchers} watchers"));
    if watches <= WATCHES || watchers < WATCHERS {
        return found.warning("sysctl fs.inotify.max_user_watches=524288 max_user_instances=512");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn facts(hard: u64, processes: Option<u64>, watches: u64) -> Facts {
        Facts {
            files: Ok(OpenFiles { soft: 1024, hard }),
            processes: Ok(processes),
            pipe_pages: Some(16_384),
            watches: (Some(watches), Some(WATCHERS)),
            may_exceed: false,
        }
    }

    fn found(facts: &Facts) -> Vec<(State, String)> {
        checks(facts).into_iter().map(|check| (check.state, check.found)).collect()
    }

    #[test]
    fn limits_are_told_as_what_they_allow() {
        let expected = [
            (State::Ok, "524288 at most: room for about 65528 instances"),
            (State::Ok, "no limit"),
            (State::Ok, "large ones for 64 streams, 64 KiB for further ones"),
            (State::Ok, "8193 directories, 128 watchers"),
        ];
        let expected = expected.map(|(state, text)| (state, text.to_owned()));
        assert_eq!(found(&facts(524_288, None, WATCHES + 1)), expected);
    }

    #[test]
    fn their_edges_are_where_they_are_said_to_be() {
        let states = |hard, processes, watches| {
            let found = found(&facts(hard, Some(processes), watches));
            [found[0].0, found[1].0, found[3].0]
        };
        let enough = OWN_FILES + MANY * FILES_EACH;
        assert_eq!(states(enough, PROCESSES, WATCHES + 1), [State::Ok; 3]);
        assert_eq!(states(enough - 1, PROCESSES - 1, WATCHES), [State::Warning; 3]);
        assert_eq!(states(0, 0, 0), [State::Warning; 3]);
    }
}

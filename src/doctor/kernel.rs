//! What the kernel offers: the filter behind shared ports, pidfds, balancing, control groups, Yama.

use super::Check;
use rpm_unix::cgroup::{Controller, Groups, Standing};
use std::io;

const AREA: &str = "kernel";
/// From this on nothing is missing (docs/cluster.md).
const COMPLETE: (u32, u32) = (5, 14);
/// Who is under a filter with a listener already (seccomp(2)).
const EBUSY: i32 = 16;

/// What was found.
pub(crate) struct Facts {
    /// As of uname(2).
    pub(crate) release: io::Result<String>,
    pub(crate) pidfd: io::Result<()>,
    pub(crate) bind_filter: io::Result<()>,
    /// Whether connections can be dealt out exactly in turn.
    pub(crate) turns: io::Result<()>,
    /// Whether control groups of version 2 can be made, and the file to kill one is there.
    pub(crate) cgroup: (Standing, bool),
    /// Whether each kind of use can be limited.
    pub(crate) controllers: [(Controller, Standing); 3],
    /// `kernel.yama.ptrace_scope`; `None` without Yama.
    pub(crate) yama: Option<u64>,
    pub(crate) root: bool,
}

/// All of this area.
pub(crate) fn checks(facts: &Facts) -> Vec<Check> {
    let mut all = vec![
        release(&facts.release),
        pidfd(&facts.pidfd),
        bind_filter(&facts.bind_filter),
        turns(&facts.turns),
        cgroup(&facts.cgroup),
    ];
    all.extend(facts.controllers.iter().map(|(controller, found)| limit(*controller, found)));
    all.push(yama(facts.yama, facts.root));
    all
}

/// What is found for a keeper that is where `pid` is.
pub(crate) fn groups(
    pid: i32,
    hash: &str,
    release: &io::Result<String>,
) -> ((Standing, bool), [(Controller, Standing); 3]) {
    let groups = Groups::of_process(pid, hash);
    // A group that has the file is not there before the first app runs.
    let has_kill = release.as_ref().is_ok_and(|text| version(text) >= Some(COMPLETE));
    let controllers = Controller::ALL.map(|one| (one, groups.standing_of(one)));
    ((groups.standing(), has_kill), controllers)
}

fn release(found: &io::Result<String>) -> Check {
    let check = |found: String| Check::ok(AREA, "release", found);
    match found {
        Ok(text) if version(text).is_some_and(|version| version >= COMPLETE) => check(text.clone()),
        Ok(text) => check(text.clone()).warning("Linux 5.14 or later has all that rpm uses"),
        Err(error) => check(error.to_string()).warning("uname -r tells it"),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|byte: char| !byte.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn pidfd(tried: &io::Result<()>) -> Check {
    let check = |found: String| Check::ok(AREA, "pidfd", found);
    match tried {
        Ok(()) => check("processes are held by descriptor".into()),
        Err(error) => check(format!("refused: {error}"))
            .broken("use Linux 5.6 or later, and allow pidfd_open and pidfd_getfd in the sandbox"),
    }
}

fn bind_filter(tried: &io::Result<()>) -> Check {
    let check = |found: String| Check::ok(AREA, "bind filter", found);
    match tried {
        Ok(()) => check("apps of any language can share a port".into()),
        Err(error) if error.raw_os_error() == Some(EBUSY) => {
            check("this shell runs under such a filter already, and so would the apps".into())
                .warning("start rpm outside of what supervises this shell; else set `listen`")
        }
        Err(error) => check(format!("refused: {error}; only Node apps can share a port"))
            .warning("allow seccomp with user notification (Linux 5.9); else set `listen`"),
    }
}

/// Without the right there is classic BPF, which any user may attach: no warning.
fn turns(tried: &io::Result<()>) -> Check {
    Check::ok(
        AREA,
        "port balancing",
        match tried {
            Ok(()) => "in the kernel, exactly in turn".to_owned(),
            Err(error) => format!("in the kernel, by chance (turns need CAP_BPF: {error})"),
        },
    )
}

fn cgroup((found, has_kill): &(Standing, bool)) -> Check {
    let check = |found: String| Check::ok(AREA, "cgroup", found);
    match found {
        Standing::Ours(group) | Standing::Crowded(group) => {
            let found = format!("version 2, each app has a group below {}", group.display());
            match has_kill {
                true => check(format!("{found}, killed as a whole")),
                false => check(format!("{found}, killed process by process"))
                    .warning("Linux 5.14 or later kills a group as a whole"),
            }
        }
        Standing::NotOurs(group) => check(format!(
            "version 2, but {} is not ours: apps are told apart by session and parentage",
            group.display()
        ))
        .warning(OWN_GROUP),
        Standing::Absent => {
            check("no version 2: apps are told apart by session and parentage".into())
                .warning("boot with systemd.unified_cgroup_hierarchy=1")
        }
    }
}

/// How an ordinary user, and anybody in a container, gets one.
const OWN_GROUP: &str = "run rpm as a service (rpm startup: Delegate=yes), or in a container that \
                         may write /sys/fs/cgroup";

fn limit(controller: Controller, found: &Standing) -> Check {
    let name = match controller {
        Controller::Memory => "memory limit",
        Controller::Cpu => "cpu limit",
        Controller::Pids => "pids limit",
    };
    let check = |found: String| Check::ok(AREA, name, found);
    match found {
        Standing::Ours(group) => check(format!("enforced, below {}", group.display())),
        Standing::NotOurs(group) => {
            check(format!("not enforced: {} is not ours", group.display())).warning(OWN_GROUP)
        }
        Standing::Crowded(group) => {
            check(format!("not enforced: others live in {}", group.display())).warning(OWN_GROUP)
        }
        Standing::Absent => {
            check("not enforced: no control group has it for us".into()).warning(OWN_GROUP)
        }
    }
}

fn yama(scope: Option<u64>, root: bool) -> Check {
    let check = |found: &str| Check::ok(AREA, "yama", found);
    match scope {
        None => check("absent: nothing is restricted"),
        Some(0) => check("0: nothing is restricted"),
        Some(scope) if root => check(&format!("{scope}: does not restrict root")),
        Some(1) => check("1: the keeper may look into its children, and needs no more"),
        Some(_) => check("2 or more: the keeper may not look into apps, ports cannot be shared")
            .warning("sysctl kernel.yama.ptrace_scope=1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn ours() -> Standing {
        Standing::Ours("/sys/fs/cgroup/rpm.service".into())
    }

    fn facts() -> Facts {
        Facts {
            release: Ok("6.1.0-13-amd64".into()),
            pidfd: Ok(()),
            bind_filter: Ok(()),
            turns: Ok(()),
            cgroup: (ours(), true),
            controllers: Controller::ALL.map(|one| (one, ours())),
            yama: Some(1),
            root: false,
        }
    }

    fn states(facts: &Facts) -> Vec<State> {
        checks(facts).iter().map(|check| check.state).collect()
    }

    #[test]
    fn a_present_day_machine_is_fine() {
        assert_eq!(states(&facts()), [State::Ok; 9]);
    }

    #[test]
    fn what_is_missing_is_told_by_how_much_it_costs() {
        use State::{Broken, Ok, Warning};
        let no = || Err(io::Error::from_raw_os_error(1));
        let bare = Facts {
            release: Result::Ok("5.4.0".into()),
            pidfd: no(),
            bind_filter: no(),
            turns: no(),
            cgroup: (Standing::Absent, false),
            controllers: Controller::ALL.map(|one| (one, Standing::Absent)),
            yama: Some(2),
            root: false,
        };
        let expected = [Warning, Broken, Warning, Ok, Warning, Warning, Warning, Warning, Warning];
        assert_eq!(states(&bare), expected);
        assert_eq!(states(&Facts { root: true, ..bare })[8], Ok);
    }

    #[test]
    fn each_obstacle_to_a_limit_is_told_with_its_place() {
        let place = || "/sys/fs/cgroup/x".into();
        let found = |standing| limit(Controller::Cpu, &standing).found;
        assert_eq!(found(Standing::Ours(place())), "enforced, below /sys/fs/cgroup/x");
        let not_ours = "not enforced: /sys/fs/cgroup/x is not ours";
        assert_eq!(found(Standing::NotOurs(place())), not_ours);
        let crowded = "not enforced: others live in /sys/fs/cgroup/x";
        assert_eq!(found(Standing::Crowded(place())), crowded);
        let old = cgroup(&(Standing::Ours(place()), false));
        assert_eq!(old.state, State::Warning);
    }

    #[test]
    fn a_filter_above_us_is_told_apart() {
        let error = io::Error::from_raw_os_error(EBUSY);
        let check = bind_filter(&Err(error));
        assert!(check.found.starts_with("this shell runs under such a filter"), "{check:?}");
    }

    #[test]
    fn releases_of_all_kinds_have_a_version() {
        assert_eq!(version("5.14.0-503.el9.x86_64"), Some((5, 14)));
        assert_eq!(version("6.6.87.2-microsoft-standard-WSL2"), Some((6, 6)));
        assert_eq!(version("6.12-rc1"), Some((6, 12)));
        assert_eq!(version("next"), None);
    }
}

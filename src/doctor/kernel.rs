//! What the kernel offers: the filter behind shared ports, pidfds, balancing, control groups, Yama.

use super::Check;
use rpm_unix::machine::Cgroup;
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
    pub(crate) cgroup: Option<Cgroup>,
    /// `kernel.yama.ptrace_scope`; `None` without Yama.
    pub(crate) yama: Option<u64>,
    pub(crate) root: bool,
}

/// All of this area.
pub(crate) fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        release(&facts.release),
        pidfd(&facts.pidfd),
        bind_filter(&facts.bind_filter),
        turns(&facts.turns),
        cgroup(facts.cgroup.as_ref()),
        yama(facts.yama, facts.root),
    ]
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

fn cgroup(found: Option<&Cgroup>) -> Check {
    let check = |found: String| Check::ok(AREA, "cgroup", found);
    let Some(group) = found else {
        return check("no version 2: apps are kept apart by session and parentage".into())
            .warning("boot with systemd.unified_cgroup_hierarchy=1");
    };
    let (path, controllers) = (group.path.display(), group.controllers.join(" "));
    if group.delegated {
        return check(format!("version 2, {path} is ours ({controllers})"));
    }
    check(format!("version 2, {path} is not ours: no limits of apps by the kernel"))
        .warning("run rpm as a service with Delegate=yes, or in a container that may write it")
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

    fn facts() -> Facts {
        Facts {
            release: Ok("6.1.0-13-amd64".into()),
            pidfd: Ok(()),
            bind_filter: Ok(()),
            turns: Ok(()),
            cgroup: Some(Cgroup {
                path: "/sys/fs/cgroup/rpm".into(),
                delegated: true,
                controllers: vec!["cpu".into(), "memory".into()],
            }),
            yama: Some(1),
            root: false,
        }
    }

    fn states(facts: &Facts) -> Vec<State> {
        checks(facts).iter().map(|check| check.state).collect()
    }

    #[test]
    fn a_present_day_machine_is_fine() {
        assert_eq!(states(&facts()), [State::Ok; 6]);
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
            cgroup: None,
            yama: Some(2),
            root: false,
        };
        assert_eq!(states(&bare), [Warning, Broken, Warning, Ok, Warning, Warning]);
        assert_eq!(states(&Facts { root: true, ..bare })[5], Ok);
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

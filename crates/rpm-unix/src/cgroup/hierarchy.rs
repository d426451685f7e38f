//! Where a process is in each hierarchy, as directories.

use super::controller::Controller;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Component, Path, PathBuf},
};

/// The name of the group that holds the keeper itself.
pub(super) const KEEPER: &str = "keeper";

/// The groups of one process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// In version 2.
    pub(super) unified: Option<PathBuf>,
    /// In version 1, by controller.
    pub(super) legacy: BTreeMap<Controller, PathBuf>,
}

/// Where a home's group is, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The group below which it is.
    pub(super) base: PathBuf,
    /// The process is in one of the home's workers' groups.
    pub(super) in_worker: bool,
    /// It is in that of the keeper.
    pub(super) in_keeper: bool,
}

impl Place {
    /// For a home with this directory name, seen from a process in `directory`.
    pub(super) fn outside(directory: PathBuf, name: &str) -> Self {
        let mut base = PathBuf::new();
        let mut components = directory.components();
        while let Some(component) = components.next() {
            if component == Component::Normal(OsStr::new(name)) {
                let below = components.next();
                let in_keeper = below == Some(Component::Normal(OsStr::new(KEEPER)));
                return Self { base, in_worker: below.is_some() && !in_keeper, in_keeper };
            }
            base.push(component);
        }
        Self { base: directory, in_worker: false, in_keeper: false }
    }

    /// Whether groups below may have this controller, in version 2.
    pub(super) fn offers(&self, controller: Controller) -> bool {
        lists(&self.base.join("cgroup.controllers"), controller.name())
    }
}

/// Whether a file of version 2 that lists controllers has this one.
pub(super) fn lists(file: &Path, controller: &str) -> bool {
    let found = fs::read_to_string(file).unwrap_or_default();
    found.split_ascii_whitespace().any(|one| one == controller)
}

impl Places {
    /// From `/proc/self/mountinfo` (proc_pid_mountinfo(5)) and `/proc/PID/cgroup` (cgroups(7)).
    pub(super) fn find(mounts: &str, own: &str) -> Self {
        let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
        let mut found = Self::default();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let directory = |kind: &Kind| {
                mounts.iter().filter(|mount| mount.kind == *kind).find_map(|one| one.resolve(path))
            };
            if controllers.is_empty() {
                found.unified = directory(&Kind::Two);
            }
            for controller in Controller::ALL {
                if controllers.split(',').any(|one| one == controller.name())
                    && let Some(directory) = directory(&Kind::One(controller))
                {
                    found.legacy.insert(controller, directory);
                }
            }
        }
        found
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    One(Controller),
    Two,
}

/// One mounted hierarchy, or the part of one that a container sees.
#[derive(Debug)]
struct Mount {
    root: PathBuf,
    point: PathBuf,
    kind: Kind,
}

impl Mount {
    /// `36 35 98:0 /root /point options [tags] - type source options`
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (unescaped(left.next()?), unescaped(left.next()?));
        let mut right = right.split(' ');
        let kind = match right.next()? {
            "cgroup2" => Kind::Two,
            "cgroup" => {
                let options: Vec<&str> = right.nth(1)?.split(',').collect();
                let of = |one: &Controller| options.contains(&one.name());
                Kind::One(Controller::ALL.into_iter().find(of)?)
            }
            _ => return None,
        };
        Some(Self { root, point, kind })
    }

    /// The directory of a group; `None`: it is outside of what is mounted.
    fn resolve(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| {
            if below == Path::new("") { self.point.clone() } else { self.point.join(below) }
        })
    }
}

/// Blanks in paths are `\040`.
fn unescaped(text: &str) -> PathBuf {
    text.replace("\\040", " ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const PURE: &str = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn of(mounts: &str, own: &str) -> (Option<String>, Vec<(Controller, String)>) {
        let text = |path: PathBuf| path.display().to_string();
        let Places { unified, legacy } = Places::find(mounts, own);
        (unified.map(text), legacy.into_iter().map(|(one, path)| (one, text(path))).collect())
    }

    #[test]
    fn each_controller_is_where_it_is_mounted() {
        let own = "9:name=systemd:/\n8:pids:/\n4:memory:/user/x\n1:cpu,cpuacct:/\n0::/a b\n";
        let unified = Some("/sys/fs/cgroup/unified/a b".to_owned());
        let legacy = vec![
            (Controller::Memory, "/sys/fs/cgroup/memory/user/x".to_owned()),
            (Controller::Cpu, "/sys/fs/cgroup/cpu".to_owned()),
        ];
        assert_eq!(of(HYBRID, own), (unified, legacy));
        let unified = Some("/sys/fs/cgroup/system.slice/rpm.service".to_owned());
        assert_eq!(of(PURE, "0::/system.slice/rpm.service\n"), (unified, vec![]));
        assert_eq!(of(PURE, "4:memory:/\n"), (None, vec![]));
        assert_eq!(of("", "0::/\n"), (None, vec![]));
    }

    /// A container of version 1 sees its own part of each hierarchy; one that joined another's
    /// namespace is outside of what it sees.
    #[test]
    fn a_container_sees_its_own_part() {
        let mounts = "1 2 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                      1 2 0:33 /docker/ab /my\\040groups ro - cgroup2 cgroup rw\n";
        let inside = of(mounts, "4:memory:/docker/ab/x\n0::/docker/ab\n");
        let memory = (Controller::Memory, "/sys/fs/cgroup/memory/x".to_owned());
        assert_eq!(inside, (Some("/my groups".to_owned()), vec![memory]));
        assert_eq!(of(mounts, "4:memory:/docker/abc\n0::/\n"), (None, vec![]));
        assert_eq!(of(PURE, "0::/../x\n"), (None, vec![]));
        assert_eq!(of(PURE, "0::/a/../../x\n"), (None, vec![]));
    }

    #[test]
    fn a_homes_group_is_not_made_within_itself() {
        let place = |path: &str| {
            let Place { base, in_worker, in_keeper } = Place::outside(path.into(), "rpm-1f");
            (base.display().to_string(), in_worker, in_keeper)
        };
        assert_eq!(place("/g/rpm-1f/17"), ("/g".to_owned(), true, false));
        assert_eq!(place("/g/rpm-1f/17/sub"), ("/g".to_owned(), true, false));
        assert_eq!(place("/g/rpm-1f/keeper"), ("/g".to_owned(), false, true));
        assert_eq!(place("/g/rpm-1f"), ("/g".to_owned(), false, false));
        let other = "/g/rpm-2e/17".to_owned();
        assert_eq!(place(&other), (other, false, false));
    }
}

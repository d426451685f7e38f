//! [`usable`]: how many CPUs this process may really use, and why.
//!
//! `std::thread::available_parallelism` knows affinity and quotas too, but rounds a quota down: a
//! container with 1.5 CPUs would get one worker and leave a third of its time unused. So the same
//! files are read here, and the quota is rounded up.

use std::{
    fmt, fs,
    path::{Component, Path, PathBuf},
    thread,
};

/// How many CPUs, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usable {
    /// At least 1.
    pub count: u32,
    /// What decided it.
    pub because: Because,
}

/// What decided the number of usable CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The CPUs the scheduler may put this process on (`taskset`, cpusets, or simply all).
    Affinity,
    /// A cgroup's CPU quota, rounded up.
    Quota {
        /// Thousandths of a CPU.
        millicpus: u64,
    },
}

impl fmt::Display for Usable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, because } = self;
        match because {
            Because::Affinity => write!(f, "{count} (CPUs this process may run on)"),
            Because::Quota { millicpus } => {
                let (whole, part) = (millicpus / 1000, millicpus % 1000);
                write!(f, "{count} (cgroup quota of {whole}.{part:03} CPUs)")
            }
        }
    }
}

/// The CPUs this process may use.
pub fn usable() -> Usable {
    usable_below(Path::new("/"))
}

/// As [`usable`], with `/proc` and `/sys` looked for below `root`.
fn usable_below(root: &Path) -> Usable {
    let allowed = affinity(&root.join("proc/self/status")).unwrap_or_else(all);
    match quota(root) {
        Some(millicpus) if count(millicpus) < allowed => {
            Usable { count: count(millicpus), because: Because::Quota { millicpus } }
        }
        _ => Usable { count: allowed, because: Because::Affinity },
    }
}

fn count(millicpus: u64) -> u32 {
    u32::try_from(millicpus.div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

fn all() -> u32 {
    thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

/// The length of the list in `Cpus_allowed_list: 0-3,8` (proc(5)).
fn affinity(status: &Path) -> Option<u32> {
    let text = fs::read_to_string(status).ok()?;
    let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let lengths = list.trim().split(',').map(range_length);
    u32::try_from(lengths.sum::<Option<u64>>()?).ok()
}

fn range_length(range: &str) -> Option<u64> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
    last.checked_sub(first).map(|further| u64::from(further) + 1)
}

/// The tightest quota of any cgroup this process is in, or of an ancestor, in thousandths of a CPU.
fn quota(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups.lines().filter_map(|line| tightest(root, line)).min()
}

/// `line` is `hierarchy:controllers:path` of cgroups(7); hierarchy 0 is cgroup v2.
fn tightest(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let read = match (hierarchy, controllers) {
        ("0", "") => quota_v2,
        (_, names) if names.split(',').any(|name| name == "cpu") => quota_v1,
        _ => return None,
    };
    let mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified", "sys/fs/cgroup/cpu"];
    let mounts = mounts.iter().map(|mount| root.join(mount));
    mounts.flat_map(|mount| within(&mount, path)).filter_map(|dir| read(&dir)).min()
}

/// The cgroup's directory and its ancestors up to the mount. A path that leads outside, as in a
/// container that sees only its own group, leaves the mount itself.
fn within(mount: &Path, path: &str) -> Vec<PathBuf> {
    let parts = Path::new(path).components();
    let names: Vec<_> = parts.skip_while(|part| *part == Component::RootDir).collect();
    if names.iter().any(|part| !matches!(part, Component::Normal(_))) {
        return vec![mount.to_owned()];
    }
    (0..=names.len())
        .map(|depth| mount.join(names.iter().take(depth).collect::<PathBuf>()))
        .collect()
}

/// `cpu.max`: `150000 100000`, or `max 100000` for none.
fn quota_v2(dir: &Path) -> Option<u64> {
    let text = fs::read_to_string(dir.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    millicpus(quota, period)
}

/// `cpu.cfs_quota_us` is -1 for none.
fn quota_v1(dir: &Path) -> Option<u64> {
    let quota = fs::read_to_string(dir.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(dir.join("cpu.cfs_period_us")).ok()?;
    millicpus(quota.trim(), period.trim())
}

fn millicpus(quota: &str, period: &str) -> Option<u64> {
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    quota.checked_mul(1000)?.checked_div(period).map(|millicpus| millicpus.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const EIGHT: (&str, &str) = ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-3,5,8-10\n");
    const V2: (&str, &str) = ("proc/self/cgroup", "0::/a/b\n");

    #[test]
    fn affinity_and_quotas() {
        let quota = |millicpus, count| Usable { count, because: Because::Quota { millicpus } };
        let affinity = Usable { count: 8, because: Because::Affinity };
        let v1 = ("proc/self/cgroup", "9:memory:/x\n4:cpu,cpuacct:/a\n");
        let outside = ("proc/self/cgroup", "0::/../../x\n");
        let table = [
            (vec![EIGHT], affinity),
            (vec![EIGHT, V2], affinity),
            (vec![EIGHT, V2, ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")], affinity),
            (vec![EIGHT, V2, ("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n")], quota(1500, 2)),
            (vec![EIGHT, V2, ("sys/fs/cgroup/a/b/cpu.max", "200000 100000\n")], quota(2000, 2)),
            (vec![EIGHT, V2, ("sys/fs/cgroup/a/cpu.max", "1 100000\n")], quota(1, 1)),
            (vec![EIGHT, V2, ("sys/fs/cgroup/cpu.max", "800000 100000\n")], affinity),
            (vec![EIGHT, V2, ("sys/fs/cgroup/cpu.max", "1 0\n")], affinity),
            (vec![EIGHT, V2, ("sys/fs/cgroup/unified/a/cpu.max", "1 1\n")], quota(1000, 1)),
            (vec![EIGHT, outside, ("sys/fs/cgroup/cpu.max", "3 1\n")], quota(3000, 3)),
            (
                vec![
                    EIGHT,
                    v1,
                    ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "250000\n"),
                    ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
                    ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
                    ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
                ],
                quota(2500, 3),
            ),
        ];
        for (files, want) in table {
            assert_eq!(usable_below(root(&files).path()), want, "{files:?}");
        }
    }

    #[test]
    fn unreadable_files_leave_what_std_says() {
        let want = Usable { count: all(), because: Because::Affinity };
        for list in ["", "x", "3-1", "1-"] {
            let text = format!("Cpus_allowed_list:\t{list}\n");
            let root = root(&[("proc/self/status", &text)]);
            assert_eq!(usable_below(root.path()), want, "{list:?}");
        }
    }

    #[test]
    fn the_reason_reads_well() {
        let quota = Usable { count: 2, because: Because::Quota { millicpus: 1500 } };
        assert_eq!(quota.to_string(), "2 (cgroup quota of 1.500 CPUs)");
        let affinity = Usable { count: 8, because: Because::Affinity };
        assert_eq!(affinity.to_string(), "8 (CPUs this process may run on)");
    }
}

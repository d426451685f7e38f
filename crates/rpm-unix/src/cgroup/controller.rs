//! What can be limited: in which file of which version, and how it is written there.

use std::{fs, io, path::Path};

/// The period within which CPU time is dealt out, in microseconds: the kernel's own default
/// (admin-guide/cgroup-v2.rst, `cpu.max`; scheduler/sched-bwc.rst).
const PERIOD_US: u64 = 100_000;

/// What can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Bytes of memory, page cache included.
    Memory,
    /// CPU time.
    Cpu,
    /// Processes and threads.
    Pids,
}

/// What a group may use. `None`: as much as the group above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Thousandths of a CPU; the kernel takes no fewer than 10.
    pub cpu: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

impl Limits {
    /// Those that are set.
    pub fn wanted(&self) -> impl Iterator<Item = (Controller, u64)> {
        let all = [
            (Controller::Memory, self.memory),
            (Controller::Cpu, self.cpu.map(u64::from)),
            (Controller::Pids, self.pids.map(u64::from)),
        ];
        all.into_iter().filter_map(|(controller, value)| Some((controller, value?)))
    }
}

/// Which kind of hierarchy a controller is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Controller {
    /// All there are here.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name of it, which is also ours.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    /// The file of a limit.
    fn file(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Memory, Version::One) => "memory.limit_in_bytes",
            (Self::Memory, Version::Two) => "memory.max",
            (Self::Cpu, Version::One) => "cpu.cfs_quota_us",
            (Self::Cpu, Version::Two) => "cpu.max",
            (Self::Pids, Version::One | Version::Two) => "pids.max",
        }
    }

    /// What is written to it.
    fn text(self, version: Version, value: u64) -> String {
        let quota = value.saturating_mul(PERIOD_US / 1000);
        match (self, version) {
            (Self::Cpu, Version::One) => quota.to_string(),
            (Self::Cpu, Version::Two) => format!("{quota} {PERIOD_US}"),
            (Self::Memory | Self::Pids, Version::One | Version::Two) => value.to_string(),
        }
    }

    /// Sets the limit of a group.
    pub(super) fn write(self, version: Version, group: &Path, value: u64) -> io::Result<()> {
        if (self, version) == (Self::Cpu, Version::One) {
            fs::write(group.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
        }
        fs::write(group.join(self.file(version)), self.text(version, value))
    }

    /// Whether a group has this limit, or a closer one: memory is rounded down to whole pages.
    pub(super) fn is_set(self, version: Version, group: &Path, value: u64) -> bool {
        let found = fs::read_to_string(group.join(self.file(version))).unwrap_or_default();
        match self {
            Self::Memory => found.trim().parse::<u64>().is_ok_and(|found| found <= value),
            Self::Cpu | Self::Pids => found.trim() == self.text(version, value),
        }
    }

    /// The file that counts processes the kernel killed because a group was at its limit, in lines
    /// of which one is `oom_kill N`.
    pub(super) fn kills(version: Version) -> &'static str {
        match version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_file_in_each_version() {
        let limits = Limits { memory: Some(1 << 20), cpu: Some(500), pids: Some(10) };
        for (version, expected) in [
            (
                Version::One,
                [
                    ("memory.limit_in_bytes", "1048576"),
                    ("cpu.cfs_quota_us", "50000"),
                    ("pids.max", "10"),
                ],
            ),
            (
                Version::Two,
                [("memory.max", "1048576"), ("cpu.max", "50000 100000"), ("pids.max", "10")],
            ),
        ] {
            let group = tempfile::tempdir().unwrap();
            for ((controller, value), (file, text)) in limits.wanted().zip(expected) {
                assert!(!controller.is_set(version, group.path(), value));
                controller.write(version, group.path(), value).unwrap();
                assert_eq!(fs::read_to_string(group.path().join(file)).unwrap(), text);
                assert!(controller.is_set(version, group.path(), value), "{file}");
                assert!(!controller.is_set(version, group.path(), value - 1), "{file}");
            }
            let period = fs::read_to_string(group.path().join("cpu.cfs_period_us")).ok();
            assert_eq!(period.as_deref(), (version == Version::One).then_some("100000"));
        }
    }

    #[test]
    fn a_group_without_a_limit_has_none() {
        let group = tempfile::tempdir().unwrap();
        for (file, controller) in [
            ("memory.max", Controller::Memory),
            ("cpu.max", Controller::Cpu),
            ("pids.max", Controller::Pids),
        ] {
            fs::write(group.path().join(file), "max\n").unwrap();
            assert!(!controller.is_set(Version::Two, group.path(), u64::MAX));
        }
    }
}

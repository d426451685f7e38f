//! Processes as /proc shows them, and waiting for their end by pidfd.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::time::Timespec;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// One process, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    fn pid(self) -> Pid {
        Pid::from_raw(i32::try_from(self.0).expect("pid")).expect("pid 0")
    }

    fn proc(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    /// Every process of the machine.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Self).collect()
    }

    /// Whether it is there and has not exited.
    pub(crate) fn is_alive(self) -> bool {
        self.stat().is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
    }

    pub(crate) fn parent(self) -> Self {
        let fields = self.stat().expect("the process is gone");
        Self(fields[1].parse().expect("ppid"))
    }

    /// Whether that one is its parent; false where it is gone.
    pub(crate) fn is_child_of(self, parent: Self) -> bool {
        self.stat().is_some_and(|fields| fields[1] == parent.0.to_string())
    }

    /// Whether it is `root` or one of its descendants.
    pub(crate) fn is_within(self, root: Self) -> bool {
        let mut next = Some(self);
        while let Some(process) = next {
            if process == root {
                return true;
            }
            let parent = process.stat().and_then(|fields| fields[1].parse().ok());
            next = parent.filter(|&parent| parent > 1).map(Self);
        }
        false
    }

    /// The fields of /proc/PID/stat after the name: state, parent …
    fn stat(self) -> Option<Vec<String>> {
        let text = fs::read_to_string(self.proc("stat")).ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        Some(fields.split_whitespace().map(str::to_owned).collect())
    }

    /// Its arguments, joined by spaces.
    pub(crate) fn command(self) -> String {
        let bytes = fs::read(self.proc("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
    }

    /// Whether `text` stands in its environment or arguments.
    pub(crate) fn mentions(self, text: &str) -> bool {
        ["environ", "cmdline"].into_iter().any(|name| {
            let bytes = fs::read(self.proc(name)).unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    /// Whether its directory is `folder` or below.
    pub(crate) fn works_in(self, folder: &Path) -> bool {
        fs::read_link(self.proc("cwd")).is_ok_and(|directory| directory.starts_with(folder))
    }

    /// Its executable, ` (deleted)` included where that is so.
    pub(crate) fn executable(self) -> PathBuf {
        fs::read_link(self.proc("exe")).unwrap_or_default()
    }

    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// Nothing happens where it is gone already.
    pub(crate) fn signal(self, signal: Signal) {
        let _ = kill_process(self.pid(), signal);
    }

    /// Stops it, and returns when it surely does nothing any more.
    pub(crate) fn freeze(self) {
        self.signal(Signal::STOP);
        // Nothing tells of a stop but to the parent; it takes microseconds.
        while self.stat().is_some_and(|fields| fields[0] != "T") {
            thread::yield_now();
        }
    }

    /// Waits for its end; false where the limit came first.
    pub(crate) fn ends_within(self, limit: Duration) -> bool {
        let Ok(fd) = pidfd_open(self.pid(), PidfdFlags::empty()) else { return true };
        is_readable(&fd, Instant::now() + limit)
    }
}

/// Waits until `fd` can be read; false where the deadline came first.
pub(crate) fn is_readable(fd: &impl std::os::fd::AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("duration");
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&left)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

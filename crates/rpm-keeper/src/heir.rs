//! A new keeper after the death of one: started by the daemon, which holds duplicates of all there
//! was and hands them over; it takes the daemon's link, lock and socket, never a second daemon
//! (traps A5, A15).

use crate::{
    client::Link,
    keeper::Keeper,
    log::note,
    ports::Ports,
    ready::Ready,
    start::{Parts, furnish},
};
use rpm_unix::{
    fd, fdpass,
    home::Home,
    limits::OpenFiles,
    pidfd, process, procfs,
    spawn::{Baseline, Filter, Spawned},
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd, RawFd},
    process::{Child, Command, Stdio},
};

/// The first word of the role.
const ROLE: &str = "__heir";
/// The same executable as ours, whatever became of its file (traps B10).
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// What a daemon needs to start a new keeper with.
#[derive(Debug)]
pub struct Legacy {
    /// Whose.
    pub home: Home,
    /// The listening socket of the command line protocol.
    pub rpc: OwnedFd,
    /// The lock of the home.
    pub lock: OwnedFd,
    /// What programs get back of the limits that were changed.
    pub baseline: Baseline,
}

/// What the role is started with: the daemon's pid, numbers of descriptors and of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inheritance {
    daemon: i32,
    link: RawFd,
    rpc: RawFd,
    lock: RawFd,
    baseline: Baseline,
}

impl Legacy {
    /// Starts a keeper for this process, which must be the daemon of the home, and returns the link
    /// to it. The one before must be dead.
    ///
    /// # Errors
    /// There is no descriptor or no process left.
    pub fn start(&self) -> io::Result<(Link, Child)> {
        let (ours, theirs) = fdpass::pair(true)?;
        let inherited = [&theirs, &self.rpc, &self.lock].map(OwnedFd::try_clone);
        let [link, rpc, lock] = inherited;
        let (link, rpc, lock) = (link?, rpc?, lock?);
        for descriptor in [&link, &rpc, &lock] {
            fd::set_cloexec(descriptor, false)?;
        }
        let numbers = [&link, &rpc, &lock].map(|descriptor| fd::number(descriptor).to_string());
        let child = Command::new(OWN_EXECUTABLE)
            .arg(ROLE)
            .arg(self.home.root())
            .arg(process::own().to_string())
            .args(numbers)
            .args(limits(&self.baseline))
            .stdin(Stdio::null())
            .spawn()?;
        Ok((Link::new(ours)?, child))
    }
}

fn limits(baseline: &Baseline) -> [String; 4] {
    let oom = baseline.oom_score_adj.map_or("-".to_owned(), |score| score.to_string());
    let OpenFiles { soft, hard } = baseline.open_files;
    [soft.to_string(), hard.to_string(), baseline.umask.to_string(), oom]
}

impl Inheritance {
    /// From the words after the home; `None` if they are not from [`Legacy::start`].
    pub fn parse(words: &[&str]) -> Option<Self> {
        let [daemon, link, rpc, lock, soft, hard, umask, oom] = words else { return None };
        let open_files = OpenFiles { soft: soft.parse().ok()?, hard: hard.parse().ok()? };
        let oom_score_adj = if *oom == "-" { None } else { Some(oom.parse().ok()?) };
        let umask = umask.parse().ok()?;
        let baseline = Baseline { open_files, umask, oom_score_adj, nice: None };
        let (link, rpc, lock) = (link.parse().ok()?, rpc.parse().ok()?, lock.parse().ok()?);
        Some(Self { daemon: daemon.parse().ok()?, link, rpc, lock, baseline })
    }
}

/// The role of a new keeper: `rpm __heir`. Call it first thing in a process without other threads.
/// Returns, with the exit code of the process, when the daemon has asked for it.
pub fn heir_main(home: &Home, inheritance: Inheritance) -> i32 {
    match inherit(home, inheritance) {
        Ok(keeper) => keeper.run_for(home),
        Err(error) => {
            note(format_args!("cannot take over from a dead keeper: {error}"));
            1
        }
    }
}

fn inherit(home: &Home, inheritance: Inheritance) -> io::Result<Keeper> {
    let Inheritance { daemon, link, rpc, lock, baseline } = inheritance;
    let (link, rpc, lock) = (fd::duplicate(link)?, fd::duplicate(rpc)?, fd::duplicate(lock)?);
    fd::close_inherited(&[link.as_fd(), rpc.as_fd(), lock.as_fd()]);
    fd::set_nonblocking(&link, true)?;
    let (signals, spawner) = furnish(home, baseline).map_err(io::Error::other)?;
    let mut keeper = Parts { signals, spawner, lock, rpc }.into_keeper(home, Ready::told());
    keeper.ports = Ports::awaiting();
    match living(daemon) {
        Some(running) => keeper.take_over(link, Some(running))?,
        None => {
            // It has died as well. What it had sent by then may be everything.
            keeper.take_over(link, None)?;
            keeper.foster_daemon_ended();
        }
    }
    Ok(keeper)
}

/// The daemon that started this process; `None` if it is gone. Whoever adopts orphans would then be
/// our parent.
fn living(daemon: i32) -> Option<Spawned> {
    let pidfd = pidfd::open(daemon).ok()?;
    let start_time = procfs::process(daemon)?.start_time;
    let running = Spawned { pid: daemon, pidfd, start_time, filter: Filter::None };
    (process::parent() == daemon).then_some(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_back_from_words() {
        let open_files = OpenFiles { soft: 1024, hard: 4096 };
        for oom_score_adj in [None, Some(-5)] {
            let baseline = Baseline { open_files, umask: 0o22, oom_score_adj, nice: None };
            let limits = limits(&baseline);
            let words: Vec<&str> =
                ["7", "3", "4", "5"].into_iter().chain(limits.iter().map(String::as_str)).collect();
            let expected = Inheritance { daemon: 7, link: 3, rpc: 4, lock: 5, baseline };
            assert_eq!(Inheritance::parse(&words), Some(expected));
            assert_eq!(Inheritance::parse(&words[1..]), None);
        }
    }
}

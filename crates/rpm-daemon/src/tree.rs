//! Which processes belong to a worker, and signalling all of them.
//!
//! A worker is its leader, the leader's descendants, its control group where it has one, and
//! orphans that fell to the keeper (the child subreaper), are in no other worker's group, and still
//! carry the worker's session, its token in their environment, or its pipes (traps B11). A process
//! is only ever signalled through a pidfd that was checked to be that of the process that was
//! found, so a reused pid is never hit; a group is killed as a whole first. Which orphans exist is
//! the engine's knowledge and comes in as an argument.

use crate::{inbox::Message, orphans::Orphan};
use rpm_supervisor::WorkerId;
use rpm_unix::{
    cgroup::Group,
    pidfd,
    procfs::{self, Process},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::{sync::mpsc, task::spawn_local};

/// The variable that names a worker in the environment of all its processes.
pub(crate) const TOKEN: &str = "RPM_INSTANCE";
/// More processes than this are not followed: a fork bomb must not take the daemon with it.
const MAX_TREE: usize = 4096;

/// The process every other of a tree comes from. It leads its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// Its pid, also its session's id.
    pub(crate) pid: i32,
    /// With the pid it names the process for ever.
    pub(crate) start_time: u64,
    /// `RPM_INSTANCE=…`, as in its environment.
    pub(crate) token: String,
    /// The inodes of the pipes of its streams, which its descendants inherit; 0 is none.
    pub(crate) pipes: [u64; 2],
    /// The control group in which it was started, if there is one.
    pub(crate) group: Group,
}

impl Leader {
    /// Its process, unless it has exited.
    pub(crate) fn alive(&self) -> Option<Process> {
        procfs::process(self.pid)
            .filter(|found| found.start_time == self.start_time && !found.zombie)
    }
}

/// The living processes of a tree, the leader first if it lives.
///
/// `orphans` are those that were its descendants.
pub(crate) fn members(leader: &Leader, orphans: &[Process]) -> Vec<Process> {
    let mut found = roots_of(leader);
    let known = pids(&found);
    found.extend(orphans.iter().filter(|orphan| !known.contains(&orphan.pid)));
    with_descendants(found)
}

/// The same of many trees; `orphans` are the keeper's children that are nobody's leader. Each is
/// looked at once, not once for each tree.
pub(crate) fn all_members(
    leaders: &[(WorkerId, Leader)],
    orphans: &[i32],
) -> BTreeMap<WorkerId, Vec<Process>> {
    let mut trees: BTreeMap<WorkerId, Vec<Process>> =
        leaders.iter().map(|(id, leader)| (*id, roots_of(leader))).collect();
    let known: BTreeSet<i32> = trees.values().flatten().map(|process| process.pid).collect();
    let orphans = orphans.iter().filter(|pid| !known.contains(pid));
    for orphan in orphans.filter_map(|pid| Orphan::look(*pid)) {
        let owner = leaders.iter().find(|(_, leader)| orphan.is_of(leader));
        if let Some(roots) = owner.and_then(|(id, _)| trees.get_mut(id)) {
            roots.push(orphan.process);
        }
    }
    trees.into_iter().map(|(id, roots)| (id, with_descendants(roots))).collect()
}

/// A leader, and what is in its control group.
fn roots_of(leader: &Leader) -> Vec<Process> {
    let mut found: Vec<Process> = leader.alive().into_iter().collect();
    let others = leader.group.others(&pids(&found));
    found.extend(others);
    found
}

/// `roots` and all that descends from them, as far as it lives.
pub(crate) fn with_descendants(roots: Vec<Process>) -> Vec<Process> {
    let mut seen: BTreeSet<i32> = roots.iter().map(|root| root.pid).collect();
    let mut found = roots;
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        for child in procfs::children(&parent).into_iter().filter_map(procfs::process) {
            // A child that ended meanwhile may have left its pid to somebody of other parents.
            let ours = child.ppid == parent.pid && !child.zombie;
            if ours && found.len() < MAX_TREE && seen.insert(child.pid) {
                found.push(child);
            }
        }
    }
    found
}

/// The pids of processes.
pub(crate) fn pids(processes: &[Process]) -> Vec<i32> {
    processes.iter().map(|process| process.pid).collect()
}

/// `RPM_INSTANCE=…` as in a process's environment; `None` where it is not there or may not be read.
pub(crate) fn token_of(pid: i32) -> Option<Vec<u8>> {
    let value = procfs::environment_value(pid, TOKEN.as_bytes())?;
    Some([TOKEN.as_bytes(), b"=", &value].concat())
}

/// Sends `signal` to each process that still is the one that was found; returns how many were told.
pub(crate) fn signal_all(processes: &[Process], signal: i32) -> usize {
    let told = processes.iter().filter(|process| signal_one(process, signal));
    told.count()
}

/// Kills a tree: all of its group at once, where it has one, and these members one by one.
pub(crate) fn kill(leader: &Leader, members: &[Process]) {
    leader.group.kill();
    signal_all(members, SIGKILL);
}

/// Linux's number of SIGKILL, for the whole daemon.
pub(crate) const SIGKILL: i32 = 9;

/// A pid can have gone to a stranger since the process was found, so the pidfd is asked whose it is
/// after it was opened: what it refers to cannot change any more.
fn signal_one(process: &Process, signal: i32) -> bool {
    let Ok(fd) = pidfd::open(process.pid) else { return false };
    process.again().is_some() && pidfd::send_signal(&fd, signal).is_ok()
}

/// This daemon's pid.
pub(crate) fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(i32::MAX)
}

/// Tells the engine when one of `pids` has ended, so that it can look again.
pub(crate) fn watch(worker: WorkerId, processes: &[Process], engine: mpsc::Sender<Message>) {
    // Waiting for any one is enough: the engine looks again and watches what is left.
    let open = |process: &Process| crate::async_fd::register(pidfd::open(process.pid).ok()?).ok();
    let first = processes.iter().find_map(open);
    spawn_local(async move {
        if let Some(process) = first {
            let _ = process.readable().await;
        }
        let _ = engine.send(Message::TreeChanged { worker }).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orphans::Orphans;
    use std::{
        fs,
        process::{Child, Command, Stdio},
    };

    fn cat() -> (Child, Process) {
        let mut command = Command::new("cat");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let found = procfs::process(child.id() as i32).unwrap();
        (child, found)
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "it was signalled");
    }

    #[test]
    fn a_process_that_began_at_another_time_is_never_signalled() {
        let (child, found) = cat();
        let former = Process { start_time: found.start_time - 1, ..found };
        assert_eq!(signal_all(&[former], SIGKILL), 0);
        assert_eq!(signal_all(&[found], 0), 1);
        end(child);
        assert_eq!(signal_all(&[found], SIGKILL), 0);
    }

    /// As root: the next pid is told to the kernel (proc_sys_kernel(5), ns_last_pid) until a
    /// stranger really has the number of one of ours that died.
    #[test]
    fn a_stranger_with_a_reused_pid_is_not_signalled() {
        let last_pid = "/proc/sys/kernel/ns_last_pid";
        for _ in 0..1000 {
            let (child, found) = cat();
            let leader = Leader {
                pid: found.pid,
                start_time: found.start_time,
                token: "RPM_INSTANCE=none".into(),
                pipes: [0; 2],
                group: Group::default(),
            };
            end(child);
            // The clock by which processes are told apart has to go on: 10 ms.
            while procfs::process(own_pid()).is_none() || cat_now() <= found.start_time {}
            if fs::write(last_pid, (found.pid - 1).to_string()).is_err() {
                return;
            }
            let (stranger, other) = cat();
            if other.pid == found.pid {
                assert_eq!(signal_all(&[found], SIGKILL), 0);
                let orphans = Orphans::default().of(&leader, &[found.pid]);
                assert_eq!((leader.alive(), members(&leader, &orphans)), (None, Vec::new()));
                return end(stranger);
            }
            end(stranger);
        }
        panic!("the pid was never given again");
    }

    /// When a process that starts now begins.
    fn cat_now() -> u64 {
        let (child, found) = cat();
        end(child);
        found.start_time
    }
}

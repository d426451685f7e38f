//! Which processes belong to a worker, and signalling all of them.
//!
//! A worker is its leader, the leader's descendants, and orphans that fell to the keeper (the child
//! subreaper) and still carry the worker's session or its token in their environment (traps B11).
//! A pid is only ever signalled through a pidfd whose start time was checked, so a reused pid is
//! never hit. Which orphans exist is the engine's knowledge and comes in as an argument.

use crate::inbox::Message;
use rpm_supervisor::WorkerId;
use rpm_unix::{pidfd, procfs};
use std::collections::BTreeSet;
use tokio::{sync::mpsc, task::spawn_local};

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
}

/// The living processes of a tree, the leader first if it lives.
///
/// `orphans` are the keeper's children that are nobody's leader.
pub(crate) fn members(leader: &Leader, orphans: &[i32]) -> Vec<i32> {
    let alive =
        procfs::process(leader.pid).is_some_and(|p| p.start_time == leader.start_time && !p.zombie);
    let mut roots: Vec<i32> = alive.then_some(leader.pid).into_iter().collect();
    roots.extend(orphans.iter().filter(|pid| is_ours(leader, **pid)));
    with_descendants(roots)
}

/// Whether an orphan was once a descendant of this leader.
fn is_ours(leader: &Leader, pid: i32) -> bool {
    let in_session = procfs::process(pid).is_some_and(|p| p.session == leader.pid && !p.zombie);
    in_session || procfs::environment_has(pid, leader.token.as_bytes())
}

/// `roots` and all that descends from them, as far as it lives.
pub(crate) fn with_descendants(roots: Vec<i32>) -> Vec<i32> {
    let mut seen: BTreeSet<i32> = roots.iter().copied().collect();
    let mut found = roots;
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for child in procfs::children_of(pid) {
            if found.len() < MAX_TREE && seen.insert(child) {
                found.push(child);
            }
        }
    }
    found.retain(|pid| procfs::process(*pid).is_some_and(|p| !p.zombie));
    found
}

/// Sends `signal` to each of `pids` that still is the process it was; returns how many were told.
pub(crate) fn signal_all(pids: &[i32], signal: i32) -> usize {
    let told = pids.iter().filter(|pid| signal_one(**pid, signal));
    told.count()
}

fn signal_one(pid: i32, signal: i32) -> bool {
    let Some(before) = procfs::process(pid) else { return false };
    let Ok(fd) = pidfd::open(pid) else { return false };
    // The pidfd was opened after the look: only if the same process is still there is it the one.
    let same = procfs::process(pid).is_some_and(|after| after.start_time == before.start_time);
    same && pidfd::send_signal(&fd, signal).is_ok()
}

/// This daemon's pid.
pub(crate) fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(i32::MAX)
}

/// Tells the engine when one of `pids` has ended, so that it can look again.
pub(crate) fn watch(worker: WorkerId, pids: &[i32], engine: mpsc::Sender<Message>) {
    // Waiting for any one is enough: the engine looks again and watches what is left.
    let first = pids.iter().find_map(|pid| crate::async_fd::register(pidfd::open(*pid).ok()?).ok());
    spawn_local(async move {
        if let Some(process) = first {
            let _ = process.readable().await;
        }
        let _ = engine.send(Message::TreeChanged { worker }).await;
    });
}

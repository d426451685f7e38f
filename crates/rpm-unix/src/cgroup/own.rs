//! The group of the keeper itself. In version 2 a group whose children are limited may have no
//! processes of its own (traps A16), so keeper and daemon move into one beside their workers'.

use super::{
    Groups,
    controller::Controller,
    group,
    hierarchy::{KEEPER, lists},
};
use crate::{poll, process, procfs};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
    time::{Duration, Instant},
};

/// How often processes are moved out of a group before it counts as crowded: some may have been
/// forked meanwhile.
const MOVES: usize = 3;
/// How far up the parents of a process are followed.
const MAX_ANCESTORS: usize = 64;
const SUBTREE: &str = "cgroup.subtree_control";

/// Lets the groups in `home`, which is in `base`, have this controller, and makes room for that
/// where it takes it.
pub(super) fn enable(base: &Path, home: &Path, controller: &str) -> io::Result<()> {
    for group in [base, home] {
        let file = group.join(SUBTREE);
        if lists(&file, controller) {
            continue;
        }
        let add = || fs::write(&file, format!("+{controller}"));
        let mut added = add();
        for _ in 0..MOVES {
            match &added {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    make_room(base, home)?;
                    added = add();
                }
                Ok(()) | Err(_) => break,
            }
        }
        added?;
    }
    Ok(())
}

impl Groups {
    /// Whether limits of this kind cannot be had in version 2 because of others' processes.
    pub(super) fn is_crowded(&self, controller: Controller) -> bool {
        let Some(place) = &self.unified else { return false };
        // The group above all others, which has no events, may have both.
        let is_root = !place.base.join("cgroup.events").exists();
        let strangers = || pids(&place.base).into_iter().any(|pid| !is_ours(pid));
        !is_root && !lists(&place.base.join(SUBTREE), controller.name()) && strangers()
    }

    /// Leaves the group of a worker, whose end this process must outlive: a keeper that an app of
    /// its own home has started.
    pub fn leave_worker(&self) -> io::Result<()> {
        if let Some(place) = self.unified.as_ref().filter(|place| place.in_worker) {
            let keeper = place.base.join(&self.name).join(KEEPER);
            make_directory(&keeper)?;
            fs::write(keeper.join("cgroup.procs"), "0")?;
        }
        let mut inside = self.legacy.values().filter(|place| place.in_worker);
        inside.try_for_each(|place| fs::write(place.base.join("cgroup.procs"), "0"))
    }

    /// Removes everything, at the keeper's own end; waits this long for what has just been killed
    /// to be gone.
    pub fn end(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        for home in self.homes() {
            for (_, directory) in super::workers_in(&home) {
                remove_when_empty(&directory, deadline);
            }
        }
        if let Some(place) = &self.unified {
            let keeper = place.base.join(&self.name).join(KEEPER);
            if keeper.exists() {
                leave(&place.base, &keeper);
            }
        }
        for home in self.homes() {
            // What still lives has its group, and the next keeper removes it.
            let _left = fs::remove_dir(home);
        }
    }
}

/// Back to where we were, as far as that goes: a service's group is removed with the service. Where
/// others have groups beside the home's, their limits may need what was switched on.
fn leave(base: &Path, keeper: &Path) {
    let home = keeper.parent().unwrap_or(keeper);
    let alone = group::below(base).iter().all(|one| one == home);
    for group in [Some(home), alone.then_some(base)].into_iter().flatten() {
        for controller in Controller::ALL {
            let _not_there = fs::write(group.join(SUBTREE), format!("-{}", controller.name()));
        }
    }
    let _refused = fs::write(base.join("cgroup.procs"), "0");
    let _left = group::remove(keeper);
}

/// Moves our own processes, and no others, out of a group.
fn make_room(base: &Path, home: &Path) -> io::Result<()> {
    let keeper = home.join(KEEPER);
    make_directory(&keeper)?;
    let list = keeper.join("cgroup.procs");
    for pid in pids(base).into_iter().filter(|pid| is_ours(*pid)) {
        // It may have ended.
        let _gone = fs::write(&list, pid.to_string());
    }
    Ok(())
}

fn make_directory(keeper: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).create(keeper)
}

fn pids(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Whether a process runs our own program (keeper, daemon, fronts, a command line) or descends from
/// this one.
fn is_ours(pid: i32) -> bool {
    let program = |path: String| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let same = program(format!("/proc/{pid}/exe"));
    if same.is_some() && same == program("/proc/self/exe".to_owned()) {
        return true;
    }
    let mut ancestor = pid;
    for _ in 0..MAX_ANCESTORS {
        match procfs::process(ancestor) {
            Some(found) if found.pid == process::own() => return true,
            Some(found) if found.ppid > 0 => ancestor = found.ppid,
            Some(_) | None => return false,
        }
    }
    false
}

/// Removes a group as soon as its last process is gone, of which `cgroup.events` tells (poll(2):
/// POLLPRI).
fn remove_when_empty(directory: &Path, deadline: Instant) {
    let Ok(mut events) = File::open(directory.join("cgroup.events")) else {
        // Version 1 tells nothing; what dies there dies in version 2 as well.
        let _busy = group::remove(directory);
        return;
    };
    while group::remove(directory).is_err() {
        let mut text = String::new();
        let populated = events.read_to_string(&mut text).is_ok() && text.contains("populated 1");
        let left = deadline.saturating_duration_since(Instant::now());
        // Read again from its beginning, it tells of what comes after that.
        let again = io::Seek::rewind(&mut events);
        if !populated || left.is_zero() || again.is_err() {
            break;
        }
        let mut changed = [poll::Entry::urgent(events.as_fd())];
        if poll::poll(&mut changed, Some(left)).is_err() {
            break;
        }
    }
    let _last = group::remove(directory);
}

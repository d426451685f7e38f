//! The control groups of children: made before the fork, removed when the daemon has acknowledged
//! the end, or later, when the last process in them is gone.
//!
//! Where they are is on disk (`state/cgroups`), because another keeper of this home may be started
//! in another place. It removes what the former one left; who may still live in there is for the
//! daemon to say.

use crate::{
    log::note,
    message::{ChildId, SpawnStage},
    spawner::Failure,
};
use rpm_unix::{
    cgroup::{self, Entry, Group, Groups, Made},
    home::Home,
    process,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How many groups whose child is acknowledged wait for their last process.
const MAX_LEFT: usize = 1024;
/// How long a keeper that ends waits for what was killed last to be gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// "Too many open files" and "invalid argument", the same on every Linux.
const EMFILE: i32 = 24;

/// All groups of a home.
#[derive(Debug)]
pub(crate) struct WorkerGroups {
    groups: Groups,
    /// Where groups of this home are, as the file says, those of former keepers included.
    recorded: Vec<PathBuf>,
    record: PathBuf,
    /// Whose groups could not be removed yet.
    left: BTreeSet<ChildId>,
    /// Refusals were told.
    told: bool,
}

impl WorkerGroups {
    /// For a keeper that begins, or goes on.
    pub(crate) fn new(home: &Home) -> Self {
        let groups = Groups::of_process(process::own(), &home.hash());
        if let Err(error) = groups.leave_worker() {
            note(format_args!("this keeper ends with the app that started it: {error}"));
        }
        let record = home.cgroups();
        let mut recorded = cgroup::recorded(&record);
        let new = groups.homes().into_iter().filter(|home| !recorded.contains(home));
        recorded.extend(new.collect::<Vec<_>>());
        let recorded = cgroup::sweep(recorded);
        Self { groups, recorded, record, left: BTreeSet::new(), told: false }
    }

    /// Makes a child's group and opens it. Limits that cannot be set are no reason not to run: the
    /// daemon sees which are missing.
    pub(crate) fn enter(
        &mut self,
        child: ChildId,
        limits: Option<cgroup::Limits>,
    ) -> Result<Option<Entry>, Failure> {
        let Some(limits) = limits else { return Ok(None) };
        let Made { group, refused } = self.groups.make(child.0, &limits);
        for (controller, error) in &refused {
            // Each worker's would be refused alike.
            if !std::mem::replace(&mut self.told, true) {
                note(format_args!("no limit of {}: {error}", controller.name()));
            }
        }
        if group.is_none() {
            return Ok(None);
        }
        self.remember(&group);
        let limited = limits.wanted().count() > refused.len();
        let entry = group.entry(limited).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(EMFILE);
            Failure { stage: SpawnStage::Limits, errno }
        })?;
        Ok(Some(entry))
    }

    /// A child is over: so is its group.
    pub(crate) fn remove(&mut self, child: ChildId) {
        if self.try_to_remove(child) {
            self.left.remove(&child);
        } else if self.left.len() < MAX_LEFT {
            self.left.insert(child);
        }
    }

    /// Processes have ended: tries what could not be removed before.
    pub(crate) fn remove_left(&mut self) {
        for child in std::mem::take(&mut self.left) {
            self.remove(child);
        }
    }

    /// All of a former keeper's children are handed over: what belongs to none of them goes.
    pub(crate) fn adopted(&mut self, is_known: impl Fn(ChildId) -> bool) {
        let all: Vec<_> = self.recorded.iter().flat_map(|home| cgroup::workers_in(home)).collect();
        for (number, _) in all.into_iter().filter(|(number, _)| !is_known(ChildId(*number))) {
            self.remove(ChildId(number));
        }
    }

    /// Removes all, as far as nothing lives in it.
    pub(crate) fn end(self) {
        self.groups.end(PATIENCE);
        if cgroup::sweep(self.recorded).is_empty() {
            // There may be none.
            let _gone = fs::remove_file(self.record);
        }
    }

    fn try_to_remove(&self, child: ChildId) -> bool {
        let name = child.0.to_string();
        self.recorded.iter().all(|home| cgroup::remove(&home.join(&name)).is_ok())
    }

    /// Writes down where groups are, once they are there. It is a hint for the next keeper, so a
    /// full disk is no harm.
    fn remember(&mut self, group: &Group) {
        let new = group.homes().filter(|home| !self.recorded.iter().any(|one| one == home));
        let new: Vec<PathBuf> = new.map(Path::to_owned).collect();
        if new.is_empty() {
            return;
        }
        self.recorded.extend(new);
        if let Err(error) = write(&self.record, &self.recorded) {
            note(format_args!("{} cannot be written: {error}", self.record.display()));
        }
    }
}

fn write(path: &Path, homes: &[PathBuf]) -> std::io::Result<()> {
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let lines = homes.iter().map(|home| format!("{}\n", home.display()));
    file.write_all(lines.collect::<String>().as_bytes())
}

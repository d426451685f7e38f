//! Control groups (cgroups(7), the kernel's admin-guide/cgroup-v2.rst and cgroup-v1): one for each
//! worker, named by its number, below that of its home, below the group rpm was started in.
//!
//! ```text
//! <own group>/rpm-<hash of the home>/<worker>
//!                                   /keeper      (own.rs)
//! ```
//!
//! A machine may have version 2, version 1 or both; each controller lives in one of them only. What
//! a worker may use, and who is killed when, is for the callers.

mod controller;
mod group;
mod hierarchy;
mod own;

pub use controller::{Controller, Limits};
pub use group::{Entry, Group, remove};

use controller::Version;
use hierarchy::{Place, Places};
use nix::unistd::{AccessFlags, access};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Where the groups of one home are. Nothing of it need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The directory name of the home's own group.
    name: String,
    /// The group below which it is in version 2; `None`: there is none, or it is not ours.
    unified: Option<Place>,
    /// The same in hierarchies of version 1, of the controllers that are there.
    legacy: BTreeMap<Controller, Place>,
}

/// Whether groups can be made somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They can, below this group.
    Ours(PathBuf),
    /// This group may not be written by us.
    NotOurs(PathBuf),
    /// In this group of version 2 are processes that are none of ours, so nothing can be limited
    /// below it ("no internal processes" of cgroup-v2.rst).
    Crowded(PathBuf),
    /// No hierarchy that we can see has it.
    Absent,
}

/// A new group, and the limits that it has not, with the reason.
#[derive(Debug, Default)]
pub struct Made {
    /// Empty where none can be made.
    pub group: Group,
    /// What was asked for in vain.
    pub refused: Vec<(Controller, io::Error)>,
}

impl Groups {
    /// Those of the home with this hash, as they would be for a keeper that is where `pid` is. What
    /// lies in the home's own groups counts as being where those are.
    pub fn of_process(pid: i32, hash: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (mounts, own) = (read("/proc/self/mountinfo"), read(&format!("/proc/{pid}/cgroup")));
        Self::new(Places::find(&mounts, &own), hash)
    }

    fn new(places: Places, hash: &str) -> Self {
        let name = format!("rpm-{hash}");
        let Places { unified, legacy } = places;
        let unified = unified.map(|directory| Place::outside(directory, &name));
        let legacy = legacy
            .into_iter()
            .map(|(controller, directory)| (controller, Place::outside(directory, &name)))
            .collect();
        Self { name, unified, legacy }
    }

    /// A worker's group, whether it is there or not, in all hierarchies.
    pub fn group(&self, worker: u64) -> Group {
        let name = worker.to_string();
        let below = |place: &Place| place.base.join(&self.name).join(&name);
        let legacy = self.legacy.iter().map(|(controller, place)| (*controller, below(place)));
        Group { unified: self.unified.as_ref().map(below), legacy: legacy.collect() }
    }

    /// The worker's group where its leader is, if that is not where it would be made now: it was
    /// started by a keeper in another place.
    pub fn find(&self, worker: u64, leader: i32) -> Group {
        let here = self.group(worker);
        if here.unified.as_ref().is_none_or(|directory| directory.exists()) {
            return here;
        }
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own = read(&format!("/proc/{leader}/cgroup"));
        let Places { unified, legacy } = Places::find(&read("/proc/self/mountinfo"), &own);
        let end = Path::new(&self.name).join(worker.to_string());
        match unified {
            Some(directory) if directory.ends_with(&end) => {
                let legacy = legacy.into_iter().filter(|(_, directory)| directory.ends_with(&end));
                Group { unified: Some(directory), legacy: legacy.collect() }
            }
            Some(_) | None => here,
        }
    }

    /// Whether groups of version 2 can be made, with which whole trees can be killed.
    pub fn standing(&self) -> Standing {
        self.unified.as_ref().map_or(Standing::Absent, |place| standing(&place.base))
    }

    /// Whether what a worker uses of this can be limited.
    pub fn standing_of(&self, controller: Controller) -> Standing {
        if let Some(place) = self.legacy.get(&controller) {
            return standing(&place.base);
        }
        let Some(place) = self.unified.as_ref().filter(|place| place.offers(controller)) else {
            return Standing::Absent;
        };
        match standing(&place.base) {
            Standing::Ours(base) if self.is_crowded(controller) => Standing::Crowded(base),
            other => other,
        }
    }

    /// The directories of the home itself, one in each hierarchy that may be used.
    pub fn homes(&self) -> Vec<PathBuf> {
        let places = self.unified.iter().chain(self.legacy.values());
        places.map(|place| place.base.join(&self.name)).collect()
    }

    /// Makes a worker's group with these limits. Where version 2 is refused once it is not tried
    /// again. One that is there already is somebody else's, unless it is empty.
    pub fn make(&mut self, worker: u64, limits: &Limits) -> Made {
        let mut made = Made::default();
        let wanted = self.group(worker);
        if let Some(directory) = wanted.unified {
            match make(&directory) {
                Ok(()) => made.group.unified = Some(directory),
                Err(error) if is_final(&error) => self.unified = None,
                Err(_) => {}
            }
        }
        for (controller, value) in limits.wanted() {
            let limited = match wanted.legacy.get(&controller) {
                Some(directory) => limit_legacy(directory, controller, value).map(|()| {
                    made.group.legacy.insert(controller, directory.clone());
                }),
                None => self.limit_unified(&made.group, controller, value),
            };
            made.refused.extend(limited.err().map(|error| (controller, error)));
        }
        made
    }

    fn limit_unified(&self, group: &Group, controller: Controller, value: u64) -> io::Result<()> {
        let place = self.unified.as_ref().filter(|place| place.offers(controller));
        let place = place.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        let directory = group.unified.as_ref();
        let directory = directory.ok_or_else(|| io::Error::from_raw_os_error(libc::EACCES))?;
        own::enable(&place.base, &place.base.join(&self.name), controller.name())?;
        controller.write(Version::Two, directory, value)
    }
}

/// Removes what is empty of the groups in these directories of a home, and the directories when
/// nothing is left in them; those that stay.
pub fn sweep(homes: Vec<PathBuf>) -> Vec<PathBuf> {
    for home in &homes {
        for (_, directory) in workers_in(home) {
            // What lives is somebody's to whom nobody has looked yet.
            let _alive = group::remove(&directory);
        }
    }
    homes.into_iter().filter(|home| fs::remove_dir(home).is_err() && home.exists()).collect()
}

/// The directories of a home that a keeper has written down, one a line.
pub fn recorded(file: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let absolute = |line: &&str| line.starts_with('/');
    text.lines().filter(absolute).take(MAX_HOMES).map(PathBuf::from).collect()
}

/// How many places a home's keepers were started in, since the machine was booted, are remembered:
/// four hierarchies each.
const MAX_HOMES: usize = 64;

/// The groups in a directory of a home, with their workers' numbers.
pub fn workers_in(home: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    let numbered =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    numbered.take(MAX_GROUPS).collect()
}

/// How many groups of a home are looked at: twice as many as a keeper has children.
const MAX_GROUPS: usize = 32_768;

fn limit_legacy(directory: &Path, controller: Controller, value: u64) -> io::Result<()> {
    make(directory)?;
    controller.write(Version::One, directory, value).inspect_err(|_| {
        // Nothing was limited by it.
        let _left = fs::remove_dir(directory);
    })
}

/// Makes a worker's directory, and its home's. An empty one is replaced, because what it counted
/// is another's.
fn make(directory: &Path) -> io::Result<()> {
    let new = |path: &Path| DirBuilder::new().mode(0o755).create(path);
    match new(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let home = directory.parent().unwrap_or(directory);
            match new(home) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                Ok(()) | Err(_) => new(directory),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            group::remove(directory)?;
            new(directory)
        }
        made => made,
    }
}

/// Whether it will be refused each time: read-only, another user's, not there.
fn is_final(error: &io::Error) -> bool {
    let number = error.raw_os_error().unwrap_or_default();
    [libc::EROFS, libc::EACCES, libc::EPERM, libc::ENOENT].contains(&number)
}

fn standing(base: &Path) -> Standing {
    let ours = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
    match ours(base) && ours(&base.join("cgroup.procs")) {
        true => Standing::Ours(base.to_owned()),
        false => Standing::NotOurs(base.to_owned()),
    }
}

#[cfg(test)]
mod tests;

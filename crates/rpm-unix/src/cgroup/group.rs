//! [`Group`]: that of one worker.

use super::controller::{Controller, Limits, Version};
use crate::procfs::{self, Process};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

/// How deep groups that a program made in its own are followed.
const MAX_DEPTH: usize = 8;
/// How many of them are on each level.
const MAX_WIDTH: usize = 256;
/// How much of a list of processes is read: pids have at most 8 bytes with their newline.
const MAX_LIST: u64 = 1 << 20;

/// The group of one worker, as directories that may be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// In version 2.
    pub(super) unified: Option<PathBuf>,
    /// Those of version 1 that limit it.
    pub(super) legacy: BTreeMap<Controller, PathBuf>,
}

/// What a process needs to become a member before it executes anything.
#[derive(Debug)]
pub struct Entry {
    /// The directory in version 2.
    unified: Option<OwnedFd>,
    /// The lists of version 1, to write to.
    legacy: Vec<File>,
    /// The group in version 2 has limits: outside of it there are none.
    required: bool,
}

impl Group {
    /// The one with this directory, in whichever version.
    pub fn at(directory: PathBuf) -> Self {
        Self { unified: Some(directory), legacy: BTreeMap::new() }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.unified.is_none() && self.legacy.is_empty()
    }

    /// Its directory in version 2.
    pub fn directory(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// The directories of the home in which it is.
    pub fn homes(&self) -> impl Iterator<Item = &Path> {
        self.unified.iter().chain(self.legacy.values()).filter_map(|one| one.parent())
    }

    /// Opens what a new process needs to get in; `limited`: it is better not to run than outside.
    pub fn entry(&self, limited: bool) -> io::Result<Entry> {
        let directory = |path: &PathBuf| {
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            File::options().read(true).custom_flags(flags).open(path).map(OwnedFd::from)
        };
        let list = |path: &PathBuf| File::options().write(true).open(path.join("cgroup.procs"));
        Ok(Entry {
            unified: self.unified.as_ref().map(directory).transpose()?,
            legacy: self.legacy.values().map(list).collect::<Result<_, _>>()?,
            required: limited,
        })
    }

    /// The processes in it and in groups that they made below, as far as version 2 tells.
    pub fn members(&self) -> Vec<i32> {
        let mut found = Vec::new();
        if let Some(directory) = &self.unified {
            collect(directory, MAX_DEPTH, &mut found);
        }
        found
    }

    /// The living processes in it beside these, each certainly the one that is in it: a number may
    /// go to a stranger at any time, but not that of a member that is one before and after.
    pub fn others(&self, known: &[i32]) -> Vec<Process> {
        let mut pids = self.members();
        pids.retain(|pid| !known.contains(pid));
        let mut found: Vec<Process> = pids.into_iter().filter_map(procfs::process).collect();
        found.retain(|process| !process.zombie);
        if !found.is_empty() {
            let still = self.members();
            found.retain(|process| still.contains(&process.pid));
        }
        found
    }

    /// Whether a process is in the group of another worker of the same home.
    pub fn excludes(&self, pid: i32) -> bool {
        let Some(own) = &self.unified else { return false };
        let (Some(home), Some(name)) = (own.parent().and_then(Path::file_name), own.file_name())
        else {
            return false;
        };
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        let mut words = path.split('/').skip_while(|word| *word != home);
        words.nth(1).is_some_and(|worker| worker != name && worker.parse::<u64>().is_ok())
    }

    /// Kills every process in it at once, those too that are just being forked (Linux 5.14); false
    /// where that cannot be.
    pub fn kill(&self) -> bool {
        let kill = |directory: &PathBuf| {
            File::options().write(true).open(directory.join("cgroup.kill"))?.write_all(b"1")
        };
        self.unified.as_ref().is_some_and(|directory| kill(directory).is_ok())
    }

    /// How many of its processes the kernel has killed because it was at its limit of memory.
    pub fn oom_kills(&self) -> u64 {
        let (directory, version) = self.place(Controller::Memory);
        let file = directory.map(|directory| directory.join(Controller::kills(version)));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
    }

    /// Those of these limits that it does not have.
    pub fn lacks(&self, limits: &Limits) -> Vec<Controller> {
        let lacks = |(controller, value): &(Controller, u64)| {
            let (directory, version) = self.place(*controller);
            !directory.is_some_and(|directory| controller.is_set(version, directory, *value))
        };
        limits.wanted().filter(lacks).map(|(controller, _)| controller).collect()
    }

    /// Where a controller counts and limits it, if anywhere.
    fn place(&self, controller: Controller) -> (Option<&PathBuf>, Version) {
        match self.legacy.get(&controller) {
            Some(directory) => (Some(directory), Version::One),
            None => (self.unified.as_ref(), Version::Two),
        }
    }
}

impl Entry {
    /// What a process can be forked into; `None`: nothing.
    pub(crate) fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// Makes this process a member; `forked`: it was forked into version 2.
    pub(crate) fn enter(&self, forked: bool) -> io::Result<()> {
        if let Some(directory) = self.unified.as_ref().filter(|_| !forked) {
            match enter_unified(directory) {
                // It is found by other means.
                Err(_) if !self.required => {}
                entered => entered?,
            }
        }
        // "0" is the process that writes.
        self.legacy.iter().try_for_each(|mut list| list.write_all(b"0"))
    }
}

fn enter_unified(directory: &OwnedFd) -> io::Result<()> {
    let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let mode = nix::sys::stat::Mode::empty();
    let list = nix::fcntl::openat(directory, "cgroup.procs", flags, mode)?;
    File::from(list).write_all(b"0")
}

fn collect(directory: &Path, depth: usize, found: &mut Vec<i32>) {
    let Ok(list) = File::open(directory.join("cgroup.procs")) else { return };
    let mut text = String::new();
    // What is cut off is found when the others are gone.
    let _cut = list.take(MAX_LIST).read_to_string(&mut text);
    // Processes of other pid namespaces are all 0.
    found.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|pid: &i32| *pid > 0));
    if depth > 0 {
        below(directory).iter().for_each(|one| collect(one, depth - 1, found));
    }
}

/// The groups directly below one. Most have none, which the count of links tells.
pub(super) fn below(directory: &Path) -> Vec<PathBuf> {
    if fs::metadata(directory).is_ok_and(|found| found.nlink() <= 2) {
        return Vec::new();
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.map(|entry| entry.path()).take(MAX_WIDTH).collect()
}

/// Removes the directory of a group and those below it; one that is not there is removed.
///
/// # Errors
/// Something lives in it yet.
pub fn remove(directory: &Path) -> io::Result<()> {
    remove_down_to(directory, MAX_DEPTH)
}

fn remove_down_to(directory: &Path, depth: usize) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if depth > 0 => {
            let groups = below(directory);
            if groups.is_empty() {
                return Err(error);
            }
            groups.iter().try_for_each(|one| remove_down_to(one, depth - 1))?;
            fs::remove_dir(directory)
        }
        removed => removed,
    }
}

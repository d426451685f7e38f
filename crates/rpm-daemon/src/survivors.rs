//! Keeper and daemon died together, and apps live on: a new pair finds them by the ledger, and by
//! the token in their environment, and takes them over (traps A4). No second copy is ever started
//! beside a survivor: what cannot be taken over is ended first.

use crate::{
    front::{self, FrontEntry},
    keeper_link::KeeperLink,
    launch, ledger,
    ledger::{Entries, ProcessEntry, SocketEntry},
    recover::{Found, Inventory},
    sharing, stamp,
    store::{self, Label},
    tree::{self, SIGKILL, TOKEN},
};
use rpm_config::AppSpec;
use rpm_keeper::{Child, ChildId, Request, Share};
use rpm_supervisor::{Fleet, WorkerId};
use rpm_unix::{
    caller,
    cgroup::{self, Group},
    home::Home,
    pidfd, pipe, procfd,
    procfs::{self, Process},
    socket::{self, Transport},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

/// All that a pair of keeper and daemon left that died together.
pub(crate) struct Survivors {
    entries: Entries,
    specs: BTreeMap<String, AppSpec>,
    /// Processes in a control group of this home, or with a token of it, by worker.
    marked: BTreeMap<WorkerId, Vec<Process>>,
    /// Those groups.
    groups: Vec<(WorkerId, Group)>,
}

/// Finds what a former pair left; `None`: there was none since the machine was booted.
///
/// A container's boot has its host's number, but its run directory is `emptied` and nobody lives:
/// what comes back then is what was saved.
pub(crate) fn find(home: &Home, emptied: bool) -> Option<Survivors> {
    let (entries, specs) = ledger::read(home)?;
    let specs = specs.into_iter().map(|spec| (spec.name.to_string(), spec)).collect();
    let groups = groups(home);
    let found = Survivors { entries, specs, marked: marked(&home.hash(), &groups), groups };
    let rebooted = emptied && found.marked.is_empty() && found.leaders().is_empty();
    (!rebooted).then_some(found)
}

impl Survivors {
    /// Puts everything into an empty inventory, and hands what lives to the keeper.
    pub(crate) fn take_over(
        mut self,
        inventory: &mut Inventory,
        keeper: &mut KeeperLink,
    ) -> io::Result<store::Saved> {
        for entry in self.leaders() {
            match self.adopt(&entry) {
                Ok((request, found)) => {
                    let app = &entry.label.app;
                    tracing::warn!(%app, pid = entry.pid, "taking a survivor over");
                    keeper.send(request);
                    if found.child.share.is_some() {
                        let workers = &mut self.entries.state.workers;
                        let lost = stamp::lost_by_survivor(entry.pid);
                        workers.entry(entry.worker).or_default().lost = lost;
                    }
                    inventory.children.push(found);
                }
                Err(error) => self.end(&entry, &error),
            }
        }
        for entry in &self.entries.fronts {
            match self.front(entry) {
                Ok((request, found)) => {
                    tracing::warn!(app = %entry.app, pid = entry.pid, "taking a front over");
                    keeper.send(request);
                    inventory.children.push(found);
                }
                // If it lives, its app gets another one, which needs its addresses.
                Err(error) => end_front(entry, &error),
            }
        }
        self.hand_sockets_over(inventory, keeper);
        keeper.send(Request::Adopted);
        // What it said of its servers may have been told to the dead: that it listens is enough.
        self.entries.state.workers.values_mut().for_each(|record| record.asked.clear());
        self.end_others(inventory);
        for spec in self.specs.values() {
            let (name, fd) = (store::spec_name(&spec.name), store::seal(spec)?);
            inventory.held.insert(name.clone(), fd.try_clone()?);
            keeper.send(Request::Hold { name, fd });
        }
        let exits = store::seal(&self.entries.exits)?;
        inventory.held.insert(store::EXITS.to_owned(), exits.try_clone()?);
        keeper.send(Request::Hold { name: store::EXITS.to_owned(), fd: exits });
        Ok(self.entries.state)
    }

    /// Hands over the sockets that the former keeper held and survivors have open. What is in no
    /// record the keeper finds by itself.
    fn hand_sockets_over(&self, inventory: &Inventory, keeper: &mut KeeperLink) {
        let mut places = BTreeMap::new();
        for found in &inventory.children {
            places.extend(procfd::census(found.child.pid).places);
        }
        for SocketEntry { record, inode } in &self.entries.sockets {
            let Some(place) = places.get(inode) else { continue };
            // Yama may refuse; then it stays the program's own (traps A6).
            let Ok(socket) = caller::take_fd(place.pid, place.fd) else { continue };
            if procfd::inode(&socket).is_ok_and(|found| found == *inode) {
                keeper.send(Request::AdoptSocket { record: record.clone(), socket });
            }
        }
    }

    /// The leaders that live: those of the ledger, and of workers that were started after it was
    /// written.
    fn leaders(&self) -> Vec<ProcessEntry> {
        let is_there = |entry: &&ProcessEntry| {
            procfs::process(entry.pid).is_some_and(|found| {
                found.start_time == entry.start_time && found.session == entry.pid && !found.zombie
            })
        };
        let mut all: Vec<_> = self.entries.processes.iter().filter(is_there).cloned().collect();
        for (worker, processes) in &self.marked {
            if !self.entries.processes.iter().any(|entry| entry.worker == *worker) {
                all.extend(self.unrecorded(*worker, processes));
            }
        }
        all
    }

    fn unrecorded(&self, worker: WorkerId, processes: &[Process]) -> Option<ProcessEntry> {
        let label = label_of(&self.entries.state.fleet, worker)?;
        let leaders = processes.iter().filter(|one| one.session == one.pid);
        let leader = leaders.min_by_key(|one| (one.start_time, one.pid))?;
        let pipes = [1, 2].map(|number| inode_at(leader.pid, number).unwrap_or(0));
        let (pid, start_time) = (leader.pid, leader.start_time);
        Some(ProcessEntry { worker, pid, start_time, label, pipes, channel: Some(4) })
    }

    fn adopt(&self, entry: &ProcessEntry) -> io::Result<(Request, Found)> {
        let child = self.child(entry)?;
        let label = serde_json::to_vec(&entry.label)?;
        let found = Found { child: child.duplicate()?, label: label.clone(), status: None };
        // What followed from where it listened stands in the state.
        Ok((Request::Adopt { child, label, status: None, listening: false }, found))
    }

    fn front(&self, entry: &FrontEntry) -> io::Result<(Request, Found)> {
        let pidfd = pidfd::open(entry.pid)?;
        if !is_same(entry.pid, entry.start_time) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let lost = || io::Error::other("its description is lost");
        let spec = self.specs.get(entry.app.as_str()).ok_or_else(lost)?;
        let sockets = spec.proxy.as_ref().map_or(entry.listen.len(), |proxy| proxy.listen.len());
        // As for workers: inherited sockets, the channel, then ours.
        let number = i32::try_from(sockets).map_err(io::Error::other)?.saturating_add(4);
        let channel = channel_of(&pidfd, number);
        let (owner, balance) = (front::owner(&entry.app), sharing::balance(spec));
        let child = Child {
            child: ChildId(entry.child),
            pid: entry.pid,
            start_time: entry.start_time,
            pidfd,
            stdout: pipe::reopen_of(entry.pid, 1)?,
            stderr: pipe::reopen_of(entry.pid, 2)?,
            channel: Some(channel.ok_or_else(|| io::Error::other("its channel is lost"))?),
            share: Some(Share { owner, balance, filter: None }),
        };
        let label = entry.label();
        let found = Found { child: child.duplicate()?, label: label.clone(), status: None };
        Ok((Request::Adopt { child, label, status: None, listening: false }, found))
    }

    fn child(&self, entry: &ProcessEntry) -> io::Result<Child> {
        let pidfd = pidfd::open(entry.pid)?;
        if !is_same(entry.pid, entry.start_time) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let [stdout, stderr] = entry.pipes.map(|inode| pipe_of(entry.pid, inode));
        let channel = entry.channel.and_then(|number| channel_of(&pidfd, number));
        let spec = self.specs.get(entry.label.app.as_str());
        let spec = spec.ok_or_else(|| io::Error::other("its description is lost"))?;
        let share = launch::shares_ports(spec).then(|| Share {
            owner: launch::owner(spec, entry.label.slot),
            balance: sharing::balance(spec),
            filter: None,
        });
        Ok(Child {
            child: ChildId(entry.worker.0),
            pid: entry.pid,
            start_time: entry.start_time,
            pidfd,
            stdout: stdout?,
            stderr: stderr?,
            channel,
            share,
        })
    }

    fn end(&self, entry: &ProcessEntry, error: &io::Error) {
        tracing::error!(app = %entry.label.app, pid = entry.pid, "a survivor is ended: {error}");
        tree::signal_all(&same(entry.pid, entry.start_time), SIGKILL);
    }

    /// Ends what is left of workers whose leader is gone, and of those nobody knows of.
    fn end_others(&self, inventory: &Inventory) {
        let all = procfs::processes().unwrap_or_default();
        let kept = |worker: WorkerId| {
            inventory.children.iter().any(|found| found.child.child.0 == worker.0)
        };
        for (_, group) in self.groups.iter().filter(|(worker, _)| !kept(*worker)) {
            group.kill();
        }
        let marked = self.marked.iter().filter(|(worker, _)| !kept(**worker));
        let mut left: Vec<Process> = marked.flat_map(|(_, all)| all.iter().copied()).collect();
        for entry in self.entries.processes.iter().filter(|entry| !kept(entry.worker)) {
            // No process gets the id of a session that has members, so it is still this one.
            let of_session =
                |one: &&Process| one.session == entry.pid && one.start_time >= entry.start_time;
            left.extend(all.iter().copied().filter(|one| of_session(&one)));
        }
        tree::signal_all(&left, SIGKILL);
    }
}

fn is_same(pid: i32, start_time: u64) -> bool {
    !same(pid, start_time).is_empty()
}

/// The process with this pid, if it still is the one that began then.
fn same(pid: i32, start_time: u64) -> Vec<Process> {
    procfs::process(pid).filter(|found| found.start_time == start_time).into_iter().collect()
}

fn end_front(entry: &FrontEntry, error: &io::Error) {
    let front = same(entry.pid, entry.start_time);
    if !front.is_empty() {
        tracing::error!(app = %entry.app, pid = entry.pid, "a front is ended: {error}");
        tree::signal_all(&front, SIGKILL);
    }
}

/// Whose worker this is.
fn label_of(fleet: &Fleet, worker: WorkerId) -> Option<Label> {
    let place = fleet.worker(worker)?;
    Some(Label { app: place.app.clone(), instance: place.instance, slot: place.slot })
}

/// The control groups that were left, wherever the dead keeper had been started.
fn groups(home: &Home) -> Vec<(WorkerId, Group)> {
    let homes = cgroup::recorded(&home.cgroups());
    let all = homes.iter().flat_map(|home| cgroup::workers_in(home));
    all.map(|(number, directory)| (WorkerId(number), Group::at(directory))).collect()
}

/// Processes in these groups, and those outside that carry a token of the home with this hash.
fn marked(hash: &str, groups: &[(WorkerId, Group)]) -> BTreeMap<WorkerId, Vec<Process>> {
    let mut found: BTreeMap<WorkerId, Vec<Process>> = BTreeMap::new();
    for (worker, group) in groups {
        let of_worker = found.entry(*worker).or_default();
        let others = group.others(&tree::pids(of_worker));
        of_worker.extend(others);
    }
    found.retain(|_, processes| !processes.is_empty());
    let grouped: BTreeSet<i32> = found.values().flatten().map(|process| process.pid).collect();
    let all = procfs::processes().unwrap_or_default().into_iter();
    for process in all.filter(|process| !grouped.contains(&process.pid)) {
        let value = procfs::environment_value(process.pid, TOKEN.as_bytes()).unwrap_or_default();
        let value = String::from_utf8_lossy(&value).into_owned();
        let number = value.strip_prefix(hash).and_then(|rest| rest.strip_prefix(':'));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.entry(WorkerId(number)).or_default().push(process);
        }
    }
    found
}

/// The read end of a process's pipe; one that is at its end where it has closed it.
fn pipe_of(pid: i32, inode: u64) -> io::Result<OwnedFd> {
    let wanted = format!("pipe:[{inode}]");
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let is_it =
            fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str());
        if let Some(number) = number.filter(|_| is_it) {
            return pipe::reopen_of(pid, number);
        }
    }
    Ok(pipe::pipe(None)?.read)
}

fn inode_at(pid: i32, number: i32) -> Option<u64> {
    Some(fs::metadata(format!("/proc/{pid}/fd/{number}")).ok()?.ino())
}

/// Our end of a Node worker's channel, of which it holds a duplicate; `None` where Yama forbids it.
fn channel_of(pidfd: impl AsFd, number: i32) -> Option<OwnedFd> {
    let socket = pidfd::getfd(pidfd, number).ok()?;
    (socket::transport(&socket).ok()? == Some(Transport::Unix)).then_some(socket)
}

//! The children there are, by the daemon's id and by pid. An exit is kept until it is acknowledged.

use crate::{
    balance::Balance,
    message::{Address, Child, ChildId, ExitStatus, Owner, Share},
    spawner::{Failure, Kept},
};
use rpm_unix::{
    spawn::{Filter, Progress, Starting},
    wait::End,
};
use std::{
    collections::BTreeMap,
    ops::Bound,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// How many children there may be: each has four descriptors, and a pid limit is rarely above this.
pub(crate) const MAX_CHILDREN: usize = 16_384;

/// How many addresses of a child are remembered, for a daemon that was not there when it listened.
pub(crate) const MAX_LISTENING: usize = 32;

/// All children.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// Forked, not yet executed.
    starting: BTreeMap<ChildId, Start>,
    /// Executed; with a status once they have ended.
    executed: BTreeMap<ChildId, Entry>,
    /// Those of both that are not reaped.
    pids: BTreeMap<i32, ChildId>,
}

/// A child on its way to exec.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) starting: Starting,
    pub(crate) kept: Kept,
    pub(crate) label: Vec<u8>,
    pub(crate) share: Option<Owner>,
    pub(crate) balance: Balance,
}

/// A child that was executed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) child: Child,
    pub(crate) label: Vec<u8>,
    pub(crate) status: Option<ExitStatus>,
    pub(crate) listening: Vec<Address>,
    /// It is the child of a former keeper: its end is seen by its pidfd, its exit code by nobody.
    pub(crate) foster: bool,
}

/// What became of a start.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Not decided yet, or there is no such start.
    Open,
    /// It runs, or did; it is an entry now.
    Executed { pid: i32, filter: Filter, share: Option<Owner> },
    /// It is forgotten.
    Failed(Failure),
}

impl Children {
    /// Whether one more is too many.
    pub(crate) fn is_full(&self) -> bool {
        self.starting.len() + self.executed.len() >= MAX_CHILDREN
    }

    pub(crate) fn add(&mut self, child: ChildId, start: Start) {
        self.pids.insert(start.starting.pid(), child);
        self.starting.insert(child, start);
    }

    pub(crate) fn get(&self, child: ChildId) -> Option<&Entry> {
        self.executed.get(&child)
    }

    pub(crate) fn is_starting(&self, child: ChildId) -> bool {
        self.starting.contains_key(&child)
    }

    pub(crate) fn any_starting(&self) -> bool {
        !self.starting.is_empty()
    }

    /// Those on their way to exec, each with what becomes readable when it got there.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (ChildId, BorrowedFd<'_>)> {
        self.starting.iter().map(|(child, start)| (*child, start.starting.as_fd()))
    }

    /// Looks how far a start is.
    pub(crate) fn resolve(&mut self, child: ChildId) -> Outcome {
        let Some(start) = self.starting.remove(&child) else { return Outcome::Open };
        let pid = start.starting.pid();
        match start.starting.progress() {
            Progress::Pending(starting) => {
                self.starting.insert(child, Start { starting, ..start });
                Outcome::Open
            }
            Progress::Running(mut spawned) => {
                let filter = std::mem::replace(&mut spawned.filter, Filter::None);
                let share = start.share.clone().map(|owner| Share {
                    owner,
                    balance: start.balance,
                    filter: duplicate(&filter),
                });
                let entry = Entry {
                    child: Child { share, ..start.kept.into_child(child, spawned) },
                    label: start.label,
                    status: None,
                    listening: Vec::new(),
                    foster: false,
                };
                self.executed.insert(child, entry);
                Outcome::Executed { pid, filter, share: start.share }
            }
            Progress::Failed(error) => {
                // Its zombie is reaped like that of any orphan.
                self.pids.remove(&pid);
                Outcome::Failed(error.into())
            }
        }
    }

    /// Takes over a child of a former keeper, or one of our own before we executed ourselves anew.
    pub(crate) fn adopt(&mut self, entry: Entry) {
        let child = entry.child.child;
        if !entry.foster && entry.status.is_none() {
            self.pids.insert(entry.child.pid, child);
        }
        self.executed.insert(child, entry);
    }

    /// Those whose end only their pidfd tells.
    pub(crate) fn fosters(&self) -> impl Iterator<Item = (ChildId, BorrowedFd<'_>)> {
        let all = self.executed.iter();
        all.filter(|(_, entry)| entry.foster && entry.status.is_none())
            .map(|(child, entry)| (*child, entry.child.pidfd.as_fd()))
    }

    /// Records the end of a child of a former keeper.
    pub(crate) fn foster_ended(&mut self, child: ChildId) {
        if let Some(entry) = self.executed.get_mut(&child) {
            entry.status = Some(ExitStatus::Unknown);
        }
    }

    /// The child that has this pid and is not reaped.
    pub(crate) fn of_pid(&self, pid: i32) -> Option<ChildId> {
        self.pids.get(&pid).copied()
    }

    /// Records a reaped child's end; false if it was never executed.
    pub(crate) fn ended(&mut self, child: ChildId, end: End) -> bool {
        let Some(entry) = self.executed.get_mut(&child) else { return false };
        self.pids.remove(&entry.child.pid);
        entry.status = Some(match end {
            End::Code(code) => ExitStatus::Code(code),
            End::Signal(signal) => ExitStatus::Signal(signal),
        });
        true
    }

    pub(crate) fn has_listened(&mut self, child: ChildId, address: &Address) {
        let Some(entry) = self.executed.get_mut(&child) else { return };
        if entry.listening.len() < MAX_LISTENING && !entry.listening.contains(address) {
            entry.listening.push(address.clone());
        }
    }

    /// Where children have listened.
    pub(crate) fn listening(&self) -> Vec<(ChildId, Address)> {
        let all = self.executed.iter();
        all.flat_map(|(child, entry)| {
            entry.listening.iter().map(|address| (*child, address.clone()))
        })
        .collect()
    }

    /// Forgets a child and closes what was kept for it.
    pub(crate) fn forget(&mut self, child: ChildId) {
        self.starting.remove(&child);
        self.executed.remove(&child);
        self.pids.retain(|_, other| *other != child);
    }

    /// All that were executed.
    pub(crate) fn executed(&self) -> impl Iterator<Item = &Entry> {
        self.executed.values()
    }

    /// The greatest id of an entry.
    pub(crate) fn last(&self) -> Option<ChildId> {
        self.executed.last_key_value().map(|(child, _)| *child)
    }

    /// The entry after this one, in the order of ids.
    pub(crate) fn after(&self, child: Option<ChildId>) -> Option<&Entry> {
        let from = child.map_or(Bound::Unbounded, Bound::Excluded);
        self.executed.range((from, Bound::Unbounded)).next().map(|(_, entry)| entry)
    }
}

/// A second descriptor of where a child's calls arrive, for the daemon. Without it, for lack of
/// descriptors, a new keeper could not answer this child's calls; everything else goes on.
fn duplicate(filter: &Filter) -> Option<OwnedFd> {
    match filter {
        Filter::Installed(notify) => notify.try_clone().ok(),
        Filter::None | Filter::Refused(_) => None,
    }
}

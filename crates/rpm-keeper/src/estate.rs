//! [`Estate`]: duplicates of all that the keeper keeps, on the daemon's side of the link. When the
//! keeper dies, the daemon hands them to the next one (DESIGN "keeper").
//!
//! It is filled by what passes over the link and knows nothing of what is in it.

use crate::{
    children::MAX_LISTENING,
    message::{Address, Child, ChildId, Event, ExitStatus, Owner, Request, Share},
};
use rpm_unix::procfd;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    os::fd::OwnedFd,
};

/// All that the keeper keeps, and what it was asked and has not answered.
#[derive(Debug, Default)]
pub(crate) struct Estate {
    children: BTreeMap<ChildId, Kept>,
    labels: BTreeMap<ChildId, Vec<u8>>,
    held: BTreeMap<String, OwnedFd>,
    sockets: BTreeMap<u64, (Vec<u8>, OwnedFd)>,
    /// Handed over and not yet told of by the keeper that has them now, by inode.
    handed: BTreeMap<u64, (Vec<u8>, OwnedFd)>,
    /// Asked for and not answered.
    spawns: BTreeMap<ChildId, OwnedFd>,
    listens: BTreeMap<u64, Request>,
    releases: VecDeque<Owner>,
    retired: BTreeSet<Owner>,
    relieved: BTreeSet<ChildId>,
    /// The questions about slots that are not answered.
    slots: BTreeSet<u64>,
}

#[derive(Debug)]
struct Kept {
    child: Child,
    status: Option<ExitStatus>,
    listening: Vec<Address>,
}

impl Estate {
    /// A request was sent.
    pub(crate) fn sent(&mut self, request: &Request) {
        // Without a descriptor left nothing can be duplicated; the link itself works on, and what
        // is missing here is lost only if the keeper dies as well.
        let _ = self.note(request);
    }

    fn note(&mut self, request: &Request) -> io::Result<()> {
        match request {
            Request::Spawn { child, label, spec } => {
                self.labels.insert(*child, label.clone());
                self.spawns.insert(*child, spec.try_clone()?);
            }
            Request::Acknowledge { child } => {
                self.children.remove(child);
                self.labels.remove(child);
                self.relieved.remove(child);
            }
            Request::Listen { request, owner, address, only_v6, backlog, balance } => {
                let again = Request::Listen {
                    request: *request,
                    owner: owner.clone(),
                    address: address.clone(),
                    only_v6: *only_v6,
                    backlog: *backlog,
                    balance: *balance,
                };
                self.listens.insert(*request, again);
            }
            Request::Retire { owner } => drop(self.retired.insert(owner.clone())),
            Request::Relieve { child } => drop(self.relieved.insert(*child)),
            Request::Slots { request } => drop(self.slots.insert(*request)),
            Request::Release { owner } => {
                self.retired.remove(owner);
                self.releases.push_back(owner.clone());
            }
            Request::Hold { name, fd } => drop(self.held.insert(name.clone(), fd.try_clone()?)),
            Request::Drop { name } => drop(self.held.remove(name)),
            Request::Adopt { child, label, status, listening: _ } => {
                self.labels.insert(child.child, label.clone());
                self.keep(child, *status)?;
            }
            Request::Listened { child, address } => self.listened(*child, address),
            // The keeper tells of it itself, a little later.
            Request::AdoptSocket { record, socket } => {
                let (record, inode) = (record.clone(), procfd::inode(socket)?);
                self.handed.insert(inode, (record, socket.try_clone()?));
            }
            Request::Adopted
            | Request::Snapshot
            | Request::Upgrade { .. }
            | Request::Hello { .. }
            | Request::Settled { .. }
            | Request::Close { .. }
            | Request::Inventory
            | Request::Shutdown => {}
        }
        Ok(())
    }

    /// An event came.
    pub(crate) fn told(&mut self, event: &Event) {
        // As in `sent`.
        let _ = self.learn(event);
    }

    /// The held sockets, as the keeper told of them.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (&[u8], &OwnedFd)> {
        let all = self.sockets.values().chain(self.handed.values());
        all.map(|(record, socket)| (record.as_slice(), socket))
    }

    fn learn(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Spawned(child) => {
                self.spawns.remove(&child.child);
                if let Some(share) = &child.share {
                    self.retired.remove(&share.owner);
                }
                self.keep(child, None)?;
            }
            Event::SpawnFailed { child, .. } => {
                self.spawns.remove(child);
                self.labels.remove(child);
            }
            Event::Known { child, label, status, listening: _ } => {
                self.labels.insert(child.child, label.clone());
                self.keep(child, *status)?;
            }
            Event::Exited { child, status } => {
                self.children
                    .get_mut(child)
                    .into_iter()
                    .for_each(|kept| kept.status = Some(*status));
            }
            Event::Listening { child, address } => self.listened(*child, address),
            Event::Listener { request, .. } | Event::ListenFailed { request, .. } => {
                self.listens.remove(request);
            }
            Event::Shared { hold, record, socket } => {
                self.handed.remove(&procfd::inode(socket)?);
                self.sockets.insert(*hold, (record.clone(), socket.try_clone()?));
            }
            Event::Unshared { hold } => drop(self.sockets.remove(hold)),
            Event::Released => drop(self.releases.pop_front()),
            Event::SlotsEnd { request } => drop(self.slots.remove(request)),
            Event::Held { name, fd } => drop(self.held.insert(name.clone(), fd.try_clone()?)),
            Event::Welcome { .. }
            | Event::Unfiltered { .. }
            | Event::Refused { .. }
            | Event::Retired { .. }
            | Event::Blocked { .. }
            | Event::Relieved { .. }
            | Event::Unbalanced { .. }
            | Event::Slots { .. }
            | Event::InventoryEnd
            | Event::Snapshot { .. }
            | Event::NotUpgraded { .. }
            | Event::Error { .. } => {}
        }
        Ok(())
    }

    fn keep(&mut self, child: &Child, status: Option<ExitStatus>) -> io::Result<()> {
        let kept = Kept { child: child.duplicate()?, status, listening: Vec::new() };
        self.children.insert(child.child, kept);
        Ok(())
    }

    fn listened(&mut self, child: ChildId, address: &Address) {
        let Some(Kept { listening, .. }) = self.children.get_mut(&child) else { return };
        if listening.len() < MAX_LISTENING && !listening.contains(address) {
            listening.push(address.clone());
        }
    }

    /// Spawns that were asked for and not answered: they may have been done.
    pub(crate) fn uncertain(&self) -> Vec<ChildId> {
        self.spawns.keys().copied().collect()
    }

    /// Everything, in the order in which a new keeper is to be told.
    pub(crate) fn hand_over(mut self) -> VecDeque<Request> {
        let mut all = VecDeque::new();
        for (id, kept) in self.children {
            let Kept { child, status, listening } = kept;
            let label = self.labels.remove(&id).unwrap_or_default();
            let has_listened = !listening.is_empty();
            all.push_back(Request::Adopt { child, label, status, listening: has_listened });
            let each = listening.into_iter();
            all.extend(each.map(|address| Request::Listened { child: id, address }));
        }
        let sockets = self.sockets.into_values().chain(self.handed.into_values());
        all.extend(sockets.map(|(record, socket)| Request::AdoptSocket { record, socket }));
        all.extend(self.held.into_iter().map(|(name, fd)| Request::Hold { name, fd }));
        // First of all that the next keeper does is to send clients somewhere: not to those who
        // leave, and may have been told to by now.
        all.extend(self.retired.into_iter().map(|owner| Request::Retire { owner }));
        all.extend(self.relieved.into_iter().map(|child| Request::Relieve { child }));
        all.push_back(Request::Adopted);
        for (child, spec) in self.spawns {
            let label = self.labels.remove(&child).unwrap_or_default();
            all.push_back(Request::Spawn { child, label, spec });
        }
        all.extend(self.listens.into_values());
        all.extend(self.releases.into_iter().map(|owner| Request::Release { owner }));
        all.extend(self.slots.into_iter().map(|request| Request::Slots { request }));
        all
    }
}

impl Child {
    /// The same with duplicates of its descriptors.
    pub fn duplicate(&self) -> io::Result<Self> {
        let share = match &self.share {
            Some(Share { owner, balance, filter }) => Some(Share {
                owner: owner.clone(),
                balance: *balance,
                filter: filter.as_ref().map(OwnedFd::try_clone).transpose()?,
            }),
            None => None,
        };
        Ok(Self {
            child: self.child,
            pid: self.pid,
            start_time: self.start_time,
            pidfd: self.pidfd.try_clone()?,
            stdout: self.stdout.try_clone()?,
            stderr: self.stderr.try_clone()?,
            channel: self.channel.as_ref().map(OwnedFd::try_clone).transpose()?,
            share,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once it is `Adopted` a keeper steers clients, to whoever does not leave.
    #[test]
    fn who_leaves_is_told_before_all_is_adopted() {
        let (owner, relieved) = (Owner { app: "web".to_owned(), slot: 1 }, ChildId(7));
        let mut estate = Estate::default();
        estate.sent(&Request::Relieve { child: relieved });
        estate.sent(&Request::Relieve { child: ChildId(8) });
        estate.sent(&Request::Retire { owner: owner.clone() });
        estate.sent(&Request::Acknowledge { child: ChildId(8) });
        let all: Vec<_> = estate.hand_over().into();
        let [Request::Retire { owner: slot }, Request::Relieve { child }, Request::Adopted] =
            &all[..]
        else {
            panic!("{all:?}");
        };
        assert_eq!((slot, *child), (&owner, relieved));
    }

    #[test]
    fn a_question_about_slots_is_asked_until_it_is_answered() {
        let mut estate = Estate::default();
        (1..=2).for_each(|request| estate.sent(&Request::Slots { request }));
        estate.told(&Event::SlotsEnd { request: 1 });
        let all: Vec<_> = estate.hand_over().into();
        assert!(matches!(&all[..], [Request::Adopted, Request::Slots { request: 2 }]), "{all:?}");
    }
}

//! Leases: a hold that no process of its slot has open any more is released, lest clients wait in a
//! queue that nobody serves (traps A1); but not while a replacement may still come for it.
//!
//! - At each bind and listen of a child: what this child itself was the last to use, and has
//!   closed. A probe for a free port ends here. The address that is being bound is spared, so that
//!   its queue lives on.
//! - When a child has settled, or a tree ended: all that nobody uses, once every living child of
//!   the slot has settled. A slot with no living child keeps everything: one is coming, or the
//!   daemon releases it.

use super::{
    Ports,
    hold::{Hold, HoldId},
    key::Key,
};
use crate::message::{ChildId, Owner};
use rpm_unix::procfd::{self, Census};
use std::collections::{BTreeMap, BTreeSet};

/// What trees have open, looked up at most once each.
#[derive(Debug, Default)]
pub(super) struct Censuses(BTreeMap<i32, Census>);

impl Censuses {
    fn of(&mut self, leader: i32) -> &Census {
        self.0.entry(leader).or_insert_with(|| procfd::census(leader))
    }
}

impl Ports {
    /// Releases what this child has opened and closed again; all but `spared`.
    pub(super) fn expire(&mut self, child: ChildId, spared: Option<&Key>, censuses: &mut Censuses) {
        let mine = self.table.holds.iter();
        let mine: Vec<_> = mine
            .filter(|(_, hold)| hold.last == Some(child) && !hold.asked)
            .filter(|(_, hold)| Some(&hold.key) != spared)
            .map(|(id, _)| *id)
            .collect();
        for id in mine {
            if !self.is_used(id, censuses) {
                self.table.remove(id);
            }
        }
        self.expire_attempts(child, censuses);
    }

    /// Forgets bound sockets that were closed without ever listening.
    fn expire_attempts(&mut self, child: ChildId, censuses: &mut Censuses) {
        let Some(leader) = self.sources.get(&child).map(|source| source.leader) else { return };
        self.table.attempts.retain_mut(|attempt| {
            attempt.child != child
                || !attempt.bound
                || procfd::is_at(attempt.place, attempt.inode)
                || attempt.find(censuses.of(leader))
        });
    }

    /// Releases what nobody uses, if nobody is left who might come for it.
    pub(super) fn sweep(&mut self, owner: &Owner) {
        let living: Vec<_> = self.living(owner).map(|(_, source)| source.settled).collect();
        if living.is_empty() || living.contains(&false) {
            return;
        }
        let mut censuses = Censuses::default();
        let all = self.table.holds.iter();
        let all: Vec<_> = all
            .filter(|(_, hold)| hold.owner == *owner && !hold.asked)
            .map(|(id, _)| *id)
            .collect();
        for id in all {
            if !self.is_used(id, &mut censuses) {
                self.table.remove(id);
            }
        }
    }

    /// Whether any living tree of the slot has the socket open.
    fn is_used(&mut self, id: HoldId, censuses: &mut Censuses) -> bool {
        let Some(owner) = self.table.holds.get(&id).map(|hold| hold.owner.clone()) else {
            return false;
        };
        let children: Vec<_> = self.living(&owner).map(|(child, _)| child).collect();
        children.into_iter().any(|child| self.is_used_by(id, child, censuses))
    }

    /// Whether a living child has a released socket open.
    pub(super) fn is_open(&self, hold: &Hold, censuses: &mut Censuses) -> bool {
        hold.users.iter().any(|(child, place)| {
            let source = self.sources.get(child).filter(|source| source.lives());
            source.is_some_and(|source| {
                procfd::is_at(*place, hold.inode)
                    || censuses.of(source.leader).places.contains_key(&hold.inode)
            })
        })
    }

    /// Whether somebody of a living child may accept from a released socket still, however he came
    /// to it, and even if he has left the child's tree.
    pub(super) fn is_accepted_from(&self, hold: &Hold, censuses: &mut Censuses) -> bool {
        if hold.is_lent_unseen() && !hold.public {
            return true;
        }
        let children = hold.users.keys().chain(hold.servers());
        let sources = children.filter_map(|child| self.sources.get(child));
        let living = sources.filter(|source| source.lives());
        let leaders: BTreeSet<i32> = living.map(|source| source.leader).collect();
        let within = |leader: &i32| {
            let census = censuses.of(*leader);
            !census.complete || census.places.contains_key(&hold.inode)
        };
        leaders.iter().any(within)
            || leaders.iter().any(|leader| procfd::is_open_since(*leader, hold.inode))
    }

    /// Whether this child's tree has the socket open. Where it was last seen is looked at first:
    /// that is one system call.
    pub(super) fn is_used_by(
        &mut self,
        id: HoldId,
        child: ChildId,
        censuses: &mut Censuses,
    ) -> bool {
        let Some(source) = self.sources.get(&child) else { return false };
        let Some(hold) = self.table.holds.get_mut(&id) else { return false };
        let Some(place) = hold.users.get_mut(&child) else { return false };
        if procfd::is_at(*place, hold.inode) {
            return true;
        }
        let census = censuses.of(source.leader);
        match census.places.get(&hold.inode) {
            Some(found) => {
                *place = *found;
                true
            }
            None => !census.complete,
        }
    }
}

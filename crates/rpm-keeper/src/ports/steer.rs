//! Who gets new connections: the sockets of an app at one TCP address are a group of the kernel's,
//! which is mirrored here and steered away from slots that would not answer.
//!
//! Every change of holds, users or health marks its group; [`Ports::steer`], at the end of each
//! entry into this module, brings the marked ones up to date. Of a group's members those are
//! chosen that a living child serves, that are not blocked and not leaving; if that leaves nobody,
//! the blocked ones as well, then the unserved ones: what waits there is served by the next worker.
//!
//! A program that binds while another of its slot still serves gets a socket of its own. Until the
//! daemon relieves the other, new connections go to that one; from then on to the new one.

use super::{
    Ports,
    health::News,
    hold::{Hold, HoldId},
    key::Key,
    steering::{Seat, Steering},
    table::Table,
};
use crate::{
    balance::{Balance, Fallback},
    message::{Address, ChildId, Event, Owner},
};
use rpm_unix::socket;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd,
    time::Instant,
};

/// Names a group: an app and an address.
pub(super) type GroupId = (String, Key);

/// With `ip_hash`, queues shorter than this block nobody: moving clients costs them their session.
const STICKY_BLOCKED_FROM: u32 = 4;

/// How the slots of an app share.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppBalance {
    pub(super) asked: Balance,
    pub(super) fallback: Option<Fallback>,
}

impl AppBalance {
    pub(super) fn in_force(self) -> Balance {
        self.fallback.map_or(self.asked, |fallback| fallback.balance)
    }
}

/// What chooses whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Good,
    /// A replacement beside the one that it replaces.
    Unproven,
    Blocked,
    Unserved,
    Retiring,
}

impl Ports {
    /// A child of this owner is about to start, or wants to listen: its app shares like this, and
    /// it is not leaving.
    pub fn share_by(&mut self, owner: &Owner, balance: Balance) -> Vec<Event> {
        self.unretire(owner);
        let known = self.balances.get(&owner.app);
        if known.is_some_and(|known| known.asked == balance) {
            return self.steer();
        }
        let fallback = balance.possible();
        self.balances.insert(owner.app.clone(), AppBalance { asked: balance, fallback });
        self.mark_app(&owner.app);
        let mut events = self.steer();
        let app = owner.app.clone();
        events.extend(fallback.map(|fallback| Event::Unbalanced { app, fallback }));
        events
    }

    /// Forgets how an app's slots share, when it has none.
    pub(super) fn forget_balance(&mut self, app: &str) {
        let held = self.table.holds.values().any(|hold| hold.owner.app == app);
        let lives = self.sources.values().any(|source| source.owner.app == app);
        if !held && !lives {
            self.balances.remove(app);
        }
    }

    /// How an app's slots share.
    pub(super) fn balance(&self, app: &str) -> Balance {
        self.balances.get(app).map_or(Balance::Even, |balance| balance.in_force())
    }

    /// Whether all slots of an app have one socket at an address.
    pub(super) fn is_one(&self, app: &str, key: &Key) -> bool {
        key.is_unix() || self.balance(app) == Balance::Shared
    }

    /// Brings all marked groups up to date, and closes what was released.
    pub(super) fn steer(&mut self) -> Vec<Event> {
        if self.handover.partial {
            return Vec::new();
        }
        self.close_unused_fronts();
        self.bury();
        let mut events = Vec::new();
        while let Some(id) = self.table.marked.pop_first() {
            self.mirror(&id);
            events.extend(self.choose(&id, None));
        }
        events
    }

    /// Marks the groups of an owner's sockets.
    pub(super) fn mark_owner(&mut self, owner: &Owner) {
        let of_owner = self.table.holds.values().filter(|hold| hold.owner == *owner);
        let groups: Vec<_> = of_owner.filter_map(group_of).collect();
        self.table.marked.extend(groups);
    }

    /// Takes note of who joined and who left.
    pub(super) fn mirror(&mut self, id: &GroupId) {
        let Table { holds, ghosts, gone, .. } = &self.table;
        let of_group = |hold: &&Hold| group_of(hold).as_ref() == Some(id);
        let all = holds.values().chain(ghosts).chain(gone).filter(of_group);
        let mut listening: Vec<&Hold> = all.filter(|hold| hold.listens()).collect();
        listening.sort_by_key(|hold| hold.number);
        let listening: Vec<u64> = listening.into_iter().map(|hold| hold.cookie).collect();
        if listening.is_empty() {
            self.groups.remove(id);
            return;
        }
        let group = self.groups.entry(id.clone()).or_default();
        group.unknown &= listening.len() > 1;
        for cookie in group.order.ids().to_vec() {
            if !listening.contains(&cookie) {
                group.order.left(cookie);
            }
        }
        listening.into_iter().for_each(|cookie| group.order.joined(cookie));
    }

    /// Chooses among the members of a group; not `closing`, which is about to leave it. What the
    /// kernel refuses makes the app's groups even, in the next turn of [`Self::steer`].
    pub(super) fn choose(&mut self, id: &GroupId, closing: Option<u64>) -> Option<Event> {
        let balance = self.balance(&id.0);
        let mut group = self.groups.remove(id)?;
        let seats = self.seats(id, &group);
        let chosen = self.chosen(&group, &seats, closing);
        let refused = group.apply(balance, &seats, &chosen).err();
        drop(seats);
        self.groups.insert(id.clone(), group);
        match balance {
            Balance::Random | Balance::IpHash | Balance::RoundRobin => {
                Some(self.fall_back(&id.0, &refused?))
            }
            // The kernel's own hash goes on.
            Balance::Even | Balance::Shared | Balance::Private => None,
        }
    }

    fn fall_back(&mut self, app: &str, error: &io::Error) -> Event {
        let fallback = Fallback::even(error);
        if let Some(known) = self.balances.get_mut(app) {
            known.fallback = Some(fallback);
        }
        self.mark_app(app);
        Event::Unbalanced { app: app.to_owned(), fallback }
    }

    fn mark_app(&mut self, app: &str) {
        let groups: Vec<_> = self.groups.keys().filter(|id| id.0 == app).cloned().collect();
        self.table.marked.extend(groups);
    }

    /// The members of a group that slots have, each once, by slot.
    fn seats<'a>(&'a self, id: &GroupId, group: &Steering) -> Vec<Seat<'a>> {
        let mut seats: BTreeMap<u64, Seat<'a>> = BTreeMap::new();
        for hold in self.of_group(id) {
            let seat =
                Seat { cookie: hold.cookie, slot: hold.owner.slot, socket: hold.socket.as_fd() };
            if group.order.index_of(hold.cookie).is_some() {
                seats.entry(hold.cookie).or_insert(seat);
            }
        }
        let mut seats: Vec<_> = seats.into_values().collect();
        seats.sort_by_key(|seat| seat.slot);
        seats
    }

    /// Those of the best rank. Of one that is closing the last member takes the place, so, if
    /// there is another choice, it is left out as well until that has happened (traps B2).
    fn chosen(&self, group: &Steering, seats: &[Seat<'_>], closing: Option<u64>) -> BTreeSet<u64> {
        let staying = seats.iter().filter(|seat| Some(seat.cookie) != closing);
        let ranks: BTreeMap<u64, Rank> =
            staying.map(|seat| (seat.cookie, self.rank(group, seat.cookie))).collect();
        let best = ranks.values().min().copied();
        let chosen = ranks.into_iter().filter(|(_, rank)| Some(*rank) == best);
        let mut chosen: BTreeSet<u64> = chosen.map(|(cookie, _)| cookie).collect();
        if let (Some(_), Some(last), true) = (closing, group.order.ids().last(), chosen.len() > 1) {
            chosen.remove(last);
        }
        chosen
    }

    /// The best that can be said of a socket: several slots may have it.
    fn rank(&self, group: &Steering, cookie: u64) -> Rank {
        let slots = self.table.serving().filter(|hold| hold.cookie == cookie);
        let rank = |hold: &Hold| {
            if self.is_leaving(hold) {
                Rank::Retiring
            } else if !hold.is_served() {
                Rank::Unserved
            } else if group.health.is_blocked(cookie) {
                Rank::Blocked
            } else if self.is_unproven(group, hold) {
                Rank::Unproven
            } else {
                Rank::Good
            }
        };
        slots.map(rank).min().unwrap_or(Rank::Retiring)
    }

    /// Its slot leaves, or its program has been relieved, or its slot has given it up.
    pub(super) fn is_leaving(&self, hold: &Hold) -> bool {
        let relieved = |child: &ChildId| {
            let source = self.sources.get(child);
            source.is_none_or(|source| source.exited) || self.relieved.contains_key(child)
        };
        let is_ghost = self.table.find(&hold.owner, &hold.key) != Some(HoldId(hold.number));
        let is_over = || {
            let replaced = self.table.successor(hold).is_some();
            !replaced || hold.servers().iter().all(relieved)
        };
        self.retiring.contains_key(&hold.owner) || (is_ghost && is_over())
    }

    /// Another program of its slot, on a socket of its own, has not been relieved yet.
    fn is_unproven(&self, group: &Steering, hold: &Hold) -> bool {
        self.table.predecessors(hold).any(|former| {
            former.servers().is_disjoint(hold.servers())
                && !self.is_leaving(former)
                && !group.health.is_blocked(former.cookie)
        })
    }

    pub(super) fn of_group<'a, 'b>(
        &'a self,
        id: &'b GroupId,
    ) -> impl Iterator<Item = &'a Hold> + use<'a, 'b> {
        let here = move |hold: &&Hold| hold.owner.app == id.0 && hold.key == id.1;
        self.table.serving().filter(here)
    }

    /// Whether a hold's group waits for a connection to look again.
    pub(super) fn is_quiet(&self, hold: &Hold) -> bool {
        let group = group_of(hold).and_then(|id| self.groups.get(&id));
        group.is_some_and(|group| group.is_group() && group.health.next().is_none())
    }

    /// A watched socket that still listens has a connection.
    pub(super) fn has_connection(&mut self, id: HoldId, now: Instant) {
        let hold = self.table.holds.get(&id).filter(|hold| hold.listens());
        if let Some(group) = hold.and_then(group_of).and_then(|id| self.groups.get_mut(&id)) {
            group.health.wake(now);
        }
    }

    /// When to look at queues next.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let groups = self.groups.values().filter(|group| group.is_group());
        groups.filter_map(|group| group.health.next()).min()
    }

    /// Looks at the queues of all groups that are due.
    pub(super) fn look_at_queues(&mut self, now: Instant) -> Vec<Event> {
        let due = |group: &Steering| {
            group.is_group() && group.health.next().is_some_and(|next| next <= now)
        };
        let ids = self.groups.iter().filter(|(_, group)| due(group));
        let ids: Vec<_> = ids.map(|(id, _)| id.clone()).collect();
        if !ids.is_empty() {
            self.recall_ghosts();
        }
        ids.into_iter().flat_map(|id| self.look_at_group(id, now)).collect()
    }

    fn look_at_group(&mut self, id: GroupId, now: Instant) -> Vec<Event> {
        let served = self.of_group(&id).filter(|hold| hold.is_served());
        let lengths: BTreeMap<u64, u32> =
            served.map(|hold| (hold.cookie, queue_length(hold))).collect();
        let sticky = self.balance(&id.0) == Balance::IpHash;
        let at_least = if sticky { STICKY_BLOCKED_FROM } else { 1 };
        let Some(group) = self.groups.get_mut(&id) else { return Vec::new() };
        let (news, changed) = group.health.look(&lengths, at_least, now);
        let events = news.into_iter().filter_map(|news| self.told(&id, news)).collect();
        if changed {
            self.table.marked.insert(id);
        }
        events
    }

    fn told(&self, id: &GroupId, news: News) -> Option<Event> {
        let News { cookie, blocked, waiting } = news;
        let owner = self.of_group(id).find(|hold| hold.cookie == cookie)?.owner.clone();
        Some(Event::Blocked { owner, blocked, waiting })
    }
}

/// The group a socket belongs to, once it listens: TCP only, and not one that has an address of its
/// own.
pub(super) fn group_of(hold: &Hold) -> Option<GroupId> {
    match hold.key.address {
        Address::Tcp(_) if hold.private => None,
        Address::Tcp(_) => Some((hold.owner.app.clone(), hold.key.clone())),
        Address::Udp(_) | Address::Unix(_) => None,
    }
}

/// How many connections wait in a socket's queue; 0 where nobody can tell.
pub(super) fn queue_length(hold: &Hold) -> u32 {
    match hold.key.address {
        Address::Tcp(_) => socket::accept_queue(&hold.socket).map_or(0, |queue| queue.length),
        Address::Udp(_) | Address::Unix(_) => 0,
    }
}

//! [`Hold`]: a served socket of one slot, which outlives the workers that accept from it.

use super::{key::Key, schedule::Schedule};
use crate::message::{ChildId, Owner};
use rpm_unix::{
    procfd::{self, Place},
    socket, steer,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// Names a hold; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HoldId(pub(super) u64);

/// How often a hold is revived between two listens of a program, before it is given up.
const MAX_REVIVALS: u32 = 8;

/// How long after a shutdown a socket listens again. At once would be too soon: threads that block
/// in accept are woken, find a listening socket, and go on; the program would never stop.
const REVIVES_AFTER: Duration = Duration::from_millis(10);

/// How long after it was given a listening socket a program that does not call `listen` counts as
/// listening. Those that do call it so soon that a loaded machine makes no difference.
const LISTENS_AFTER: Duration = Duration::from_secs(1);

/// How long a socket that may be a probe hears nothing. A client that asks in that time waits for a
/// second, until its kernel asks again.
const VEILED_FOR: Duration = Duration::from_millis(250);

/// A socket kept for a slot.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) owner: Owner,
    /// Counts up: the order in which sockets were first held, which is that of their listens.
    pub(super) number: u64,
    pub(super) key: Key,
    pub(super) socket: OwnedFd,
    pub(super) cookie: u64,
    pub(super) inode: u64,
    /// Who used it, and where it was seen there. The last of them decides on its lease.
    pub(super) users: BTreeMap<ChildId, Place>,
    pub(super) last: Option<ChildId>,
    /// The daemon asked for it, and it alone closes it.
    pub(super) asked: bool,
    /// We bound it; its path goes with it.
    pub(super) made: bool,
    /// It is bound to an address of its own, and its key is the public one.
    pub(super) private: bool,
    /// It is the public one of private ones.
    pub(super) public: bool,
    /// `O_NONBLOCK` as the last program had it at its bind. It may have changed it since, on the
    /// description that all share; the next program of the kind will do the same.
    pub(super) nonblocking: Option<bool>,
    /// A program of this slot shut it down for all (traps B1).
    pub(super) shuts_down: bool,
    /// The file of a unix socket: device and inode. Once the path names another one, nobody can
    /// reach this socket any more.
    pub(super) file: Option<(u64, u64)>,
    pub(super) phase: Phase,
    pub(super) backlog: i32,
    /// Children whose `listen` was let through and not told yet.
    untold: BTreeSet<ChildId>,
    pub(super) revivals: u32,
    /// Children that listen on it, and live.
    servers: BTreeSet<ChildId>,
    /// Children that were given it as it listened, until they call `listen`; when they count as if
    /// they had. Some look first (gunicorn) and never do.
    given: BTreeMap<ChildId, Instant>,
    /// It hears nothing until this moment: it may be a probe.
    veiled: Option<Instant>,
    /// Programs of the slot inherit it, and need not call `listen`.
    pub(super) activates: bool,
    /// Nobody seems to have it open since it was replaced; when it may be closed.
    pub(super) lingers: Option<Instant>,
    /// It was lent to somebody whose life is not seen.
    lent_unseen: bool,
}

/// Whether it accepts connections.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// A program's `listen` was let through; the kernel has no event for its success.
    Announced(Schedule),
    /// It was seen to.
    Listening,
    /// Somebody shut it down; it will listen again at this moment.
    ShutDown(Instant),
}

impl Hold {
    pub(super) fn new(owner: Owner, key: Key, socket: OwnedFd, phase: Phase) -> io::Result<Self> {
        Ok(Self {
            cookie: socket::cookie(&socket)?,
            inode: procfd::inode(&socket)?,
            owner,
            number: 0,
            key,
            socket,
            users: BTreeMap::new(),
            last: None,
            asked: false,
            made: false,
            private: false,
            public: false,
            nonblocking: None,
            shuts_down: false,
            file: None,
            phase,
            backlog: 0,
            untold: BTreeSet::new(),
            revivals: 0,
            servers: BTreeSet::new(),
            given: BTreeMap::new(),
            veiled: None,
            lingers: None,
            activates: false,
            lent_unseen: false,
        })
    }

    /// A second hold on the same socket for another slot: a path has one socket.
    pub(super) fn for_slot(&self, owner: Owner) -> io::Result<Self> {
        let mut hold = Self::new(owner, self.key.clone(), self.socket.try_clone()?, self.phase)?;
        (hold.file, hold.backlog, hold.made) = (self.file, self.backlog, self.made);
        Ok(hold)
    }

    /// Takes the place of another hold of the same slot and address.
    pub(super) fn succeed(&mut self, former: &mut Self) {
        self.shuts_down |= former.shuts_down;
        self.untold.append(&mut former.untold);
    }

    pub(super) fn used_by(&mut self, child: ChildId, place: Place) {
        self.users.insert(child, place);
        self.last = Some(child);
    }

    /// These children serve it from now on; none: somebody whom nobody sees.
    pub(super) fn served_by(&mut self, children: impl IntoIterator<Item = ChildId>) {
        self.servers.extend(children);
        self.lent_unseen = self.servers.is_empty();
    }

    /// Its slot is over, and everybody who had it.
    pub(super) fn abandon(&mut self) {
        self.lent_unseen = false;
    }

    /// As its record tells it.
    pub(super) fn restore(
        &mut self,
        servers: Vec<ChildId>,
        untold: Vec<ChildId>,
        lent_unseen: bool,
    ) {
        self.servers.extend(servers);
        self.untold.extend(untold);
        self.lent_unseen = lent_unseen;
    }

    /// Children that it has anything to do with.
    pub(super) fn children(&self) -> impl Iterator<Item = ChildId> {
        self.servers.iter().chain(self.users.keys()).chain(&self.untold).copied()
    }

    /// Children whose `listen` is still to be told.
    pub(super) fn untold(&self) -> impl Iterator<Item = ChildId> {
        self.untold.iter().copied()
    }

    /// Whether somebody serves it whose life is not seen.
    pub(super) fn is_lent_unseen(&self) -> bool {
        self.lent_unseen
    }

    /// A child got it in the place of its own socket. If it listens, the child serves it from now
    /// on, whether it calls `listen` or not.
    pub(super) fn given_to(&mut self, child: ChildId, place: Place, now: Instant) {
        self.used_by(child, place);
        if !self.key.is_udp() && !self.servers.contains(&child) && self.listens() {
            self.servers.insert(child);
            self.given.insert(child, now + LISTENS_AFTER);
        }
    }

    /// It was deafened; who listens on it is not told before it hears.
    pub(super) fn veil(&mut self, now: Instant) {
        self.veiled = Some(now + VEILED_FOR);
    }

    /// Lets it hear again when its time is up. `None`: nobody has it any more, so it was a probe.
    fn unveil(&mut self, now: Instant) -> Option<()> {
        if self.veiled.is_none_or(|until| now < until) {
            return Some(());
        }
        let mut users = self.users.values();
        let open = self.asked || users.any(|place| procfd::is_at(*place, self.inode));
        self.veiled = None;
        open.then_some(())?;
        steer::hear(self.socket.as_fd(), self.key.is_ipv6()).ok()
    }

    /// Nobody accepts here any more, though it is a member of its group: of a group that loses a
    /// member the kernel moves another one, and until the program knows, it may send a client to
    /// any. Here the client shall ask again a second later, and not wait until it is reset.
    pub(super) fn silence(&self) {
        if self.is_tcp() {
            let _refused = steer::deafen(self.socket.as_fd(), self.key.is_ipv6());
        }
    }

    /// It is needed again after [`Self::silence`].
    pub(super) fn hear(&self) {
        if self.is_tcp() && self.veiled.is_none() {
            // It was not deaf, as a rule.
            let _heard = steer::hear(self.socket.as_fd(), self.key.is_ipv6());
        }
    }

    /// Children whose time to call `listen` is up, and that have it still.
    fn take_given(&mut self, now: Instant) {
        for (child, _) in self.given.extract_if(.., |_, at| *at <= now) {
            let place = self.users.get(&child);
            if place.is_some_and(|place| procfd::is_at(*place, self.inode)) {
                self.untold.insert(child);
            }
        }
    }

    /// Nobody of this child's tree is left; says whether that makes a difference.
    pub(super) fn forget(&mut self, child: ChildId) -> bool {
        self.given.remove(&child);
        self.users.remove(&child);
        self.untold.remove(&child);
        self.servers.remove(&child)
    }

    pub(super) fn is_served_by(&self, child: ChildId) -> bool {
        self.servers.contains(&child)
    }

    /// Children that listen on it, and live.
    pub(super) fn servers(&self) -> &BTreeSet<ChildId> {
        &self.servers
    }

    /// Whether somebody accepts from it, as far as can be told.
    pub(super) fn is_served(&self) -> bool {
        self.lent_unseen || !self.servers.is_empty()
    }

    /// A child called `listen` on it and will be let through; it is to be told when it listens.
    pub(super) fn announced(&mut self, child: ChildId, backlog: i32, now: Instant) {
        self.backlog = backlog;
        self.revivals = 0;
        self.given.remove(&child);
        self.untold.insert(child);
        let listens = self.listens();
        self.phase = if listens { Phase::Listening } else { Phase::Announced(Schedule::from(now)) };
    }

    /// Looks whether it listens by now. `None`: it will not any more, and is to be given up. Else
    /// the children that serve from this moment on.
    pub(super) fn look(&mut self, now: Instant) -> Option<BTreeSet<ChildId>> {
        self.take_given(now);
        self.unveil(now)?;
        if self.veiled.is_some() {
            return Some(BTreeSet::new());
        }
        match self.phase {
            Phase::Announced(_) if self.listens() => self.phase = Phase::Listening,
            Phase::Announced(mut schedule) => {
                schedule.look(now);
                self.phase = Phase::Announced(schedule);
                return (!schedule.is_over()).then(BTreeSet::new);
            }
            Phase::ShutDown(until) if now < until => return Some(BTreeSet::new()),
            Phase::ShutDown(_) => self.revive()?,
            Phase::Listening => {}
        }
        Some(std::mem::take(&mut self.untold))
    }

    /// Whether a hang-up of it means that somebody shut it down.
    pub(super) fn is_watched(&self) -> bool {
        match self.phase {
            Phase::Listening => self.is_tcp(),
            Phase::Announced(_) | Phase::ShutDown(_) => false,
        }
    }

    /// It hung up, so somebody shut it down for all who share it.
    pub(super) fn hung_up(&mut self, now: Instant) {
        if !self.listens() {
            self.shuts_down = true;
            self.phase = Phase::ShutDown(now + REVIVES_AFTER);
        }
    }

    /// `None` if it cannot listen again, or had to too often.
    fn revive(&mut self) -> Option<()> {
        self.revivals += 1;
        self.phase = Phase::Listening;
        if self.revivals <= MAX_REVIVALS { self.listen().ok() } else { None }
    }

    /// When to look at it again.
    pub(super) fn next(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Announced(schedule) => schedule.next(),
            Phase::Listening => None,
            Phase::ShutDown(until) => Some(*until),
        };
        self.given.values().copied().chain(phase).chain(self.veiled).min()
    }

    /// Makes it listen, if it does not, with the backlog it had.
    pub(super) fn listen(&self) -> io::Result<()> {
        if self.listens() { Ok(()) } else { socket::listen(&self.socket, self.backlog) }
    }

    /// Whether it is a TCP socket.
    pub(super) fn is_tcp(&self) -> bool {
        !self.key.is_udp() && !self.key.is_unix()
    }

    pub(super) fn listens(&self) -> bool {
        self.key.is_udp() || socket::is_listening(self.socket.as_fd()).unwrap_or(false)
    }
}

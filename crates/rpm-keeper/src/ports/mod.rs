//! Sharing a port: binds and listens of filtered programs are answered here, and the sockets they
//! serve are held per slot, so that a restart, a reload or a crash refuses nobody (DESIGN "Sharing
//! a port", facts/cluster.md 2, facts/traps.md A1-A5, B1-B8).
//!
//! It needs no daemon: what happens comes back as [`Event`]s, which the run loop keeps or sends. It
//! never waits and never starts anything; it knows children only by id, owner and leader.
//!
//! # For the run loop
//! Poll [`Ports::watched`] beside everything else, at most for [`Ports::timeout`]; give each ready
//! [`Token`] to [`Ports::on_ready`], and call [`Ports::on_timeout`] when the time is up (too often
//! does no harm). Call [`Ports::exited`] before an exit is told, so that its reason comes first.
//!
//! # A bind
//! The first line that fits decides; its code and test are in `verdict.rs`. "Overlapping" is the
//! same port at the same address or at a wildcard that covers it.
//!
//! 1. Not TCP, UDP or a unix stream socket; port 0; multicast; abstract; unreadable: the kernel
//!    decides, and nothing is remembered.
//! 2. The socket is a held one of the app (a signal lost our answer): 0.
//! 3. Another app has an overlapping address: EADDRINUSE, and [`Event::Refused`] names it.
//! 4. An overlapping bind is in flight, and may yet refuse this one: waits, half a second at most.
//! 5. The caller's own tree serves an overlapping address, and it did not ask for SO_REUSEPORT: the
//!    kernel decides, which means EADDRINUSE, as without us.
//! 6. The address is held for this slot: the held socket takes the place of the program's, 0.
//! 7. There is no room for another socket: the kernel decides.
//! 8. It is held, but another worker of the slot serves it, which is to be left alone once this one
//!    is ready (or would suffer: it shuts listeners down, the two differ in O_NONBLOCK); or other
//!    sockets of the app overlap: SO_REUSEPORT on all, the kernel decides.
//! 9. Nothing is there: SO_REUSEPORT off, the kernel decides.
//!
//! So every first bind is the program's own, with its own rights, and a stranger on the port is an
//! honest EADDRINUSE. A path (unix socket) has one socket: all slots get that of the first, as long
//! as the path still names it. A program that unlinks the path first gets its own, and the last one
//! to do so has the clients; that is known and not solved.
//!
//! Where the app's balance is [`Private`](crate::Balance::Private), 8 and 9 mean another thing: we
//! bind the public address for a front (refusals are the program's), and the program gets a socket
//! at an address of its own (`private.rs`).
//!
//! # After it
//! A bind that was let through is an *attempt* (`attempt.rs`) until its socket listens: then it is
//! a *hold* (`hold.rs`). UDP is held as soon as it is seen to be bound. A `listen` is always let
//! through, and told as [`Event::Listening`] when the socket accepts connections (TCP: at once).
//! Holds end by their lease (`lease.rs`), by [`Ports::release`] or [`Ports::close`]. One that a
//! program shut down listens again ten milliseconds later.
//!
//! # Who gets a connection
//! The sockets of an app at one TCP address are a group of the kernel's (SO_REUSEPORT), unless its
//! balance is one socket for all. `steering.rs` mirrors the group's order and keeps a program
//! attached to it, `steer.rs` says among whom it chooses, `health.rs` judges queues, `retire.rs`
//! empties those of slots that leave and of workers that are replaced, `burial.rs` ends sockets.
//! The order has to be known exactly, so a program's first `listen` is done here, on our duplicate,
//! before the program does it again; and a socket that another of its slot has replaced is kept
//! while a child has it open.
//! Each entry into this module ends with `Ports::steer`, which brings up to date what was marked.
//!
//! # Repeated calls
//! A signal makes a thread issue its call again as a new notification, at any point. Nothing is
//! counted per notification: the state is about sockets, named by their cookie, and the repeated
//! call finds what the first one left.
//!
//! # Known weaknesses
//! Binds by io_uring or through a 32-bit or x32 call are not seen. A listen on port 0 is not told.
//! A probe of the very address that is held takes what comes before it is closed. What waits in a
//! replaced socket is reset when its program ends before it accepted that. The keeper waits for the
//! calling thread to be scheduled while it puts a held socket in its place.

mod activated;
mod asked;
mod attempt;
mod bind;
mod burial;
mod facts;
mod grant;
pub(crate) mod handover;
mod health;
mod hold;
mod key;
mod lease;
mod listen;
mod private;
mod progress;
mod reason;
pub(crate) mod record;
mod retire;
mod schedule;
mod source;
mod steer;
mod steering;
mod table;
mod verdict;
mod waiting;

use crate::message::{Address, ChildId, Event, Owner};
use hold::HoldId;
use rpm_unix::{
    poll::Entry,
    seccomp::{Call, Listener, Readiness},
    socket,
};
use source::Source;
use std::{
    collections::BTreeMap,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    time::{Duration, Instant},
};
use table::Table;

/// How many calls of one child are answered before others get their turn.
const MAX_CALLS: usize = 16;

/// How long after its last listen a child counts as settled, if the daemon does not say so before:
/// what it has not bound by then, of what its predecessor served, is released.
const SETTLES_AFTER: Duration = Duration::from_secs(30);

/// All shared ports of a keeper.
#[derive(Debug)]
pub struct Ports {
    sources: BTreeMap<ChildId, Source>,
    table: Table,
    waiting: waiting::Queue,
    /// How apps share their addresses.
    balances: BTreeMap<String, steer::AppBalance>,
    groups: BTreeMap<steer::GroupId, steering::Steering>,
    /// Slots that leave.
    retiring: BTreeMap<Owner, retire::Retirement>,
    /// Children whose replacements are ready.
    relieved: BTreeMap<ChildId, retire::Retirement>,
    /// Our own network and mount namespaces, as keys name them.
    network: u64,
    mounts: u64,
    handover: handover::Handover,
}

/// Names a watched descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(Watched);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Watched {
    Calls(ChildId),
    Hold(HoldId),
}

impl Default for Ports {
    fn default() -> Self {
        Self::new()
    }
}

impl Ports {
    /// Nothing is shared yet.
    pub fn new() -> Self {
        let network = UnixDatagram::unbound().map_or(0, socket::namespace);
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let mounts = source::mount_namespace(own).unwrap_or(0);
        Self {
            sources: BTreeMap::new(),
            table: Table::default(),
            waiting: waiting::Queue::default(),
            balances: BTreeMap::new(),
            groups: BTreeMap::new(),
            retiring: BTreeMap::new(),
            relieved: BTreeMap::new(),
            network,
            mounts,
            handover: handover::Handover::default(),
        }
    }

    /// Answers a child's calls from now on. `leader` is its pid and session, `notify` what
    /// [`rpm_unix::seccomp::install`] returned in it.
    ///
    /// # Errors
    /// The kernel has no such notifications; the child's binds fail with ENOSYS.
    pub fn add_child(
        &mut self,
        child: ChildId,
        owner: Owner,
        leader: i32,
        notify: OwnedFd,
    ) -> io::Result<()> {
        let listener = Some(Listener::new(notify)?);
        let (exited, forgotten, settled, settles) = (false, false, false, None);
        let unheard = false;
        let source =
            Source { owner, leader, listener, unheard, exited, forgotten, settled, settles };
        for (_, hold) in self.table.holds.iter_mut().filter(|(_, hold)| hold.owner == source.owner)
        {
            if hold.activates {
                hold.served_by([child]);
                self.table.marked.extend(steer::group_of(hold));
            }
        }
        self.sources.insert(child, source);
        self.handover.touched = true;
        let _told_later = self.steer();
        Ok(())
    }

    /// A leader has exited: what there is to say about its last binds. What is left of its tree is
    /// about to end, and no new connection should wait for it.
    pub fn exited(&mut self, child: ChildId) -> Vec<Event> {
        self.handover.touched = true;
        let now = Instant::now();
        if let Some(source) = self.sources.get_mut(&child) {
            source.exited = true;
            self.mark_own(child);
        }
        let mut events = self.look_at_holds(now);
        events.extend(self.look_at_attempts(now));
        events.extend(self.steer());
        self.known(events)
    }

    /// The daemon has acknowledged its exit: nothing more is told of it. Should processes of its
    /// tree still live, their calls are answered until the last is gone.
    pub fn remove_child(&mut self, child: ChildId) {
        match self.sources.get_mut(&child) {
            Some(source) if source.listener.is_some() => source.forgotten = true,
            Some(_) | None => {
                self.sources.remove(&child);
                self.table.forget_user(child);
            }
        }
    }

    /// The child is ready: what its slot has held and no living child of it uses is released,
    /// unless another is on its way. Without this it happens half a minute after its last listen.
    pub fn settled(&mut self, child: ChildId) {
        let Some(source) = self.sources.get_mut(&child) else { return };
        source.settled = true;
        source.settles = None;
        self.handover.touched = true;
        let owner = source.owner.clone();
        self.sweep(&owner);
        let _told_later = self.steer();
    }

    /// What to poll, and for what.
    pub fn watched(&self) -> impl Iterator<Item = (Token, Entry<'_>)> {
        let answers = !self.handover.adopting;
        let calls = self.sources.iter().filter(move |_| answers).filter_map(|(child, source)| {
            let listener = source.listener.as_ref()?;
            Some((Token(Watched::Calls(*child)), Entry::readable(listener.as_fd())))
        });
        let holds = self.table.holds.iter().filter(|(_, hold)| hold.is_watched());
        let holds = holds.map(|(id, hold)| {
            let socket = hold.socket.as_fd();
            let quiet = self.is_quiet(hold);
            let entry = if quiet { Entry::readable(socket) } else { Entry::hangup(socket) };
            (Token(Watched::Hold(*id)), entry)
        });
        calls.chain(holds)
    }

    /// A watched descriptor is ready. One that is not, or is gone, does no harm.
    pub fn on_ready(&mut self, token: Token) -> Vec<Event> {
        self.handover.touched |= matches!(token.0, Watched::Calls(_));
        let mut events = match token.0 {
            Watched::Calls(child) => self.answer_calls(child),
            Watched::Hold(id) => {
                self.hung_up(id);
                self.has_connection(id, Instant::now());
                Vec::new()
            }
        };
        events.extend(self.again());
        events.extend(self.steer());
        self.known(events)
    }

    /// How long to poll at most; `None`: nothing is in flight.
    pub fn timeout(&self) -> Option<Duration> {
        let attempts = self.table.attempts.iter().filter_map(attempt::Attempt::next);
        let holds = self.table.holds.values().filter_map(hold::Hold::next);
        let settles = self.sources.values().filter_map(|source| source.settles);
        let burial = self.next_burial();
        let looks = [self.waiting.next(), self.next_look(), self.next_retirement(), burial];
        let looks = looks.into_iter().flatten();
        let next = attempts.chain(holds).chain(settles).chain(looks).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// The time is up.
    pub fn on_timeout(&mut self) -> Vec<Event> {
        let now = Instant::now();
        let mut events = self.look_at_holds(now);
        self.settle_due(now);
        events.extend(self.look_at_attempts(now));
        events.extend(self.again());
        events.extend(self.look_at_queues(now));
        self.look_at_ghosts(now);
        events.extend(self.steer());
        events.extend(self.look_at_retiring(now));
        events.extend(self.look_at_relieved(now));
        self.known(events)
    }

    fn answer_calls(&mut self, child: ChildId) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..MAX_CALLS {
            let Some(source) = self.sources.get(&child) else { break };
            let Some(listener) = source.listener.as_ref() else { break };
            match listener.readiness() {
                Readiness::Quiet => break,
                Readiness::Closed => {
                    events.extend(self.ended(child));
                    break;
                }
                // An error: the caller died meanwhile.
                Readiness::Call => match listener.receive() {
                    Ok(note) => events.extend(match note.call {
                        Call::Bind { .. } => self.bind(child, note, None),
                        Call::Listen { backlog } => self.listen_seen(child, note, backlog),
                    }),
                    Err(_) => continue,
                },
            }
        }
        events
    }

    /// Decides again about all who wait.
    fn again(&mut self) -> Vec<Event> {
        let waiting = self.waiting.take(Instant::now());
        let decided = waiting.into_iter();
        decided.flat_map(|one| self.bind(one.child, one.note, Some(one.schedule))).collect()
    }

    /// Without what is about children that the daemon has forgotten.
    fn known(&self, mut events: Vec<Event>) -> Vec<Event> {
        let is_known = |child| self.sources.get(&child).is_some_and(|source| !source.forgotten);
        events.retain(|event| child_of(event).is_none_or(is_known));
        events
    }

    /// Children of a slot whose trees are not empty.
    fn living(&self, owner: &Owner) -> impl Iterator<Item = (ChildId, &Source)> {
        let all = self.sources.iter().map(|(child, source)| (*child, source));
        all.filter(move |(_, source)| source.owner == *owner && source.lives())
    }

    /// The namespace in which we would bind this address.
    fn namespace(&self, address: &Address) -> u64 {
        match address {
            Address::Tcp(_) | Address::Udp(_) => self.network,
            Address::Unix(_) => self.mounts,
        }
    }
}

/// The child an event of ours is about.
fn child_of(event: &Event) -> Option<ChildId> {
    let (Event::Listening { child, .. } | Event::Refused { child, .. }) = event else {
        return None;
    };
    Some(*child)
}

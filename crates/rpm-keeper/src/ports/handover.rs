//! Handing held sockets from one keeper to the next: a record of each, which the daemon keeps with
//! a duplicate of the socket, and taking them over again.
//!
//! Where both died, the records come from the daemon's ledger, and the sockets from the processes.
//! What is in no record is found again in the processes as well: sockets that living children
//! listen on (`rediscover`). What is neither is forgotten: binds in flight, which their threads are
//! made to repeat. The order of a group (traps B2) is handed over with it, so replaced sockets are
//! too, as long as they are members. It is not known where a member is rediscovered, or was closed
//! when both died.

use super::{
    Ports, SETTLES_AFTER,
    hold::{Hold, HoldId, Phase},
    record::{NO_RANK, Record, read, write},
    source::{Source, key_of},
    steer::{GroupId, group_of},
};
use crate::{
    codec::WireError,
    message::{Address, ChildId, Event, Owner},
    wire::{self, Packet},
};
use rpm_unix::{
    caller,
    procfd::{self, Place},
    seccomp::Listener,
    socket,
    steer::Group,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// No group is larger: a listening socket is a descriptor of ours.
const MAX_RANK: u32 = 16_384;
/// How long before a replaced socket is closed the daemon is told to close its own: until that has,
/// it is a member of its group.
const FAREWELL: Duration = Duration::from_millis(200);

/// What the daemon was told of, and what is being taken over.
#[derive(Debug, Default)]
pub(super) struct Handover {
    told: BTreeMap<HoldId, Vec<u8>>,
    /// Something may have changed since.
    pub(super) touched: bool,
    /// Calls wait until all is taken over.
    pub(super) adopting: bool,
    /// Sockets were taken over, and others come: nothing is concluded from what is not there yet.
    pub(super) partial: bool,
    /// The order of groups as their former keeper knew it.
    ranks: Vec<(GroupId, u32, u64)>,
}

impl Ports {
    /// Ports that are about to be taken over: no call is answered before `adopted`.
    pub fn awaiting() -> Self {
        let mut ports = Self::new();
        ports.handover.adopting = true;
        ports
    }

    /// Whether not all is handed over yet.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.handover.adopting
    }

    /// Tells the next daemon everything.
    pub(crate) fn tell_all_again(&mut self) {
        self.handover.told.clear();
        self.handover.touched = true;
    }

    /// The holds that are new or changed since the last time, and those that are gone.
    pub(crate) fn changes(&mut self) -> (Vec<u64>, Vec<u64>) {
        if !std::mem::take(&mut self.handover.touched) || self.handover.adopting {
            return (Vec::new(), Vec::new());
        }
        let all = self.table.holds.values().chain(self.kept_ghosts());
        let records = all.filter_map(|hold| Some((HoldId(hold.number), self.record(hold).ok()?)));
        let now: BTreeMap<HoldId, Vec<u8>> = records.collect();
        let before = std::mem::take(&mut self.handover.told);
        let changed = now.iter().filter(|(id, record)| before.get(id) != Some(record));
        let changed = changed.map(|(id, _)| id.0).collect();
        let gone = before.keys().filter(|id| !now.contains_key(id)).map(|id| id.0).collect();
        self.handover.told = now;
        (changed, gone)
    }

    /// What is told of a hold; `None` if it is gone.
    pub(crate) fn packet(&self, id: u64) -> Option<Result<Packet<'_>, WireError>> {
        let is_it = |ghost: &&Hold| ghost.number == id;
        let ghost = || self.table.ghosts.iter().find(is_it);
        let hold = self.table.holds.get(&HoldId(id)).or_else(ghost)?;
        let record = self.record(hold);
        Some(record.and_then(|record| wire::shared(id, &record, hold.socket.as_fd())))
    }

    /// All holds as requests of a daemon that hands them over.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Vec<u8>, &OwnedFd)> {
        let holds = self.table.holds.values().chain(self.kept_ghosts());
        holds.filter_map(|hold| Some((self.record(hold).ok()?, &hold.socket)))
    }

    fn record(&self, hold: &Hold) -> Result<Vec<u8>, WireError> {
        let group = group_of(hold).and_then(|id| self.groups.get(&id));
        let rank = group.filter(|group| !group.unknown);
        let rank = rank.and_then(|group| group.order.index_of(hold.cookie)).unwrap_or(NO_RANK);
        write(hold, rank, !self.table.holds.contains_key(&HoldId(hold.number)))
    }

    /// Replaced sockets that are not about to be closed.
    fn kept_ghosts(&self) -> impl Iterator<Item = &Hold> {
        let soon = Instant::now() + FAREWELL;
        self.table.ghosts.iter().filter(move |ghost| ghost.lingers.is_none_or(|at| soon < at))
    }

    /// When the daemon is to be told to close one, or that is to be closed.
    pub(super) fn next_farewell(&self) -> Option<Instant> {
        let now = Instant::now();
        let ends = self.table.ghosts.iter().filter_map(|ghost| ghost.lingers);
        ends.map(|at| at.checked_sub(FAREWELL).filter(|early| now < *early).unwrap_or(at)).min()
    }

    /// As [`Self::add_child`], for a child of a former keeper; `None`: nobody has its calls.
    pub(crate) fn adopt_child(
        &mut self,
        child: ChildId,
        owner: Owner,
        leader: i32,
        notify: Option<OwnedFd>,
    ) -> io::Result<()> {
        let listener = notify.map(Listener::new).transpose()?;
        let (settles, unheard) = (Some(Instant::now() + SETTLES_AFTER), listener.is_none());
        let source = Source {
            owner,
            leader,
            listener,
            exited: false,
            forgotten: false,
            settled: false,
            settles,
            unheard,
        };
        self.sources.insert(child, source);
        Ok(())
    }

    /// Holds a socket as its record says.
    pub(crate) fn adopt_socket(&mut self, record: &[u8], socket: OwnedFd) -> io::Result<()> {
        let Record { hold, rank, replaced } = read(record, socket)?;
        self.handover.partial = true;
        if let Some(group) = group_of(&hold).filter(|_| hold.listens()) {
            self.handover.ranks.push((group, rank, hold.cookie));
        }
        self.table.restore(hold, replaced);
        Ok(())
    }

    /// All is taken over: finds what no record told of, makes threads whose calls the former
    /// keeper took with it call again, and answers from now on. `by_channel`: whether a child gets
    /// its sockets over a channel, so that the daemon closes them.
    pub(crate) fn adopted(&mut self, by_channel: impl Fn(ChildId) -> bool) -> Vec<Event> {
        let inherited = std::mem::take(&mut self.handover.adopting);
        self.handover.partial = false;
        self.handover.touched = true;
        self.restore_groups(inherited);
        let mut events = if inherited { Vec::new() } else { self.tell_of_restored() };
        let sources: Vec<_> = self.sources.iter().map(|(id, one)| (*id, one.leader)).collect();
        for (child, leader) in sources {
            events.extend(self.rediscover(child, leader, by_channel(child)));
            caller::repeat_calls(leader);
        }
        self.recall_ghosts();
        events.extend(self.steer());
        self.hear_again();
        events
    }

    /// The former keeper may have died before it let a socket hear again. Not before connections
    /// are steered, and not those that nobody is to be sent to: members that went with the former
    /// keeper have moved others in the kernel's order, so its program sends clients anywhere.
    fn hear_again(&self) {
        let all = self.table.holds.values().chain(&self.table.ghosts);
        all.filter(|hold| !self.is_leaving(hold)).for_each(Hold::hear);
    }

    /// Orders groups as their former keeper did. `inherited`: somebody had duplicates of all it
    /// held, so members that are missing were about to be closed, and are. Else they were closed
    /// when keeper and daemon died, nobody knows in which order.
    fn restore_groups(&mut self, inherited: bool) {
        let mut groups: BTreeMap<GroupId, BTreeSet<(u32, u64)>> = BTreeMap::new();
        for (id, rank, cookie) in std::mem::take(&mut self.handover.ranks) {
            groups.entry(id).or_default().insert((rank, cookie));
        }
        for (id, members) in groups {
            let group = self.groups.entry(id.clone()).or_default();
            group.programmed = true;
            group.unknown = !is_known(&members, inherited);
            if !group.unknown {
                restore_order(&mut group.order, &members);
            }
            self.table.marked.insert(id);
        }
    }

    /// Without a former keeper's events: who listens, of those who live.
    fn tell_of_restored(&mut self) -> Vec<Event> {
        let holds = || self.table.holds.values().chain(&self.table.ghosts);
        let all: BTreeSet<ChildId> = holds().flat_map(Hold::children).collect();
        let dead: Vec<_> =
            all.into_iter().filter(|child| !self.sources.contains_key(child)).collect();
        dead.into_iter().for_each(|child| self.table.forget_user(child));
        let holds = self.table.holds.values().chain(&self.table.ghosts);
        let served = holds.flat_map(|hold| hold.servers().iter().map(move |child| (*child, hold)));
        served
            .map(|(child, hold)| Event::Listening { child, address: hold.key.address.clone() })
            .collect()
    }

    /// Holds the sockets that a child's tree listens on and nobody told of, and tells of them.
    fn rediscover(&mut self, child: ChildId, leader: i32, asked: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for place in procfd::census(leader).places.into_values() {
            // Yama may refuse; then the socket stays the program's own (traps A6).
            let Ok(socket) = caller::take_fd(place.pid, place.fd) else { continue };
            // `None`: a socket of another kind, or one that is gone meanwhile.
            let address = self.hold_again(child, place, socket, asked);
            events.extend(address.map(|address| Event::Listening { child, address }));
        }
        events
    }

    fn hold_again(
        &mut self,
        child: ChildId,
        place: Place,
        socket: OwnedFd,
        asked: bool,
    ) -> Option<Address> {
        let owner = self.sources.get(&child)?.owner.clone();
        let cookie = socket::cookie(&socket).ok()?;
        let transport = socket::transport(&socket).ok()??;
        let name = socket::local_name(&socket).ok()?;
        let mine = |hold: &Hold| hold.cookie == cookie && hold.owner == owner;
        let mut known = self.table.holds.values().chain(&self.table.ghosts);
        if !socket::is_listening(&socket).ok()? || known.any(mine) {
            return None;
        }
        let key = key_of(transport, &socket, place.pid, &name)?;
        if self.table.foreigner(&owner.app, &key).is_some() {
            return None;
        }
        let mut hold = Hold::new(owner, key, socket, Phase::Listening).ok()?;
        hold.used_by(child, place);
        hold.served_by([child]);
        hold.asked = asked;
        hold.nonblocking = socket::is_nonblocking(&hold.socket).ok();
        hold.file = super::source::file_of_address(place.pid, &hold.key.address);
        let address = hold.key.address.clone();
        if let Some(group) = group_of(&hold) {
            let group = self.groups.entry(group).or_default();
            (group.unknown, group.programmed) = (true, true);
        }
        self.table.insert(hold);
        Some(address)
    }
}

/// Names of members that are gone; the kernel's cookies count up from 1.
const MISSING: u64 = u64::MAX - MAX_RANK as u64;

/// Whether the kernel's order of these members is known; the last one may be missing in any case,
/// for no other takes its place.
fn is_known(members: &BTreeSet<(u32, u64)>, inherited: bool) -> bool {
    let mut ranks = (0..).zip(members);
    members.iter().all(|(rank, _)| *rank < MAX_RANK)
        && (inherited || ranks.all(|(index, (rank, _))| index == *rank))
}

fn restore_order(order: &mut Group<u64>, members: &BTreeSet<(u32, u64)>) {
    for (rank, cookie) in members {
        while let Some(missing) = missing_before(*rank, order.ids().len()) {
            order.joined(missing);
        }
        order.joined(*cookie);
    }
    let missing: Vec<_> = order.ids().iter().copied().filter(|id| *id >= MISSING).collect();
    for id in missing {
        order.left(id);
    }
}

/// The name of the next member that is missing before this rank.
fn missing_before(rank: u32, length: usize) -> Option<u64> {
    let length = u32::try_from(length).ok().filter(|length| *length < rank)?;
    Some(MISSING + u64::from(length))
}

#[cfg(test)]
mod tests {
    use super::{super::key::Key, *};
    use rpm_unix::socket::{Endpoint, Fresh, accept_queue, open_listener};
    use std::net::{TcpListener, TcpStream};

    fn hold(listener: &TcpListener) -> Hold {
        let address = Address::Tcp(listener.local_addr().unwrap());
        let key = Key { address, namespace: 7, only_v6: false, device: b"lo".to_vec() };
        let owner = Owner { app: "web".to_owned(), slot: 3 };
        let socket = listener.try_clone().unwrap().into();
        let mut hold = Hold::new(owner, key, socket, Phase::Listening).unwrap();
        hold.used_by(ChildId(5), Place { pid: 1, fd: 9 });
        hold.served_by([ChildId(5)]);
        (hold.asked, hold.nonblocking, hold.file) = (true, Some(true), Some((8, 9)));
        hold.backlog = 511;
        hold
    }

    #[test]
    fn the_daemon_is_told_of_changes_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ports = Ports::new();
        let id = ports.table.insert(hold(&listener));
        ports.handover.touched = true;
        assert_eq!(ports.changes(), (vec![id.0], vec![]));
        ports.handover.touched = true;
        assert_eq!(ports.changes(), (vec![], vec![]));
        ports.table.remove(id);
        ports.handover.touched = true;
        assert_eq!(ports.changes(), (vec![], vec![id.0]));
        assert!(ports.packet(id.0).is_none());
    }

    #[test]
    fn a_socket_that_was_deaf_when_its_keeper_died_hears_again() {
        use std::io::ErrorKind;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |limit| TcpStream::connect_timeout(&address, Duration::from_millis(limit));
        let hold = hold(&listener);
        hold.silence();
        assert_eq!(connect(50).unwrap_err().kind(), ErrorKind::TimedOut);
        let (mut former, mut heir) = (Ports::new(), Ports::awaiting());
        let id = former.table.insert(hold);
        let record = former.record(&former.table.holds[&id]).unwrap();
        heir.adopt_socket(&record, listener.try_clone().unwrap().into()).unwrap();
        heir.adopted(|_| false);
        connect(60_000).unwrap();
    }

    /// A keeper died in the 200 ms in which it closes a replaced socket, which moves the others in
    /// the kernel's order, so that clients come to any. Its heir had let another replaced one hear,
    /// from which nobody accepts any more: `connection reset by peer` for the client.
    #[test]
    fn nobody_comes_to_a_replaced_socket_while_a_keeper_takes_over() {
        let fresh = Fresh { reuse_port: true, backlog: 64, ..Fresh::default() };
        let open = |port| open_listener(&Endpoint::Tcp(([127, 0, 0, 1], port).into()), &fresh);
        let former = TcpListener::from(open(0).unwrap());
        let address = former.local_addr().unwrap();
        let next = TcpListener::from(open(address.port()).unwrap());
        let [mut replaced, mut serving] = [&former, &next].map(hold);
        replaced.forget(ChildId(5));
        replaced.silence();
        serving.served_by([ChildId(6)]);
        let mut heir = Ports::awaiting();
        for (rank, hold, is_replaced) in [(0, replaced, true), (1, serving, false)] {
            let record = write(&hold, rank, is_replaced).unwrap();
            heir.adopt_socket(&record, hold.socket).unwrap();
        }
        let ask = |limit| TcpStream::connect_timeout(&address, Duration::from_millis(limit));
        let asked: Vec<_> = (0..32).filter_map(|_| ask(20).ok()).collect();
        heir.adopted(|_| false);
        assert_eq!(accept_queue(&former).map(|queue| queue.length).ok(), Some(0));
        // Those that were lost on the way to the deaf one find the other when they ask again.
        let waiting = || accept_queue(&next).unwrap().length as usize;
        // The kernel may queue them somewhat after the clients have connected.
        let deadline = Instant::now() + Duration::from_secs(60);
        while waiting() < asked.len() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(waiting() >= asked.len());
        (0..8).for_each(|_| drop(ask(60_000).unwrap()));
    }

    #[test]
    fn the_order_of_a_group_is_known_or_said_not_to_be() {
        const ALL: [(u32, u64); 3] = [(0, 11), (1, 12), (2, 13)];
        let order = |members: &[(u32, u64)]| {
            let mut order = Group::default();
            restore_order(&mut order, &members.iter().copied().collect());
            order.ids().to_vec()
        };
        assert_eq!(order(&ALL), [11, 12, 13]);
        // The first is gone, and the last had taken its place.
        assert_eq!(order(&ALL[1..]), [13, 12]);
        let known = |members: &[(u32, u64)], inherited| {
            is_known(&members.iter().copied().collect(), inherited)
        };
        assert!(known(&ALL, false) && known(&ALL[..2], false));
        assert!(known(&ALL[1..], true) && !known(&ALL[1..], false));
        assert!(!known(&[(0, 11), (NO_RANK, 12)], true));
    }
}

//! Handing held sockets from one keeper to the next: a record of each, which the daemon keeps with
//! a duplicate of the socket, and taking them over again.
//!
//! What is in no record is found again in the processes: sockets that living children listen on
//! (`rediscover`). What is neither is forgotten: binds in flight, which their threads are made to
//! repeat. The order of a group (traps B2) is handed over with it, so replaced sockets are too, as
//! long as they are members. Of groups that are only rediscovered it is not known.

use super::{
    Ports, SETTLES_AFTER,
    hold::{Hold, HoldId, Phase},
    schedule::Schedule,
    source::{Source, key_of},
    steer::{GroupId, group_of},
};
use crate::{
    codec::{Reader, WireError, Writer},
    message::{Address, ChildId, Event, MAX_NAME, Owner},
    wire::{self, Packet, read_address, read_owner, write_address, write_owner},
};
use rpm_unix::{
    caller,
    procfd::{self, Place},
    seccomp::Listener,
    socket,
};
use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// The version of a record.
const FORMAT: u8 = 1;
/// The same of a socket that its slot has replaced, and an old worker may still have open.
const REPLACED: u8 = 2;
/// How many children of each kind a record names: one slot has one, and two while it is replaced.
const MAX_CHILDREN: usize = 16;
/// A socket that is no member of a group has no place in its order.
const NO_RANK: u32 = u32::MAX;
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
    /// The order of groups as their former keeper knew it.
    ranks: Vec<(GroupId, u32, u64)>,
}

/// A hold as its record tells it.
struct Record {
    hold: Hold,
    rank: u32,
    replaced: bool,
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
        if let Some(group) = group_of(&hold).filter(|_| rank < MAX_RANK) {
            self.handover.ranks.push((group, rank, hold.cookie));
        }
        self.table.restore(hold, replaced);
        Ok(())
    }

    /// All is taken over: finds what no record told of, makes threads whose calls the former
    /// keeper took with it call again, and answers from now on. `by_channel`: whether a child gets
    /// its sockets over a channel, so that the daemon closes them.
    pub(crate) fn adopted(&mut self, by_channel: impl Fn(ChildId) -> bool) -> Vec<Event> {
        self.handover.adopting = false;
        self.handover.touched = true;
        self.restore_groups();
        let sources: Vec<_> = self.sources.iter().map(|(id, one)| (*id, one.leader)).collect();
        let mut events = Vec::new();
        for (child, leader) in sources {
            events.extend(self.rediscover(child, leader, by_channel(child)));
            caller::repeat_calls(leader);
        }
        self.recall_ghosts();
        events.extend(self.steer());
        events
    }

    fn restore_groups(&mut self) {
        let mut ranks = std::mem::take(&mut self.handover.ranks);
        ranks.sort_by_key(|(_, rank, _)| *rank);
        for (id, rank, cookie) in ranks {
            let group = self.groups.entry(id.clone()).or_default();
            // Members that nobody told of were about to be closed, and are.
            while let Some(missing) = missing_before(rank, group.order.ids().len()) {
                group.order.joined(missing);
            }
            group.order.joined(cookie);
            group.programmed = true;
            self.table.marked.insert(id);
        }
        for group in self.groups.values_mut() {
            group.order.ids().to_vec().into_iter().filter(|id| *id >= MISSING).for_each(
                |missing| {
                    group.order.left(missing);
                },
            );
        }
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

/// The name of the next member that is missing before this rank.
fn missing_before(rank: u32, length: usize) -> Option<u64> {
    let length = u32::try_from(length).ok().filter(|length| *length < rank)?;
    Some(MISSING + u64::from(length))
}

fn write(hold: &Hold, rank: u32, replaced: bool) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::default();
    writer.u8(if replaced { REPLACED } else { FORMAT });
    write_owner(&mut writer, &hold.owner)?;
    write_address(&mut writer, &hold.key.address)?;
    writer.u64(hold.key.namespace);
    writer.bool(hold.key.only_v6);
    writer.bytes("device", &hold.key.device, MAX_NAME)?;
    for flag in [hold.asked, hold.made, hold.shuts_down, hold.activates, hold.is_lent_unseen()] {
        writer.bool(flag);
    }
    writer.u8(match hold.nonblocking {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
    let (device, inode) = hold.file.unwrap_or_default();
    writer.u64(device);
    writer.u64(inode);
    writer.i32(hold.backlog);
    writer.u32(rank);
    write_children(&mut writer, hold.servers().iter().copied());
    write_children(&mut writer, hold.untold());
    write_children(&mut writer, hold.last.iter().copied());
    let users: Vec<_> = hold.users.iter().take(MAX_CHILDREN).collect();
    writer.u8(u8::try_from(users.len()).unwrap_or(0));
    for (child, place) in users {
        writer.u64(child.0);
        writer.i32(place.pid);
        writer.i32(place.fd);
    }
    Ok(writer.finish())
}

fn write_children(writer: &mut Writer, children: impl Iterator<Item = ChildId>) {
    let children: Vec<_> = children.take(MAX_CHILDREN).collect();
    writer.u8(u8::try_from(children.len()).unwrap_or(0));
    children.into_iter().for_each(|child| writer.u64(child.0));
}

fn read_children(reader: &mut Reader<'_>) -> Result<Vec<ChildId>, WireError> {
    let count = reader.u8()?;
    (0..count).map(|_| reader.u64().map(ChildId)).collect()
}

/// Whether this is a record that can be read.
pub(crate) fn is_readable(record: &[u8]) -> Result<(), WireError> {
    Fields::read(record).map(|_| ())
}

fn read(record: &[u8], socket: OwnedFd) -> io::Result<Record> {
    let fields =
        Fields::read(record).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let phase = Phase::Announced(Schedule::from(Instant::now()));
    let mut hold = Hold::new(fields.owner, fields.key, socket, phase)?;
    if hold.listens() {
        hold.phase = Phase::Listening;
    }
    let [asked, made, shuts_down, activates, lent_unseen] = fields.flags;
    (hold.asked, hold.made, hold.shuts_down) = (asked, made, shuts_down);
    (hold.activates, hold.nonblocking) = (activates, fields.nonblocking);
    (hold.file, hold.backlog) = (fields.file, fields.backlog);
    hold.restore(fields.servers, fields.untold, lent_unseen);
    hold.users = fields.users;
    hold.last = fields.last;
    Ok(Record { hold, rank: fields.rank, replaced: fields.replaced })
}

/// A record taken apart.
struct Fields {
    replaced: bool,
    owner: Owner,
    key: super::key::Key,
    flags: [bool; 5],
    nonblocking: Option<bool>,
    file: Option<(u64, u64)>,
    backlog: i32,
    rank: u32,
    servers: Vec<ChildId>,
    untold: Vec<ChildId>,
    last: Option<ChildId>,
    users: BTreeMap<ChildId, Place>,
}

impl Fields {
    fn read(record: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(record);
        let replaced = match reader.u8()? {
            FORMAT => false,
            REPLACED => true,
            version => return Err(WireError::Version(version)),
        };
        let fields = Self {
            replaced,
            owner: read_owner(&mut reader)?,
            key: super::key::Key {
                address: read_address(&mut reader)?,
                namespace: reader.u64()?,
                only_v6: reader.bool("V6ONLY")?,
                device: reader.bytes("device", MAX_NAME)?.to_vec(),
            },
            flags: [
                reader.bool("asked")?,
                reader.bool("made")?,
                reader.bool("shuts down")?,
                reader.bool("activates")?,
                reader.bool("lent")?,
            ],
            nonblocking: match reader.u8()? {
                0 => None,
                1 => Some(false),
                2 => Some(true),
                value => return Err(WireError::Unknown { what: "O_NONBLOCK", value }),
            },
            file: Some((reader.u64()?, reader.u64()?)).filter(|file| *file != (0, 0)),
            backlog: reader.i32()?,
            rank: reader.u32()?,
            servers: read_children(&mut reader)?,
            untold: read_children(&mut reader)?,
            last: read_children(&mut reader)?.first().copied(),
            users: read_users(&mut reader)?,
        };
        reader.finish()?;
        Ok(fields)
    }
}

fn read_users(reader: &mut Reader<'_>) -> Result<BTreeMap<ChildId, Place>, WireError> {
    let count = reader.u8()?;
    let user = |reader: &mut Reader<'_>| {
        Ok((ChildId(reader.u64()?), Place { pid: reader.i32()?, fd: reader.i32()? }))
    };
    (0..count).map(|_| user(reader)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::key::Key, *};
    use std::net::TcpListener;

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
    fn a_hold_comes_back_from_its_record() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hold = hold(&listener);
        let record = write(&hold, 2, true).unwrap();
        let again = read(&record, listener.into()).unwrap();
        assert_eq!((again.rank, again.replaced), (2, true));
        let (cookie, key) = (hold.cookie, hold.key.clone());
        assert_eq!((again.hold.cookie, &again.hold.key), (cookie, &key));
        assert_eq!(write(&again.hold, 2, true).unwrap(), record);
        assert!(matches!(again.hold.phase, Phase::Listening));
    }

    #[test]
    fn a_part_of_a_record_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let record = write(&hold(&listener), NO_RANK, false).unwrap();
        for end in 0..record.len() {
            assert!(is_readable(&record[..end]).is_err(), "{end}");
        }
        is_readable(&record).unwrap();
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
}

//! The record of a held socket: all that the next keeper must know of it, beside the socket itself.
//!
//! ```text
//! format · owner · address · namespace · V6ONLY · device · flags · O_NONBLOCK · file · backlog
//! · rank · servers · untold · last · users
//! ```

use super::{
    hold::{Hold, Phase},
    key::Key,
    schedule::Schedule,
};
use crate::{
    codec::{Reader, WireError, Writer},
    message::{ChildId, MAX_NAME, Owner},
    wire::{read_address, read_owner, write_address, write_owner},
};
use rpm_unix::procfd::Place;
use std::{collections::BTreeMap, io, os::fd::OwnedFd, time::Instant};

/// The version of a record.
const FORMAT: u8 = 3;
/// Its predecessors had fewer flags; the second was of a socket that its slot has replaced.
const FORMER: [u8; 2] = [1, 2];
/// How many children of each kind a record names: one slot has one, and two while it is replaced.
const MAX_CHILDREN: usize = 16;
/// A socket that is no member of a group has no place in its order.
pub(super) const NO_RANK: u32 = u32::MAX;

/// A hold as its record tells it.
pub(super) struct Record {
    pub(super) hold: Hold,
    /// Its place in the kernel's order of its group, or [`NO_RANK`].
    pub(super) rank: u32,
    /// Its slot has another one by now.
    pub(super) replaced: bool,
}

/// The record of a hold.
///
/// # Errors
/// A part of it is beyond its bound.
pub(super) fn write(hold: &Hold, rank: u32, replaced: bool) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::default();
    writer.u8(FORMAT);
    write_owner(&mut writer, &hold.owner)?;
    write_address(&mut writer, &hold.key.address)?;
    writer.u64(hold.key.namespace);
    writer.bool(hold.key.only_v6);
    writer.bytes("device", &hold.key.device, MAX_NAME)?;
    for flag in [hold.asked, hold.made, hold.shuts_down, hold.activates, hold.is_lent_unseen()] {
        writer.bool(flag);
    }
    for flag in [hold.private, hold.public, replaced] {
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

/// The hold that a record tells of.
///
/// # Errors
/// `InvalidData`: it is no record, or of a later format.
pub(super) fn read(record: &[u8], socket: OwnedFd) -> io::Result<Record> {
    let fields =
        Fields::read(record).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let phase = Phase::Announced(Schedule::from(Instant::now()));
    let mut hold = Hold::new(fields.owner, fields.key, socket, phase)?;
    if hold.listens() {
        hold.phase = Phase::Listening;
    }
    let [asked, made, shuts_down, activates, lent_unseen] = fields.flags;
    let [private, public, replaced] = fields.kinds;
    (hold.private, hold.public) = (private, public);
    (hold.asked, hold.made, hold.shuts_down) = (asked, made, shuts_down);
    (hold.activates, hold.nonblocking) = (activates, fields.nonblocking);
    (hold.file, hold.backlog) = (fields.file, fields.backlog);
    hold.restore(fields.servers, fields.untold, lent_unseen);
    hold.users = fields.users;
    hold.last = fields.last;
    Ok(Record { hold, rank: fields.rank, replaced })
}

/// A record taken apart.
struct Fields {
    owner: Owner,
    key: Key,
    flags: [bool; 5],
    /// Private, public, replaced.
    kinds: [bool; 3],
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
        let version = reader.u8()?;
        if version != FORMAT && !FORMER.contains(&version) {
            return Err(WireError::Version(version));
        }
        let fields = Self {
            owner: read_owner(&mut reader)?,
            key: Key {
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
            kinds: match version {
                FORMAT => {
                    [reader.bool("private")?, reader.bool("public")?, reader.bool("replaced")?]
                }
                former => [false, false, former == FORMER[1]],
            },
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
    use super::*;
    use crate::message::Address;
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
    fn records_of_former_formats_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut hold = hold(&listener);
        let plain = write(&hold, 2, false).unwrap();
        (hold.private, hold.public) = (true, true);
        let bytes = write(&hold, 2, true).unwrap();
        let added = plain.iter().zip(&bytes).position(|(a, b)| a != b).unwrap();
        let again = read(&bytes, listener.try_clone().unwrap().into()).unwrap();
        assert!(again.hold.private && again.hold.public && again.replaced);
        for (format, replaced) in [(1, false), (2, true)] {
            let mut former = bytes.clone();
            former[0] = format;
            former.drain(added..added + 3);
            let again = read(&former, listener.try_clone().unwrap().into()).unwrap();
            let kinds = (again.hold.private, again.hold.public, again.replaced);
            assert_eq!((kinds, again.rank), ((false, false, replaced), 2));
        }
        let later = [&[FORMAT + 1], &bytes[1..]].concat();
        assert!(read(&later, listener.into()).is_err());
    }
}

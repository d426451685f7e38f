//! Requests as bytes.

use super::{
    Packet, Parcel, begin,
    event::{read_kept, write_kept},
    parts::{read_address, read_child, read_owner, write_address, write_owner},
};
use crate::{
    balance::Balance,
    codec::{WireError, Writer},
    message::{
        Address, Child, ChildId, ExitStatus, MAX_LABEL, MAX_NAME, MAX_RECORD, Owner, Request,
    },
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const HELLO: u8 = 1;
const SPAWN: u8 = 2;
const ACKNOWLEDGE: u8 = 3;
const LISTEN: u8 = 4;
const CLOSE: u8 = 5;
const RELEASE: u8 = 6;
const HOLD: u8 = 7;
const DROP: u8 = 8;
const INVENTORY: u8 = 9;
const SHUTDOWN: u8 = 10;
const SETTLED: u8 = 11;
const RETIRE: u8 = 12;
const SLOTS: u8 = 13;
const ADOPT: u8 = 14;
const ADOPT_SOCKET: u8 = 15;
const ADOPTED: u8 = 16;
const SNAPSHOT: u8 = 17;
const UPGRADE: u8 = 18;
const RELIEVE: u8 = 19;
const LISTENED: u8 = 20;

/// Lays a request out.
pub(crate) fn encode(request: &Request) -> Result<Packet<'_>, WireError> {
    let mut fds = Vec::new();
    let mut writer = begin(tag(request));
    match request {
        Request::Hello { version } => writer.u16(*version),
        Request::Spawn { child, label, spec } => {
            writer.u64(child.0);
            writer.bytes("label", label, MAX_LABEL)?;
            fds.push(spec.as_fd());
        }
        Request::Acknowledge { child }
        | Request::Settled { child }
        | Request::Relieve { child } => writer.u64(child.0),
        Request::Listen { request, owner, address, only_v6, backlog, balance } => {
            writer.u64(*request);
            write_owner(&mut writer, owner)?;
            write_address(&mut writer, address)?;
            writer.bool(*only_v6);
            writer.i32(*backlog);
            writer.u8(balance.code());
        }
        Request::Close { owner, address } => {
            write_owner(&mut writer, owner)?;
            write_address(&mut writer, address)?;
        }
        Request::Release { owner } | Request::Retire { owner } => {
            write_owner(&mut writer, owner)?;
        }
        Request::Slots { request } => writer.u64(*request),
        Request::Hold { name, fd } => {
            writer.bytes("name", name.as_bytes(), MAX_NAME)?;
            fds.push(fd.as_fd());
        }
        Request::Drop { name } => writer.bytes("name", name.as_bytes(), MAX_NAME)?,
        Request::Adopt { child, label, status, listening } => {
            fds = write_kept(&mut writer, child, label, *status, *listening)?;
        }
        Request::Listened { child, address } => write_listened(&mut writer, *child, address)?,
        Request::AdoptSocket { record, socket } => {
            writer.bytes("record", record, MAX_RECORD)?;
            fds.push(socket.as_fd());
        }
        Request::Upgrade { program } => fds.push(program.as_fd()),
        Request::Inventory | Request::Adopted | Request::Snapshot | Request::Shutdown => {}
    }
    Packet::new(writer, fds)
}

fn tag(request: &Request) -> u8 {
    match request {
        Request::Hello { .. } => HELLO,
        Request::Spawn { .. } => SPAWN,
        Request::Acknowledge { .. } => ACKNOWLEDGE,
        Request::Settled { .. } => SETTLED,
        Request::Listen { .. } => LISTEN,
        Request::Close { .. } => CLOSE,
        Request::Release { .. } => RELEASE,
        Request::Retire { .. } => RETIRE,
        Request::Relieve { .. } => RELIEVE,
        Request::Slots { .. } => SLOTS,
        Request::Hold { .. } => HOLD,
        Request::Drop { .. } => DROP,
        Request::Inventory => INVENTORY,
        Request::Adopt { .. } => ADOPT,
        Request::Listened { .. } => LISTENED,
        Request::AdoptSocket { .. } => ADOPT_SOCKET,
        Request::Adopted => ADOPTED,
        Request::Snapshot => SNAPSHOT,
        Request::Upgrade { .. } => UPGRADE,
        Request::Shutdown => SHUTDOWN,
    }
}

/// `Request::Adopt`, straight from what is kept.
pub(crate) fn adopt<'a>(
    child: &'a Child,
    label: &[u8],
    status: Option<ExitStatus>,
    listening: bool,
) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(ADOPT);
    let fds = write_kept(&mut writer, child, label, status, listening)?;
    Packet::new(writer, fds)
}

/// `Request::Listened`.
pub(crate) fn listened<'a>(child: ChildId, address: &Address) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(LISTENED);
    write_listened(&mut writer, child, address)?;
    Packet::new(writer, Vec::new())
}

fn write_listened(writer: &mut Writer, child: ChildId, address: &Address) -> Result<(), WireError> {
    writer.u64(child.0);
    write_address(writer, address)
}

/// `Request::AdoptSocket`.
pub(crate) fn adopt_socket<'a>(
    record: &[u8],
    socket: BorrowedFd<'a>,
) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(ADOPT_SOCKET);
    writer.bytes("record", record, MAX_RECORD)?;
    Packet::new(writer, vec![socket])
}

/// `Request::Retire`.
pub(crate) fn retire<'a>(owner: &Owner) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(RETIRE);
    write_owner(&mut writer, owner)?;
    Packet::new(writer, Vec::new())
}

/// `Request::Relieve`.
pub(crate) fn relieve<'a>(child: ChildId) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(RELIEVE);
    writer.u64(child.0);
    Packet::new(writer, Vec::new())
}

/// `Request::Adopted`.
pub(crate) fn adopted<'a>() -> Result<Packet<'a>, WireError> {
    Packet::new(begin(ADOPTED), Vec::new())
}

/// `Request::Hold`.
pub(crate) fn hold<'a>(name: &str, fd: BorrowedFd<'a>) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(HOLD);
    writer.bytes("name", name.as_bytes(), MAX_NAME)?;
    Packet::new(writer, vec![fd])
}

/// Reads a request; its descriptors are closed if it is none.
pub(crate) fn decode(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Request, WireError> {
    let (tag, mut parcel) = Parcel::open(bytes, fds)?;
    if tag == ADOPT {
        let (child, label, status, listening) = read_kept(&mut parcel)?;
        return parcel.finish(Request::Adopt { child, label, status, listening });
    }
    let reader = &mut parcel.reader;
    let request = match tag {
        HELLO => Request::Hello { version: reader.u16()? },
        SPAWN => Request::Spawn {
            child: read_child(reader)?,
            label: reader.bytes("label", MAX_LABEL)?.to_vec(),
            spec: parcel.fd()?,
        },
        ACKNOWLEDGE => Request::Acknowledge { child: read_child(reader)? },
        SETTLED => Request::Settled { child: read_child(reader)? },
        LISTEN => Request::Listen {
            request: reader.u64()?,
            owner: read_owner(reader)?,
            address: read_address(reader)?,
            only_v6: reader.bool("V6ONLY")?,
            backlog: reader.i32()?,
            balance: Balance::of_code(reader.u8()?)?,
        },
        CLOSE => Request::Close { owner: read_owner(reader)?, address: read_address(reader)? },
        RELEASE => Request::Release { owner: read_owner(reader)? },
        RETIRE => Request::Retire { owner: read_owner(reader)? },
        RELIEVE => Request::Relieve { child: read_child(reader)? },
        SLOTS => Request::Slots { request: reader.u64()? },
        HOLD => Request::Hold { name: reader.text("name", MAX_NAME)?, fd: parcel.fd()? },
        DROP => Request::Drop { name: reader.text("name", MAX_NAME)? },
        INVENTORY => Request::Inventory,
        LISTENED => {
            Request::Listened { child: read_child(reader)?, address: read_address(reader)? }
        }
        ADOPT_SOCKET => Request::AdoptSocket {
            record: reader.bytes("record", MAX_RECORD)?.to_vec(),
            socket: parcel.fd()?,
        },
        ADOPTED => Request::Adopted,
        SNAPSHOT => Request::Snapshot,
        UPGRADE => Request::Upgrade { program: parcel.fd()? },
        SHUTDOWN => Request::Shutdown,
        value => return Err(WireError::Unknown { what: "request", value }),
    };
    parcel.finish(request)
}

//! Events as bytes. The large ones are laid out straight from what the keeper keeps, so that
//! telling them takes no duplicate of a descriptor.

use super::{
    Packet, Parcel,
    balance::{read_fallback, read_slots, write_fallback, write_slots},
    begin,
    parts::{
        read_address, read_child, read_holder, read_owner, read_status, write_address,
        write_holder, write_owner, write_status,
    },
};
use crate::{
    balance::{Balance, Fallback, Slot},
    codec::{Reader, WireError, Writer},
    message::{
        Child, ChildId, Event, ExitStatus, MAX_LABEL, MAX_NAME, MAX_RECORD, Owner, Share,
        SpawnStage,
    },
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest text of an error.
pub(super) const MAX_TEXT: usize = 1024;

const WELCOME: u8 = 1;
const SPAWNED: u8 = 2;
const SPAWN_FAILED: u8 = 3;
const UNFILTERED: u8 = 4;
const EXITED: u8 = 5;
const LISTENING: u8 = 6;
const REFUSED: u8 = 7;
const LISTENER: u8 = 8;
const LISTEN_FAILED: u8 = 9;
const KNOWN: u8 = 10;
const HELD: u8 = 11;
const INVENTORY_END: u8 = 12;
const ERROR: u8 = 13;
const RELEASED: u8 = 14;
const RETIRED: u8 = 20;
const BLOCKED: u8 = 21;
const UNBALANCED: u8 = 22;
const SLOTS: u8 = 23;
const SLOTS_END: u8 = 24;
const SHARED: u8 = 25;
const UNSHARED: u8 = 26;
const SNAPSHOT: u8 = 27;
const NOT_UPGRADED: u8 = 28;
const RELIEVED: u8 = 29;

/// `Event::Spawned`.
pub(crate) fn spawned(child: &Child) -> Result<Packet<'_>, WireError> {
    let mut writer = begin(SPAWNED);
    let fds = write_running(&mut writer, child)?;
    Packet::new(writer, fds)
}

/// `Event::Known`.
pub(crate) fn known<'a>(
    child: &'a Child,
    label: &[u8],
    status: Option<ExitStatus>,
    listening: bool,
) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(KNOWN);
    let fds = write_kept(&mut writer, child, label, status, listening)?;
    Packet::new(writer, fds)
}

/// A child with all that is known of it.
pub(super) fn write_kept<'a>(
    writer: &mut Writer,
    child: &'a Child,
    label: &[u8],
    status: Option<ExitStatus>,
    listening: bool,
) -> Result<Vec<BorrowedFd<'a>>, WireError> {
    let fds = write_running(writer, child)?;
    writer.bytes("label", label, MAX_LABEL)?;
    writer.bool(status.is_some());
    if let Some(status) = status {
        write_status(writer, status);
    }
    writer.bool(listening);
    Ok(fds)
}

/// `Event::Shared`.
pub(crate) fn shared<'a>(
    hold: u64,
    record: &[u8],
    socket: BorrowedFd<'a>,
) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(SHARED);
    writer.u64(hold);
    writer.bytes("record", record, MAX_RECORD)?;
    Packet::new(writer, vec![socket])
}

/// `Event::Exited`.
pub(crate) fn exited(child: ChildId, status: ExitStatus) -> Result<Packet<'static>, WireError> {
    let mut writer = begin(EXITED);
    writer.u64(child.0);
    write_status(&mut writer, status);
    Packet::new(writer, Vec::new())
}

/// `Event::Held`.
pub(crate) fn held<'a>(name: &str, fd: BorrowedFd<'a>) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(HELD);
    writer.bytes("name", name.as_bytes(), MAX_NAME)?;
    Packet::new(writer, vec![fd])
}

/// Lays any event out.
pub(crate) fn encode(event: &Event) -> Result<Packet<'_>, WireError> {
    match event {
        Event::Welcome { version, deaths, crashes, keeper } => small(WELCOME, |writer| {
            writer.u16(*version);
            writer.u32(*deaths);
            writer.u32(*crashes);
            writer.i32(*keeper);
            Ok(())
        }),
        Event::Spawned(child) => spawned(child),
        Event::SpawnFailed { child, stage, errno } => small(SPAWN_FAILED, |writer| {
            writer.u64(child.0);
            writer.u8(stage_code(*stage));
            writer.i32(*errno);
            Ok(())
        }),
        Event::Unfiltered { child, errno } => small(UNFILTERED, |writer| {
            writer.u64(child.0);
            writer.i32(*errno);
            Ok(())
        }),
        Event::Exited { child, status } => exited(*child, *status),
        Event::Listening { child, address } => small(LISTENING, |writer| {
            writer.u64(child.0);
            write_address(writer, address)
        }),
        Event::Refused { child, address, errno, holder } => small(REFUSED, |writer| {
            writer.u64(child.0);
            write_address(writer, address)?;
            write_refusal(writer, *errno, holder.as_ref())
        }),
        Event::Listener { request, fd } => {
            let mut writer = begin(LISTENER);
            writer.u64(*request);
            Packet::new(writer, vec![fd.as_fd()])
        }
        Event::ListenFailed { request, errno, holder } => small(LISTEN_FAILED, |writer| {
            writer.u64(*request);
            write_refusal(writer, *errno, holder.as_ref())
        }),
        Event::Known { child, label, status, listening } => {
            known(child, label, *status, *listening)
        }
        Event::Held { name, fd } => held(name, fd.as_fd()),
        Event::Shared { hold, record, socket } => shared(*hold, record, socket.as_fd()),
        Event::Snapshot { file } => Packet::new(begin(SNAPSHOT), vec![file.as_fd()]),
        Event::NotUpgraded { errno } => not_upgraded(*errno),
        Event::Unshared { hold } => number(UNSHARED, *hold),
        Event::Retired { owner } => small(RETIRED, |writer| write_owner(writer, owner)),
        Event::Relieved { child } => number(RELIEVED, child.0),
        Event::Blocked { owner, blocked, waiting } => small(BLOCKED, |writer| {
            writer.bool(*blocked);
            writer.u32(*waiting);
            write_owner(writer, owner)
        }),
        Event::Unbalanced { app, fallback } => small(UNBALANCED, |writer| {
            write_fallback(writer, *fallback);
            writer.bytes("app", app.as_bytes(), MAX_NAME)
        }),
        Event::Slots { request, app, fallback, slots } => small(SLOTS, |writer| {
            writer.u64(*request);
            write_app_slots(writer, app, *fallback, slots)
        }),
        Event::SlotsEnd { request } => number(SLOTS_END, *request),
        Event::InventoryEnd => small(INVENTORY_END, |_| Ok(())),
        Event::Released => small(RELEASED, |_| Ok(())),
        Event::Error { text } => error(text),
    }
}

fn not_upgraded(errno: i32) -> Result<Packet<'static>, WireError> {
    small(NOT_UPGRADED, |writer| {
        writer.i32(errno);
        Ok(())
    })
}

fn number(tag: u8, number: u64) -> Result<Packet<'static>, WireError> {
    small(tag, |writer| {
        writer.u64(number);
        Ok(())
    })
}

fn error(text: &str) -> Result<Packet<'static>, WireError> {
    let end = text.floor_char_boundary(MAX_TEXT);
    let text = text.get(..end).unwrap_or_default();
    small(ERROR, |writer| writer.bytes("text", text.as_bytes(), MAX_TEXT))
}

fn write_app_slots(
    writer: &mut Writer,
    app: &str,
    fallback: Option<Fallback>,
    slots: &[Slot],
) -> Result<(), WireError> {
    writer.bytes("app", app.as_bytes(), MAX_NAME)?;
    writer.bool(fallback.is_some());
    if let Some(fallback) = fallback {
        write_fallback(writer, fallback);
    }
    write_slots(writer, slots)
}

fn read_app_slots(reader: &mut Reader<'_>) -> Result<Event, WireError> {
    let (request, app) = (reader.u64()?, reader.text("app", MAX_NAME)?);
    let falls_back = reader.bool("fallback")?;
    let fallback = falls_back.then(|| read_fallback(reader)).transpose()?;
    Ok(Event::Slots { request, app, fallback, slots: read_slots(reader)? })
}

fn write_refusal(writer: &mut Writer, errno: i32, holder: Option<&Owner>) -> Result<(), WireError> {
    writer.i32(errno);
    write_holder(writer, holder)
}

/// An event without descriptors.
fn small<'a>(
    tag: u8,
    fill: impl FnOnce(&mut Writer) -> Result<(), WireError>,
) -> Result<Packet<'a>, WireError> {
    let mut writer = begin(tag);
    fill(&mut writer)?;
    Packet::new(writer, Vec::new())
}

pub(super) fn write_running<'a>(
    writer: &mut Writer,
    child: &'a Child,
) -> Result<Vec<BorrowedFd<'a>>, WireError> {
    writer.u64(child.child.0);
    writer.i32(child.pid);
    writer.u64(child.start_time);
    writer.bool(child.channel.is_some());
    writer.bool(child.share.is_some());
    let filter = child.share.as_ref().and_then(|share| share.filter.as_ref());
    if let Some(share) = &child.share {
        write_owner(writer, &share.owner)?;
        writer.u8(share.balance.code());
        writer.bool(filter.is_some());
    }
    let kept = [&child.pidfd, &child.stdout, &child.stderr];
    Ok(kept.into_iter().chain(&child.channel).chain(filter).map(AsFd::as_fd).collect())
}

pub(super) fn read_running(parcel: &mut Parcel<'_>) -> Result<Child, WireError> {
    let child = read_child(&mut parcel.reader)?;
    let (pid, start_time) = (parcel.reader.i32()?, parcel.reader.u64()?);
    let has_channel = parcel.reader.bool("channel")?;
    let shares = parcel.reader.bool("share")?;
    let share = shares.then(|| read_share(&mut parcel.reader)).transpose()?;
    let (pidfd, stdout, stderr) = (parcel.fd()?, parcel.fd()?, parcel.fd()?);
    let channel = has_channel.then(|| parcel.fd()).transpose()?;
    let share = match share {
        Some((owner, balance, true)) => Some(Share { owner, balance, filter: Some(parcel.fd()?) }),
        Some((owner, balance, false)) => Some(Share { owner, balance, filter: None }),
        None => None,
    };
    Ok(Child { child, pid, start_time, pidfd, stdout, stderr, channel, share })
}

/// For whom, how, and whether a filter comes with it.
fn read_share(reader: &mut Reader<'_>) -> Result<(Owner, Balance, bool), WireError> {
    Ok((read_owner(reader)?, Balance::of_code(reader.u8()?)?, reader.bool("filter")?))
}

/// Reads an event; its descriptors are closed if it is none.
pub(crate) fn decode(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Event, WireError> {
    let (tag, mut parcel) = Parcel::open(bytes, fds)?;
    let event = match tag {
        SPAWNED => Event::Spawned(read_running(&mut parcel)?),
        KNOWN => read_known(&mut parcel)?,
        LISTENER => Event::Listener { request: parcel.reader.u64()?, fd: parcel.fd()? },
        SHARED => Event::Shared {
            hold: parcel.reader.u64()?,
            record: parcel.reader.bytes("record", MAX_RECORD)?.to_vec(),
            socket: parcel.fd()?,
        },
        SNAPSHOT => Event::Snapshot { file: parcel.fd()? },
        HELD => Event::Held { name: parcel.reader.text("name", MAX_NAME)?, fd: parcel.fd()? },
        tag => decode_small(tag, &mut parcel)?,
    };
    parcel.finish(event)
}

fn read_known(parcel: &mut Parcel<'_>) -> Result<Event, WireError> {
    let (child, label, status, listening) = read_kept(parcel)?;
    Ok(Event::Known { child, label, status, listening })
}

/// What [`write_kept`] wrote.
pub(super) type KnownParts = (Child, Vec<u8>, Option<ExitStatus>, bool);

pub(super) fn read_kept(parcel: &mut Parcel<'_>) -> Result<KnownParts, WireError> {
    let child = read_running(parcel)?;
    let reader = &mut parcel.reader;
    let label = reader.bytes("label", MAX_LABEL)?.to_vec();
    let ended = reader.bool("ended")?;
    let status = ended.then(|| read_status(reader)).transpose()?;
    Ok((child, label, status, reader.bool("listening")?))
}

fn decode_small(tag: u8, parcel: &mut Parcel<'_>) -> Result<Event, WireError> {
    let reader = &mut parcel.reader;
    Ok(match tag {
        WELCOME => Event::Welcome {
            version: reader.u16()?,
            deaths: reader.u32()?,
            crashes: reader.u32()?,
            keeper: reader.i32()?,
        },
        SPAWN_FAILED => Event::SpawnFailed {
            child: read_child(reader)?,
            stage: stage(reader.u8()?)?,
            errno: reader.i32()?,
        },
        UNFILTERED => Event::Unfiltered { child: read_child(reader)?, errno: reader.i32()? },
        EXITED => Event::Exited { child: read_child(reader)?, status: read_status(reader)? },
        LISTENING => {
            Event::Listening { child: read_child(reader)?, address: read_address(reader)? }
        }
        REFUSED => Event::Refused {
            child: read_child(reader)?,
            address: read_address(reader)?,
            errno: reader.i32()?,
            holder: read_holder(reader)?,
        },
        LISTEN_FAILED => Event::ListenFailed {
            request: reader.u64()?,
            errno: reader.i32()?,
            holder: read_holder(reader)?,
        },
        RETIRED => Event::Retired { owner: read_owner(reader)? },
        RELIEVED => Event::Relieved { child: read_child(reader)? },
        BLOCKED => {
            let (blocked, waiting) = (reader.bool("blocked")?, reader.u32()?);
            Event::Blocked { blocked, waiting, owner: read_owner(reader)? }
        }
        UNBALANCED => {
            let fallback = read_fallback(reader)?;
            Event::Unbalanced { fallback, app: reader.text("app", MAX_NAME)? }
        }
        SLOTS => read_app_slots(reader)?,
        NOT_UPGRADED => Event::NotUpgraded { errno: reader.i32()? },
        UNSHARED => Event::Unshared { hold: reader.u64()? },
        SLOTS_END => Event::SlotsEnd { request: reader.u64()? },
        INVENTORY_END => Event::InventoryEnd,
        RELEASED => Event::Released,
        ERROR => Event::Error { text: reader.text("text", MAX_TEXT)? },
        value => return Err(WireError::Unknown { what: "event", value }),
    })
}

fn stage_code(stage: SpawnStage) -> u8 {
    match stage {
        SpawnStage::Spec => 0,
        SpawnStage::Descriptors => 1,
        SpawnStage::Fork => 2,
        SpawnStage::Directory => 3,
        SpawnStage::Credentials => 4,
        SpawnStage::Limits => 5,
        SpawnStage::Filter => 6,
        SpawnStage::Exec => 7,
        SpawnStage::Listen => 8,
    }
}

fn stage(value: u8) -> Result<SpawnStage, WireError> {
    Ok(match value {
        0 => SpawnStage::Spec,
        1 => SpawnStage::Descriptors,
        2 => SpawnStage::Fork,
        3 => SpawnStage::Directory,
        4 => SpawnStage::Credentials,
        5 => SpawnStage::Limits,
        6 => SpawnStage::Filter,
        7 => SpawnStage::Exec,
        8 => SpawnStage::Listen,
        value => return Err(WireError::Unknown { what: "stage", value }),
    })
}

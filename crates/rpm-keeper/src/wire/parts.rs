//! The parts that several messages have in common.

use crate::{
    codec::{Reader, WireError, Writer},
    message::{Address, ChildId, ExitStatus, MAX_NAME, Owner},
};
use std::{
    ffi::OsString,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

/// The longest path of a socket in a message: that which is bound is much shorter, but it may be
/// given relative to a deep directory.
const MAX_PATH: usize = 1024;

const TCP: u8 = 0;
const UDP: u8 = 1;
const UNIX: u8 = 2;
const V4: u8 = 4;
const V6: u8 = 6;
const CODE: u8 = 0;
const SIGNAL: u8 = 1;
const UNKNOWN: u8 = 2;

pub(super) fn read_child(reader: &mut Reader<'_>) -> Result<ChildId, WireError> {
    reader.u64().map(ChildId)
}

pub(crate) fn write_owner(writer: &mut Writer, owner: &Owner) -> Result<(), WireError> {
    writer.bytes("app", owner.app.as_bytes(), MAX_NAME)?;
    writer.u32(owner.slot);
    Ok(())
}

pub(crate) fn read_owner(reader: &mut Reader<'_>) -> Result<Owner, WireError> {
    Ok(Owner { app: reader.text("app", MAX_NAME)?, slot: reader.u32()? })
}

pub(super) fn write_holder(writer: &mut Writer, holder: Option<&Owner>) -> Result<(), WireError> {
    writer.bool(holder.is_some());
    holder.map_or(Ok(()), |owner| write_owner(writer, owner))
}

pub(super) fn read_holder(reader: &mut Reader<'_>) -> Result<Option<Owner>, WireError> {
    let some = reader.bool("holder")?;
    some.then(|| read_owner(reader)).transpose()
}

pub(crate) fn write_address(writer: &mut Writer, address: &Address) -> Result<(), WireError> {
    match address {
        Address::Tcp(socket) => {
            writer.u8(TCP);
            write_socket(writer, *socket)
        }
        Address::Udp(socket) => {
            writer.u8(UDP);
            write_socket(writer, *socket)
        }
        Address::Unix(path) => {
            writer.u8(UNIX);
            writer.bytes("path", path.as_os_str().as_bytes(), MAX_PATH)
        }
    }
}

pub(crate) fn read_address(reader: &mut Reader<'_>) -> Result<Address, WireError> {
    match reader.u8()? {
        TCP => read_socket(reader).map(Address::Tcp),
        UDP => read_socket(reader).map(Address::Udp),
        UNIX => {
            let bytes = reader.bytes("path", MAX_PATH)?;
            Ok(Address::Unix(PathBuf::from(OsString::from_vec(bytes.to_vec()))))
        }
        value => Err(WireError::Unknown { what: "kind of address", value }),
    }
}

fn write_socket(writer: &mut Writer, address: SocketAddr) -> Result<(), WireError> {
    if address.port() == 0 {
        return Err(WireError::Zero { what: "port" });
    }
    writer.u16(address.port());
    match address {
        SocketAddr::V4(address) => {
            writer.u8(V4);
            writer.raw(&address.ip().octets());
        }
        SocketAddr::V6(address) => {
            writer.u8(V6);
            writer.raw(&address.ip().octets());
            writer.u32(address.flowinfo());
            writer.u32(address.scope_id());
        }
    }
    Ok(())
}

fn read_socket(reader: &mut Reader<'_>) -> Result<SocketAddr, WireError> {
    let port = reader.u16()?;
    if port == 0 {
        return Err(WireError::Zero { what: "port" });
    }
    match reader.u8()? {
        V4 => {
            let ip = Ipv4Addr::from(reader.array::<4>()?);
            Ok(SocketAddrV4::new(ip, port).into())
        }
        V6 => {
            let ip = Ipv6Addr::from(reader.array::<16>()?);
            Ok(SocketAddrV6::new(ip, port, reader.u32()?, reader.u32()?).into())
        }
        value => Err(WireError::Unknown { what: "IP version", value }),
    }
}

pub(super) fn write_status(writer: &mut Writer, status: ExitStatus) {
    match status {
        ExitStatus::Code(code) => {
            writer.u8(CODE);
            writer.i32(code);
        }
        ExitStatus::Signal(signal) => {
            writer.u8(SIGNAL);
            writer.i32(signal);
        }
        ExitStatus::Unknown => writer.u8(UNKNOWN),
    }
}

pub(super) fn read_status(reader: &mut Reader<'_>) -> Result<ExitStatus, WireError> {
    match reader.u8()? {
        CODE => reader.i32().map(ExitStatus::Code),
        SIGNAL => reader.i32().map(ExitStatus::Signal),
        UNKNOWN => Ok(ExitStatus::Unknown),
        value => Err(WireError::Unknown { what: "kind of exit", value }),
    }
}

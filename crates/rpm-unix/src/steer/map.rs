//! The bpf(2) calls: maps of numbered values, and loading a program.

use super::assembler::Instruction;
use crate::syscall::{check, owned};
use std::{
    ffi::CStr,
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr,
};

/// `enum bpf_cmd`.
#[derive(Clone, Copy, Debug)]
enum Command {
    CreateMap = 0,
    Look = 1,
    Update = 2,
    Delete = 3,
    Load = 5,
}

/// `enum bpf_map_type`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Numbers.
    Array = 2,
    /// Sockets of a `SO_REUSEPORT` group; each in one such map at most.
    Sockets = 20,
}

/// `BPF_PROG_TYPE_SK_REUSEPORT`.
const CHOOSES_A_MEMBER: u32 = 21;

/// The parts of `union bpf_attr` that each command reads; the kernel takes what is missing as 0.
#[repr(C)]
struct CreateMap {
    kind: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries: u32,
}

#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log: [u32; 4],
    version: u32,
    flags: u32,
}

/// A map from numbers below `entries` to 64 bits each.
pub(super) fn create(kind: Kind, entries: u32) -> io::Result<OwnedFd> {
    let attributes = CreateMap { kind: kind as u32, key_bytes: 4, value_bytes: 8, entries };
    // SAFETY: CreateMap holds no address.
    owned(unsafe { bpf(Command::CreateMap, &attributes) })
}

/// The value at a key: of a map of sockets the cookie of the one there, or `ENOENT`.
pub(super) fn look(map: BorrowedFd<'_>, key: u32) -> io::Result<u64> {
    let mut value = 0_u64;
    let attributes = element(map, &key, ptr::from_mut(&mut value));
    // SAFETY: the kernel reads four bytes at `key` and writes eight at `value`, as the map was
    // made.
    check(unsafe { bpf(Command::Look, &attributes) })?;
    Ok(value)
}

/// Puts a value at a key: into a map of sockets a descriptor, for which the socket is kept.
pub(super) fn update(map: BorrowedFd<'_>, key: u32, mut value: u64) -> io::Result<()> {
    let attributes = element(map, &key, ptr::from_mut(&mut value));
    // SAFETY: the kernel reads four bytes at `key` and eight at `value`, as the map was made.
    check(unsafe { bpf(Command::Update, &attributes) }).map(drop)
}

/// Empties a key of a map of sockets; `ENOENT` if it is empty.
pub(super) fn delete(map: BorrowedFd<'_>, key: u32) -> io::Result<()> {
    let attributes = element(map, &key, ptr::null_mut());
    // SAFETY: the kernel reads four bytes at `key`, as the map was made.
    check(unsafe { bpf(Command::Delete, &attributes) }).map(drop)
}

/// Loads a program that chooses a member; the kernel proves first that it ends and harms nothing.
pub(super) fn load(code: &[Instruction], license: &CStr) -> io::Result<OwnedFd> {
    let attributes = Load {
        kind: CHOOSES_A_MEMBER,
        instructions: u32::try_from(code.len()).map_err(io::Error::other)?,
        code: address(code.as_ptr()),
        license: address(license.as_ptr()),
        log: [0; 4],
        version: 0,
        flags: 0,
    };
    // SAFETY: `code` names that many instructions and `license` ends with a zero byte; the kernel
    // copies both.
    owned(unsafe { bpf(Command::Load, &attributes) })
}

/// The result has the lifetime of neither reference: it is for a call made while both live.
fn element(map: BorrowedFd<'_>, key: &u32, value: *mut u64) -> Element {
    // A borrowed descriptor is never negative.
    let map = map.as_raw_fd().cast_unsigned();
    Element { map, padding: 0, key: address(key), value: address(value), flags: 0 }
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// # Safety
/// `A` is the part of `union bpf_attr` that the command reads, without padding, and every address
/// in it is valid for what the command reads or writes there.
unsafe fn bpf<A>(command: Command, attributes: &A) -> libc::c_long {
    let (from, length) = (ptr::from_ref(attributes), size_of::<A>());
    // SAFETY: the kernel reads `length` bytes of the attributes; the caller vouches for the rest.
    unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, from, length) }
}

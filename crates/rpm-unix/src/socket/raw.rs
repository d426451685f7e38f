//! The three calls that read and write bytes of the caller's choosing.

use crate::syscall::check;
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Reads an option into `bytes`; says how long it is.
pub(super) fn get_option(
    fd: impl AsFd,
    level: i32,
    name: i32,
    bytes: &mut [u8],
) -> io::Result<usize> {
    let mut length = size(bytes.len())?;
    let (raw, into) = (fd.as_fd().as_raw_fd(), bytes.as_mut_ptr().cast());
    // SAFETY: the kernel writes at most `length` bytes, which is how many there are.
    check(unsafe { libc::getsockopt(raw, level, name, into, &raw mut length) }.into())?;
    usize::try_from(length).map_err(io::Error::other)
}

/// Sets an option.
pub(super) fn set_option(fd: impl AsFd, level: i32, name: i32, bytes: &[u8]) -> io::Result<()> {
    let length = size(bytes.len())?;
    let (raw, from) = (fd.as_fd().as_raw_fd(), bytes.as_ptr().cast());
    // SAFETY: the kernel reads `length` bytes, which is how many there are.
    check(unsafe { libc::setsockopt(raw, level, name, from, length) }.into()).map(drop)
}

/// Reads the address a socket is bound to; says how long it is, which may be more than fits.
pub(super) fn get_name(fd: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = size(bytes.len())?;
    let (raw, into) = (fd.as_fd().as_raw_fd(), bytes.as_mut_ptr().cast());
    // SAFETY: the kernel writes at most `length` bytes. A byte array may be unaligned for sockaddr,
    // which does not matter to the kernel, and nobody reads it as one here.
    check(unsafe { libc::getsockname(raw, into, &raw mut length) }.into())?;
    usize::try_from(length).map_err(io::Error::other)
}

/// An option that is an int.
pub(super) fn get_int(fd: impl AsFd, level: i32, name: i32) -> io::Result<i32> {
    let mut bytes = [0; 4];
    get_option(fd, level, name, &mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// Sets an option that is an int.
pub(super) fn set_int(fd: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_option(fd, level, name, &value.to_ne_bytes())
}

/// An option that is 64 bits.
pub(super) fn get_u64(fd: impl AsFd, level: i32, name: i32) -> io::Result<u64> {
    let mut bytes = [0; 8];
    get_option(fd, level, name, &mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn size(length: usize) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(length).map_err(io::Error::other)
}

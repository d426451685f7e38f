//! The socket options that give a group its program, and take it away.

use super::guest;
use crate::syscall::check;
use libc::{SOL_SOCKET, c_int, c_void, sock_filter};
use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
};

/// asm-generic/socket.h, as on x86 and arm; libc lacks them here.
const SO_ATTACH_REUSEPORT_CBPF: c_int = 51;
const SO_ATTACH_REUSEPORT_EBPF: c_int = 52;
const SO_DETACH_REUSEPORT_BPF: c_int = 68;

/// Leaves the choice to the kernel again: a hash of both addresses and ports over all members. Fine
/// if nothing is attached. Since Linux 5.3.
pub fn detach(member: impl AsFd) -> io::Result<()> {
    let unused: c_int = 0;
    let detach = |fd: BorrowedFd<'_>| set(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused);
    match through_guest(member.as_fd(), detach) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}

/// Attaches a classic program to the group of a member.
pub(super) fn attach_classic(member: BorrowedFd<'_>, code: &[sock_filter]) -> io::Result<()> {
    through_guest(member, |fd| set_program(fd, SO_ATTACH_REUSEPORT_CBPF, code))
}

/// Attaches a loaded program to the group of a member.
pub(super) fn attach_loaded(member: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    set(member, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program.as_raw_fd())
}

/// Ends what [`deafen`] did.
pub fn hear(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &0)?;
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &0)?;
    }
    let unused: c_int = 0;
    match set(socket, SOL_SOCKET, libc::SO_DETACH_FILTER, &unused) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}

/// Lets a TCP socket see no packet: what is sent to it is lost, and sent again. Without
/// `CAP_NET_ADMIN` newer kernels refuse the filter; then packets with the greatest possible
/// lifetime (TTL 255) are still seen, which hardly anybody sends.
pub fn deafen(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    // Packets with a shorter lifetime are dropped (RFC 5082). An IPv6 socket may get IPv4 ones too.
    set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &255)?;
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &255)?;
    }
    let nothing = super::classic::step(libc::BPF_RET | libc::BPF_K, 0);
    match set_program(socket, libc::SO_ATTACH_FILTER, &[nothing]) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
        result => result,
    }
}

/// MPTCP sockets, Go's usual listeners, refuse these options though their groups are ordinary ones.
fn through_guest(
    member: BorrowedFd<'_>,
    act: impl Fn(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<()> {
    match act(member) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            act(guest::join(member, error)?.as_fd())
        }
        result => result,
    }
}

fn set_program(fd: BorrowedFd<'_>, name: c_int, code: &[sock_filter]) -> io::Result<()> {
    let len = u16::try_from(code.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: code.as_ptr().cast_mut() };
    let (from, length) = (ptr::from_ref(&program).cast::<c_void>(), size_of::<libc::sock_fprog>());
    // SAFETY: the option takes a sock_fprog, which names `len` instructions; the kernel copies them
    // and writes nothing.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), SOL_SOCKET, name, from, length as u32) };
    check(result.into()).map(drop)
}

fn set(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &c_int) -> io::Result<()> {
    let (from, length) = (ptr::from_ref(value).cast::<c_void>(), size_of::<c_int>());
    // SAFETY: the kernel reads the int that `value` refers to.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, from, length as u32) };
    check(result.into()).map(drop)
}

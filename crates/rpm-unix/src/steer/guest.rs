//! A way to reach the group of sockets that refuse the options: a plain TCP socket joins it for a
//! moment.
//!
//! The kernel makes an MPTCP listener out of a TCP one, which is what the group consists of, but
//! does not pass the options on (net/mptcp/sockopt.c). The guest joins last and leaves at once,
//! which changes the order of no other member, whoever comes or goes meanwhile. It hears nothing:
//! where no program keeps connections away from it yet, a SYN it is chosen for is lost and comes
//! again after a second, to a member.

use super::option::deafen;
use crate::socket::{
    SocketName, Transport, device, listen, local_name, namespace, only_v6, owner, set_owner,
    set_reuse_port, transport,
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket,
    sockopt::{BindToDevice, Ipv6V6Only},
};
use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
};

/// A socket in the group of a TCP listener; closing it is leaving. `refusal` is the answer where
/// that cannot be: another kind of socket, another network namespace than ours.
pub(super) fn join(member: BorrowedFd<'_>, refusal: io::Error) -> io::Result<OwnedFd> {
    let here = transport(member)? == Some(Transport::Tcp);
    let SocketName::Inet(address) = local_name(member)? else { return Err(refusal) };
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let guest = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if !here || namespace(member) != namespace(&guest) {
        return Err(refusal);
    }
    resemble(&guest, member)?;
    bind(guest.as_raw_fd(), &SockaddrStorage::from(address))?;
    deafen(guest.as_fd(), address.is_ipv6())?;
    listen(&guest, 1)?;
    Ok(guest)
}

/// Whatever decides which group it joins.
fn resemble(guest: &OwnedFd, member: BorrowedFd<'_>) -> io::Result<()> {
    set_reuse_port(guest, true)?;
    if only_v6(member) {
        setsockopt(guest, Ipv6V6Only, &true)?;
    }
    let device = device(member);
    if !device.is_empty() {
        setsockopt(guest, BindToDevice, &OsString::from_vec(device))?;
    }
    let user = owner(member)?;
    if user == owner(guest)? { Ok(()) } else { set_owner(guest, user) }
}

//! Groups of MPTCP listeners, which refuse the options, and the guest that reaches them.

use super::*;
use super::{
    chosen::{meetings, sources},
    order::found,
};
use crate::steer::guest;
use nix::{
    errno::Errno,
    sys::socket::{SockaddrStorage, sockopt::SocketError},
};

const CLIENTS: usize = 40;

/// The kind of socket Go listens on, made by another user where we may; `None` without MPTCP.
fn open_multipath(address: SocketAddr) -> Option<OwnedFd> {
    // SAFETY: three integers.
    let fd = unsafe {
        libc::socket(libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::IPPROTO_MPTCP)
    };
    let fd = crate::syscall::owned(fd.into()).ok()?;
    if nix::unistd::geteuid().is_root() {
        // First of all: the TCP socket inside, made at the first need of it, keeps the owner of
        // then.
        crate::socket::set_owner(&fd, NOBODY).unwrap();
    }
    crate::socket::set_reuse_port(&fd, true).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    crate::socket::listen(&fd, 64).unwrap();
    Some(fd)
}

fn fleet(members: usize) -> Option<Fleet> {
    let Some(first) = open_multipath("[::]:0".parse().unwrap()) else {
        println!("skipped, no MPTCP here");
        return None;
    };
    let SocketName::Inet(address) = local_name(&first).unwrap() else { panic!("no address") };
    let (transport, sockets, group) = (Transport::Tcp, Vec::new(), Group::new());
    let mut fleet = Fleet { transport, address, sockets, group };
    fleet.add(first);
    (1..members).for_each(|_| fleet.add(open_multipath(address).unwrap()));
    Some(fleet)
}

fn guest_of(fleet: &Fleet) -> OwnedFd {
    guest::join(fleet.any().as_fd(), io::ErrorKind::Unsupported.into()).unwrap()
}

#[test]
fn programs_and_the_order_are_as_in_any_group() {
    let Some(mut fleet) = fleet(5) else { return };
    let sources: Vec<_> = sources().collect();
    let all = Program::ip_hash(&fleet.without(&[]));
    assert_eq!(meetings(&fleet, &all, &sources), meetings(&fleet, &all, &sources));

    let guest = guest_of(&fleet);
    fleet.close(1);
    drop(guest);
    assert_eq!(found(&fleet), [0, 4, 2, 3]);
    let guest = guest_of(&fleet);
    fleet.add(open_multipath(fleet.address).unwrap());
    drop(guest);
    assert_eq!(found(&fleet), [0, 4, 2, 3, 5]);
    crate::steer::detach(fleet.any()).unwrap();
    assert_eq!(fleet.count(CLIENTS).iter().sum::<usize>(), CLIENTS);
}

/// Two groups at once: with the filter that only root may set, and without.
#[test]
fn no_client_is_lost_to_the_guest() {
    std::thread::scope(|scope| {
        scope.spawn(meet_beside_a_guest);
        unprivileged(meet_beside_a_guest);
    });
}

fn meet_beside_a_guest() {
    let Some(fleet) = fleet(2) else { return };
    let guest = guest_of(&fleet);
    // Without a program a third of them are the guest's; they wait.
    let to = |ip| SocketAddr::new(ip, fleet.address.port());
    let targets = [to(LOOPBACK), to(LOOPBACK_6)].into_iter().cycle();
    let clients: Vec<_> = targets.take(CLIENTS).map(dial).collect();
    drop(guest);
    for _ in 0..CLIENTS {
        fleet.take();
    }
    for client in &clients {
        assert_eq!(nix::sys::socket::getsockopt(client, SocketError), Ok(0));
    }
}

/// Begins to connect.
fn dial(to: SocketAddr) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, flags, None).unwrap();
    let result = connect(fd.as_raw_fd(), &SockaddrStorage::from(to));
    assert!(matches!(result, Ok(()) | Err(Errno::EINPROGRESS)), "{result:?}");
    fd
}

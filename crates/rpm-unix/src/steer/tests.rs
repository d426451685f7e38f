//! Against the real kernel: groups of sockets on loopback, clients, and who gets whom.

mod chosen;
mod multipath;
mod order;
mod turns;

use super::{Group, Member, Members, Program};
use crate::{
    poll::{Entry, poll},
    socket::{Endpoint, Fresh, SocketName, Transport, local_name, open_listener},
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A loaded machine may be slow, but not that slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// A group, and the mirror of its order; a socket's id and slot is when it was opened.
struct Fleet {
    transport: Transport,
    address: SocketAddr,
    sockets: Vec<Option<OwnedFd>>,
    group: Group<u32>,
}

impl Fleet {
    /// As the keeper makes one: the first socket gets `SO_REUSEPORT` when it serves already (A3).
    fn open(transport: Transport, ip: IpAddr, members: usize) -> Self {
        let (first, address) = open_first(transport, ip);
        crate::socket::set_reuse_port(&first, true).unwrap();
        let mut fleet = Self { transport, address, sockets: Vec::new(), group: Group::new() };
        fleet.add(first);
        (1..members).for_each(|_| fleet.grow());
        fleet
    }

    fn grow(&mut self) {
        self.add(open(self.transport, self.address, true).unwrap());
    }

    fn add(&mut self, socket: OwnedFd) {
        self.group.joined(self.sockets.len() as u32);
        self.sockets.push(Some(socket));
    }

    fn close(&mut self, id: u32) {
        self.sockets[id as usize] = None;
        assert!(self.group.left(id));
    }

    fn socket(&self, id: u32) -> &OwnedFd {
        self.sockets[id as usize].as_ref().unwrap()
    }

    /// Any member.
    fn any(&self) -> &OwnedFd {
        self.sockets.iter().flatten().next().unwrap()
    }

    /// All members but these.
    fn without(&self, ids: &[u32]) -> Members {
        self.group.members(|id| (!ids.contains(&id)).then_some(id)).unwrap()
    }

    fn attach(&self, program: &Program) {
        program.attach(self.any()).unwrap();
    }

    /// Connects, or sends a datagram; says who got it and what the client's address is.
    fn meet_from(&self, source: IpAddr) -> (u32, SocketAddr) {
        let (_client, address) = self.call(source);
        (self.take(), address)
    }

    fn meet(&self) -> u32 {
        let target = self.target(self.address.ip());
        self.meet_from(target).0
    }

    /// How many of that many connections each socket gets.
    fn count(&self, connections: usize) -> Vec<usize> {
        let mut counts = vec![0; self.sockets.len()];
        (0..connections).for_each(|_| counts[self.meet() as usize] += 1);
        counts
    }

    /// A client at `source`, which the kernel has handed to somebody when this returns.
    fn call(&self, source: IpAddr) -> (OwnedFd, SocketAddr) {
        let kind = match self.transport {
            Transport::Tcp => SockType::Stream,
            Transport::Udp => SockType::Datagram,
            Transport::Unix => panic!("no group"),
        };
        let target = SocketAddr::new(self.target(source), self.address.port());
        let client = client(kind, SocketAddr::new(source, 0), target);
        if self.transport == Transport::Udp {
            UdpSocket::from(client.try_clone().unwrap()).send(b"?").unwrap();
        }
        let SocketName::Inet(address) = local_name(&client).unwrap() else { panic!("no address") };
        (client, address)
    }

    /// Where a client at `source` reaches the group.
    fn target(&self, source: IpAddr) -> IpAddr {
        if source.is_ipv4() { LOOPBACK } else { LOOPBACK_6 }
    }

    /// Waits for one client, and takes it.
    fn take(&self) -> u32 {
        let live = || (0..).zip(&self.sockets).filter_map(|(id, fd)| Some((id, fd.as_ref()?)));
        let mut entries: Vec<_> = live().map(|(_, fd)| Entry::readable(fd.as_fd())).collect();
        assert_ne!(poll(&mut entries, Some(PATIENCE)).unwrap(), 0, "nobody was met");
        let ready = |((id, fd), entry): (_, &Entry<'_>)| entry.can_read().then_some((id, fd));
        let (id, fd) = live().zip(&entries).find_map(ready).unwrap();
        let fd: &OwnedFd = fd;
        let fd = fd.try_clone().unwrap();
        match self.transport {
            Transport::Udp => drop(UdpSocket::from(fd).recv(&mut [0; 8]).unwrap()),
            Transport::Tcp | Transport::Unix => drop(TcpListener::from(fd).accept().unwrap()),
        }
        id
    }
}

/// On a port that was asked for: one that the kernel picked is given up at shutdown(2). It is below
/// those the kernel picks, so that no client has it, and below those of the end-to-end tests, which
/// are handed out some time before they are bound.
fn open_first(transport: Transport, ip: IpAddr) -> (OwnedFd, SocketAddr) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = std::process::id() as u16 % 100 * 100;
    for _ in 0..1000 {
        let port = 9_000 + offset + NEXT.fetch_add(1, Ordering::Relaxed) % 1000;
        let address = SocketAddr::new(ip, port);
        match open(transport, address, false) {
            Ok(socket) => return (socket, address),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE)),
        }
    }
    panic!("no free port")
}

fn open(transport: Transport, address: SocketAddr, reuse_port: bool) -> io::Result<OwnedFd> {
    let endpoint = match transport {
        Transport::Udp => Endpoint::Udp(address),
        Transport::Tcp | Transport::Unix => Endpoint::Tcp(address),
    };
    open_listener(&endpoint, &Fresh { reuse_port, ..Fresh::default() })
}

fn client(kind: SockType, from: SocketAddr, to: SocketAddr) -> OwnedFd {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(from)).unwrap();
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
    fd
}

/// Somebody else than root.
const NOBODY: u32 = 65534;

/// Runs as a user without any privilege.
fn unprivileged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !nix::unistd::geteuid().is_root() {
        return work();
    }
    let nobody = libc::c_long::from(NOBODY);
    let drop_then_work = || {
        // SAFETY: three integers. The raw call changes this thread only (the C library's would
        // change all), which ends after its work.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
        assert_eq!(result, 0);
        work()
    };
    std::thread::scope(|scope| scope.spawn(drop_then_work).join().unwrap())
}

//! Fresh listening sockets, for addresses that rpm itself binds.

use super::{Transport, listen, raw::set_int, set_owner, set_reuse_port};
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, open},
    sys::{
        socket::{
            AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, UnixAddr, bind, connect,
            socket,
        },
        stat::Mode,
    },
    unistd::fchownat,
};
use std::{
    fs::File,
    io,
    net::SocketAddr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// Where a socket can be bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A UDP address.
    Udp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

/// How to make a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// `IPV6_V6ONLY`, for an IPv6 address.
    pub only_v6: bool,
    /// `SO_REUSEPORT`, before bind; not for unix sockets.
    pub reuse_port: bool,
    /// As for [`listen`]; not for UDP.
    pub backlog: i32,
    /// Whose it is to be, before bind: sockets of one port must be one user's (traps B3). `None`:
    /// the caller's. For root only.
    pub owner: Option<u32>,
    /// A TCP socket that hears nothing, from before its listen, until [`crate::steer::hear`].
    pub deaf: bool,
}

/// A new socket, bound and (but for UDP) listening, blocking, closing at exec. TCP sockets have
/// `SO_REUSEADDR`, as every server's do, so that connections in TIME_WAIT do not refuse the port.
pub fn open_listener(endpoint: &Endpoint, fresh: &Fresh) -> io::Result<OwnedFd> {
    match endpoint {
        Endpoint::Tcp(address) => {
            let fd = open_inet(*address, SockType::Stream, fresh)?;
            set_int(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
            bind_inet(&fd, *address)?;
            if fresh.deaf {
                crate::steer::deafen(std::os::fd::AsFd::as_fd(&fd), address.is_ipv6())?;
            }
            listen(&fd, fresh.backlog)?;
            Ok(fd)
        }
        Endpoint::Udp(address) => {
            let fd = open_inet(*address, SockType::Datagram, fresh)?;
            bind_inet(&fd, *address)?;
            Ok(fd)
        }
        Endpoint::Unix(path) => open_unix(path, fresh),
    }
}

/// Whether nobody serves this path, though a socket file is there. Does not wait.
pub fn is_dead_path(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(fd) = socket(AddressFamily::Unix, SockType::Stream, flags, None) else { return false };
    let Ok(address) = UnixAddr::new(path) else { return false };
    connect(fd.as_raw_fd(), &address) == Err(Errno::ECONNREFUSED)
}

fn open_inet(address: SocketAddr, kind: SockType, fresh: &Fresh) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if address.is_ipv6() {
        set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, fresh.only_v6.into())?;
    }
    if let Some(owner) = fresh.owner {
        set_owner(&fd, owner)?;
    }
    if fresh.reuse_port {
        set_reuse_port(&fd, true)?;
    }
    Ok(fd)
}

fn open_unix(path: &Path, fresh: &Fresh) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    if let Some(owner) = fresh.owner {
        give_path(path, owner)?;
    }
    listen(&fd, fresh.backlog)?;
    Ok(fd)
}

/// Who may connect is decided by the file. It is held while it is looked at, and must be a socket
/// of one name: in a directory of somebody else's it may be any other file by now.
fn give_path(path: &Path, owner: u32) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.file_type().is_socket() || found.nlink() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(fchownat(&file, c"", Some(owner.into()), None, AtFlags::AT_EMPTY_PATH)?)
}

fn bind_inet(fd: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(address) => bind(fd.as_raw_fd(), &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?,
    }
    Ok(())
}

impl Endpoint {
    /// Which kind of socket is bound there.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) => Transport::Tcp,
            Self::Udp(_) => Transport::Udp,
            Self::Unix(_) => Transport::Unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{SocketName, accept_queue, is_listening, local_name, only_v6, transport};

    fn any_port(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 0)
    }

    #[test]
    fn each_kind_is_bound_where_it_was_asked_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let bytes = path.clone().into_os_string().into_encoded_bytes();
        let (v4, v6) = (any_port("127.0.0.1"), any_port("::1"));
        let table = [
            (Endpoint::Tcp(v4), SocketName::Inet(v4)),
            (Endpoint::Tcp(v6), SocketName::Inet(v6)),
            (Endpoint::Udp(v4), SocketName::Inet(v4)),
            (Endpoint::Unix(path), SocketName::Path(bytes)),
        ];
        let fresh = Fresh { only_v6: true, reuse_port: true, ..Fresh::default() };
        for (endpoint, expected) in table {
            let fd = open_listener(&endpoint, &fresh).unwrap();
            let name = match local_name(&fd).unwrap() {
                SocketName::Inet(address) if address.port() != 0 => {
                    SocketName::Inet(SocketAddr::new(address.ip(), 0))
                }
                name => name,
            };
            assert_eq!(name, expected);
            assert_eq!(transport(&fd).unwrap(), Some(endpoint.transport()));
            let listens = endpoint.transport() != Transport::Udp;
            assert_eq!(is_listening(&fd).unwrap(), listens, "{endpoint:?}");
            assert_eq!(only_v6(&fd), endpoint == Endpoint::Tcp(v6), "{endpoint:?}");
        }
    }

    #[test]
    fn a_path_is_dead_when_its_server_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        assert!(!is_dead_path(&path));
        let fd = open_listener(&Endpoint::Unix(path.clone()), &Fresh::default()).unwrap();
        assert!(!is_dead_path(&path));
        std::fs::remove_file(&path).unwrap();
        // As good as a server that was killed, and no fork of another test can keep it alive.
        let flags = SockFlag::SOCK_CLOEXEC;
        let silent = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        bind(silent.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        assert!(is_dead_path(&path));
        drop(fd);
    }

    #[test]
    fn backlog_zero_is_the_systems_maximum() {
        let endpoint = Endpoint::Tcp(any_port("127.0.0.1"));
        let fd = open_listener(&endpoint, &Fresh::default()).unwrap();
        let maximum = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        assert_eq!(accept_queue(&fd).unwrap().limit, maximum.trim().parse::<u32>().unwrap());
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::Tcp(taken.local_addr().unwrap());
        for reuse_port in [false, true] {
            let fresh = Fresh { reuse_port, ..Fresh::default() };
            let error = open_listener(&endpoint, &fresh).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
        }
    }

    /// Whether a second socket of the port is possible for each owner of a first.
    #[test]
    fn sockets_of_one_port_are_one_users() {
        if !nix::unistd::Uid::effective().is_root() {
            return;
        }
        let opened = |at: SocketAddr, owner| {
            let fresh = Fresh { reuse_port: true, owner, ..Fresh::default() };
            open_listener(&Endpoint::Tcp(at), &fresh)
        };
        let first = opened(([127, 0, 0, 1], 0).into(), Some(65_534)).unwrap();
        assert_eq!(crate::socket::owner(&first).unwrap(), 65_534);
        let SocketName::Inet(at) = local_name(&first).unwrap() else { panic!("no address") };
        assert_eq!(opened(at, None).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        opened(at, Some(65_534)).unwrap();
    }

    #[test]
    fn the_file_of_a_path_is_its_owners() {
        if !nix::unistd::Uid::effective().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let fresh = Fresh { owner: Some(65_534), ..Fresh::default() };
        let _open = open_listener(&Endpoint::Unix(path.clone()), &fresh).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().uid(), 65_534);
    }
}

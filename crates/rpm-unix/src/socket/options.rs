//! What a socket is, and the options that decide who may share its address.

use super::raw::{get_int, get_option, get_u64, set_int};
use libc::SOL_SOCKET;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::socket::SockaddrStorage,
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// asm-generic/socket.h; libc lacks both.
const SO_COOKIE: i32 = 57;
const SO_NETNS_COOKIE: i32 = 71;

/// The kinds of socket that are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP, and MPTCP, which Go uses for its listeners.
    Tcp,
    /// UDP.
    Udp,
    /// A unix stream socket.
    Unix,
}

/// What kind of socket it is; `None`: another one. An error means that it is no socket.
pub fn transport(fd: impl AsFd) -> io::Result<Option<Transport>> {
    let domain = get_int(&fd, SOL_SOCKET, libc::SO_DOMAIN)?;
    let kind = get_int(&fd, SOL_SOCKET, libc::SO_TYPE)?;
    let protocol = get_int(&fd, SOL_SOCKET, libc::SO_PROTOCOL)?;
    Ok(match (domain, kind, protocol) {
        (libc::AF_UNIX, libc::SOCK_STREAM, _) => Some(Transport::Unix),
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP) => {
            Some(Transport::Tcp)
        }
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_MPTCP) => {
            Some(Transport::Tcp)
        }
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP) => {
            Some(Transport::Udp)
        }
        _ => None,
    })
}

/// A number no other socket of this boot has or will have.
pub fn cookie(fd: impl AsFd) -> io::Result<u64> {
    get_u64(fd, SOL_SOCKET, SO_COOKIE)
}

/// A number for the socket's network namespace; 0 where the kernel (before 5.14) does not tell.
pub fn namespace(fd: impl AsFd) -> u64 {
    get_u64(fd, SOL_SOCKET, SO_NETNS_COOKIE).unwrap_or(0)
}

/// Whether it accepts connections.
pub fn is_listening(fd: impl AsFd) -> io::Result<bool> {
    Ok(get_int(fd, SOL_SOCKET, libc::SO_ACCEPTCONN)? != 0)
}

/// Whether it is connected to somebody.
pub fn has_peer(fd: impl AsFd) -> bool {
    nix::sys::socket::getpeername::<SockaddrStorage>(fd.as_fd().as_raw_fd()).is_ok()
}

/// `SO_REUSEPORT`.
pub fn reuse_port(fd: impl AsFd) -> io::Result<bool> {
    Ok(get_int(fd, SOL_SOCKET, libc::SO_REUSEPORT)? != 0)
}

/// Sets or clears `SO_REUSEPORT`; also on a bound or listening socket it opens its address to
/// others of the same owner.
pub fn set_reuse_port(fd: impl AsFd, on: bool) -> io::Result<()> {
    set_int(fd, SOL_SOCKET, libc::SO_REUSEPORT, on.into())
}

/// Sets `SO_REUSEADDR`: others that have it set may bind the address once this one does not listen.
pub(super) fn set_reuse_address(fd: impl AsFd) -> io::Result<()> {
    set_int(fd, SOL_SOCKET, libc::SO_REUSEADDR, 1)
}

/// `IPV6_V6ONLY`; false for any other family.
pub fn only_v6(fd: impl AsFd) -> bool {
    get_int(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY).is_ok_and(|value| value != 0)
}

/// The interface of `SO_BINDTODEVICE`; empty: none.
pub fn device(fd: impl AsFd) -> Vec<u8> {
    let mut name = [0; libc::IFNAMSIZ];
    let length = get_option(fd, SOL_SOCKET, libc::SO_BINDTODEVICE, &mut name).unwrap_or(0);
    let name = name.get(..length).unwrap_or(&name);
    name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// Whether calls on it return `EAGAIN` in place of waiting; shared by all duplicates.
pub fn is_nonblocking(fd: impl AsFd) -> io::Result<bool> {
    Ok(OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?).contains(OFlag::O_NONBLOCK))
}

/// The user whose sockets it can share an address with.
pub fn owner(fd: impl AsFd) -> io::Result<u32> {
    Ok(nix::sys::stat::fstat(fd)?.st_uid)
}

/// Gives it to another user; for root only (traps B3).
pub fn set_owner(fd: impl AsFd, user: u32) -> io::Result<()> {
    Ok(nix::unistd::fchown(fd, Some(user.into()), None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    #[test]
    fn kinds_are_told_apart() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (unix, _other) = UnixStream::pair().unwrap();
        let (datagram, _other) = UnixDatagram::pair().unwrap();
        assert_eq!(transport(&tcp).unwrap(), Some(Transport::Tcp));
        assert_eq!(transport(&udp).unwrap(), Some(Transport::Udp));
        assert_eq!(transport(&unix).unwrap(), Some(Transport::Unix));
        assert_eq!(transport(&datagram).unwrap(), None);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(transport(&file).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
    }

    #[test]
    fn a_duplicate_is_the_same_socket() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(cookie(&tcp).unwrap(), cookie(tcp.try_clone().unwrap()).unwrap());
        assert_ne!(cookie(&tcp).unwrap(), cookie(&other).unwrap());
        assert_eq!(namespace(&tcp), namespace(&other));
        assert_eq!(device(&tcp), b"");
        assert!(!has_peer(&tcp));
        let client = std::net::TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        assert!(has_peer(&client));
    }

    #[test]
    fn an_address_is_opened_after_bind_and_listen() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        assert!(!reuse_port(&first).unwrap() && is_listening(&first).unwrap());
        set_reuse_port(&first, true).unwrap();
        let fresh = super::super::Fresh { reuse_port: true, ..Default::default() };
        let endpoint = super::super::Endpoint::Tcp(address);
        let second = super::super::open_listener(&endpoint, &fresh).unwrap();
        assert!(reuse_port(&second).unwrap() && is_listening(&second).unwrap());
    }
}

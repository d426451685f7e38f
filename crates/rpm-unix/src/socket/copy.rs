//! Making one socket like another, before it takes the other's place (traps B4).

use super::{
    options::{Transport, is_nonblocking},
    raw::{get_option, set_option},
};
use libc::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET};
use std::{io, os::fd::AsFd};

/// How a value read from one socket is written to another.
#[derive(Clone, Copy)]
enum Writing {
    /// As it is.
    Same,
    /// Halved: the kernel doubles buffer sizes (socket(7)).
    Halved,
}

use Writing::{Halved, Same};

/// Options that a server may set before `bind`. `SO_REUSEPORT`, `IPV6_V6ONLY` and
/// `SO_BINDTODEVICE` are not among them: they are part of what an address is.
const ANY: &[(i32, i32, Writing)] = &[
    (SOL_SOCKET, libc::SO_REUSEADDR, Same),
    (SOL_SOCKET, libc::SO_KEEPALIVE, Same),
    (SOL_SOCKET, libc::SO_LINGER, Same),
    (SOL_SOCKET, libc::SO_RCVBUF, Halved),
    (SOL_SOCKET, libc::SO_SNDBUF, Halved),
    (SOL_SOCKET, libc::SO_RCVTIMEO, Same),
    (SOL_SOCKET, libc::SO_SNDTIMEO, Same),
    (SOL_SOCKET, libc::SO_PRIORITY, Same),
    (SOL_SOCKET, libc::SO_MARK, Same),
    (SOL_SOCKET, libc::SO_TIMESTAMP, Same),
];
const UNIX: &[(i32, i32, Writing)] = &[(SOL_SOCKET, libc::SO_PASSCRED, Same)];
const INET: &[(i32, i32, Writing)] = &[
    (IPPROTO_IP, libc::IP_TOS, Same),
    (IPPROTO_IP, libc::IP_TTL, Same),
    (IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, Same),
    (IPPROTO_IPV6, libc::IPV6_TCLASS, Same),
];
const TCP: &[(i32, i32, Writing)] = &[
    (IPPROTO_TCP, libc::TCP_NODELAY, Same),
    (IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, Same),
    (IPPROTO_TCP, libc::TCP_KEEPIDLE, Same),
    (IPPROTO_TCP, libc::TCP_KEEPINTVL, Same),
    (IPPROTO_TCP, libc::TCP_KEEPCNT, Same),
    (IPPROTO_TCP, libc::TCP_USER_TIMEOUT, Same),
    (IPPROTO_TCP, libc::TCP_FASTOPEN, Same),
];
const UDP: &[(i32, i32, Writing)] = &[
    (SOL_SOCKET, libc::SO_BROADCAST, Same),
    (IPPROTO_IP, libc::IP_PKTINFO, Same),
    (IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, Same),
];

/// Gives `to` the options of `from` where they differ; with `blocking`, `O_NONBLOCK` too. An option
/// that one of them does not have, or that may not be set, is left.
pub fn copy_options(
    from: impl AsFd,
    to: impl AsFd,
    transport: Transport,
    blocking: bool,
) -> io::Result<()> {
    let more: [&[_]; 2] = match transport {
        Transport::Tcp => [INET, TCP],
        Transport::Udp => [INET, UDP],
        Transport::Unix => [UNIX, &[]],
    };
    for (level, name, writing) in ANY.iter().chain(more.into_iter().flatten()) {
        copy(&from, &to, *level, *name, *writing);
    }
    if blocking {
        crate::fd::set_nonblocking(to, is_nonblocking(from)?)?;
    }
    Ok(())
}

fn copy(from: impl AsFd, to: impl AsFd, level: i32, name: i32, writing: Writing) {
    let (Some(wanted), Some(present)) = (get(from, level, name), get(&to, level, name)) else {
        return;
    };
    if wanted == present {
        return;
    }
    let value = match writing {
        Same => wanted,
        Halved => halved(&wanted),
    };
    // Refused where it needs a privilege (SO_MARK): then the server has one we lack, and the
    // socket keeps what it had.
    let _ = set_option(to, level, name, &value);
}

fn get(fd: impl AsFd, level: i32, name: i32) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 16];
    let length = get_option(fd, level, name, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

fn halved(bytes: &[u8]) -> Vec<u8> {
    let value = bytes.first_chunk().map_or(0, |chunk| i32::from_ne_bytes(*chunk));
    (value / 2).to_ne_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::raw::{get_int, set_int};
    use std::net::TcpListener;

    #[test]
    fn what_differs_is_copied_and_reuse_port_is_not() {
        let from = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = TcpListener::bind("127.0.0.1:0").unwrap();
        set_int(&from, SOL_SOCKET, libc::SO_KEEPALIVE, 1).unwrap();
        set_int(&from, SOL_SOCKET, libc::SO_RCVBUF, 20_000).unwrap();
        set_int(&from, SOL_SOCKET, libc::SO_REUSEPORT, 1).unwrap();
        set_int(&from, IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 3).unwrap();
        set_option(&from, SOL_SOCKET, libc::SO_LINGER, &[1, 0, 0, 0, 5, 0, 0, 0]).unwrap();
        from.set_nonblocking(true).unwrap();
        copy_options(&from, &to, Transport::Tcp, false).unwrap();
        assert!(!is_nonblocking(&to).unwrap());
        copy_options(&from, &to, Transport::Tcp, true).unwrap();
        assert!(is_nonblocking(&to).unwrap());
        for (level, name, _) in ANY.iter().chain(INET).chain(TCP) {
            assert_eq!(get(&from, *level, *name), get(&to, *level, *name), "{level} {name}");
        }
        assert_eq!(get_int(&to, SOL_SOCKET, libc::SO_REUSEPORT).unwrap(), 0);
    }
}

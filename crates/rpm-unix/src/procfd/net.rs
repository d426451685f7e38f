//! Who listens on an address: `/proc/net/{tcp,tcp6,udp,udp6,unix}` tell the inode, and a walk over
//! all processes its holder.

use super::sockets_of;
use crate::{procfs::processes, socket::Endpoint};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
};

/// A process that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: i32,
    /// Its command, as `/proc/PID/comm` has it: at most 15 characters.
    pub command: String,
}

/// Socket states of include/net/tcp_states.h, as printed: a TCP listener, and an unconnected UDP
/// socket, which has the number of a closed one.
pub(super) const TCP_LISTEN: &str = "0A";
const UDP_UNCONNECTED: &str = "07";

/// A process that listens on this address, or on one that overlaps it (`0.0.0.0` and `127.0.0.1`).
/// `None` if there is none, or it is another user's and may not be seen. Only sockets of the
/// caller's own network namespace are known.
pub fn listener_holder(endpoint: &Endpoint) -> Option<Holder> {
    let inodes = listeners(endpoint);
    if inodes.is_empty() {
        return None;
    }
    processes().unwrap_or_default().into_iter().find_map(|process| {
        let mut sockets = sockets_of(process.pid).ok()?;
        let holder = || Holder { pid: process.pid, command: command(process.pid) };
        sockets.any(|(inode, _)| inodes.contains(&inode)).then(holder)
    })
}

/// A process that listens on this TCP port, whatever the address: its id and command.
pub fn port_holder(port: u16) -> Option<(i32, String)> {
    let anywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let holder = listener_holder(&Endpoint::Tcp(anywhere))?;
    Some((holder.pid, holder.command))
}

/// Whether anybody listens on this address or one that overlaps it.
pub fn is_taken(endpoint: &Endpoint) -> bool {
    !listeners(endpoint).is_empty()
}

/// The inodes of the sockets that listen there.
fn listeners(endpoint: &Endpoint) -> Vec<u64> {
    let read = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let inet = |names: [&str; 2], state: &str, address: SocketAddr| {
        let texts = names.map(read);
        let rows = texts.iter().flat_map(|text| text.lines());
        rows.filter_map(|row| inet_row(row, state, address)).collect()
    };
    match endpoint {
        Endpoint::Tcp(address) => inet(["tcp", "tcp6"], TCP_LISTEN, *address),
        Endpoint::Udp(address) => inet(["udp", "udp6"], UDP_UNCONNECTED, *address),
        Endpoint::Unix(path) => {
            let bytes = fs::read("/proc/net/unix").unwrap_or_default();
            let rows = bytes.split(|byte| *byte == b'\n');
            rows.filter_map(|row| unix_row(row, path.as_os_str().as_bytes())).collect()
        }
    }
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`
fn inet_row(row: &str, state: &str, wanted: SocketAddr) -> Option<u64> {
    let mut fields = row.split_ascii_whitespace();
    let local = local_address(fields.nth(1)?)?;
    let matches = fields.nth(1)? == state
        && local.port() == wanted.port()
        && overlap(local.ip(), wanted.ip());
    let inode = fields.nth(5)?.parse().ok()?;
    matches.then_some(inode)
}

/// `Num RefCount Protocol Flags Type St Inode Path`; the path may hold spaces. Flag 0x10000 is
/// `__SO_ACCEPTCON`: it listens.
fn unix_row(row: &[u8], path: &[u8]) -> Option<u64> {
    let row = row.strip_suffix(path)?.strip_suffix(b" ")?;
    let mut fields = std::str::from_utf8(row).ok()?.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let inode = fields.nth(2)?.parse().ok()?;
    (flags & 0x1_0000 != 0 && fields.next().is_none()).then_some(inode)
}

/// Addresses are printed as 32-bit words in hexadecimal, each in the machine's own byte order.
pub(super) fn local_address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(words.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match words.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (at, four) in octets.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Whether a connection could be meant for either. `::` may be IPv6 only; here it counts as both.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    let dual = |ip: IpAddr| ip.is_unspecified() && ip.is_ipv6();
    let wild = one.is_unspecified() || other.is_unspecified();
    one == other || dual(one) || dual(other) || (wild && one.is_ipv4() == other.is_ipv4())
}

fn command(pid: i32) -> String {
    let text = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, net::UdpSocket, os::unix::net::UnixListener};

    #[test]
    fn addresses_are_read_as_the_kernel_prints_them() {
        let table = [
            ("0100007F:1F90", Some("127.0.0.1:8080")),
            ("00000000000000000000000001000000:0050", Some("[::1]:80")),
            ("0000000000000000FFFF00000100007F:0050", Some("[::ffff:127.0.0.1]:80")),
            ("0100007F", None),
            ("0100007:1F90", None),
            ("0100007F:1F901", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(local_address(text), expected, "{text}");
        }
    }

    #[test]
    fn wildcards_overlap_what_they_cover() {
        let table = [
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("::", "127.0.0.1", true),
            ("::", "::1", true),
            ("::1", "::2", false),
            ("0.0.0.0", "::1", false),
            ("::ffff:1.2.3.4", "1.2.3.4", true),
        ];
        for (one, other, expected) in table {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn unix_rows_are_matched_by_their_whole_path() {
        let row = b"00000000aa: 00000002 00000000 00010000 0001 01 4711 /run/a b.sock";
        assert_eq!(unix_row(row, b"/run/a b.sock"), Some(4711));
        assert_eq!(unix_row(row, b"b.sock"), None);
        assert_eq!(unix_row(row, b"/run/a"), None);
        let connected = b"00000000aa: 00000002 00000000 00000000 0001 03 4711 /run/a b.sock";
        assert_eq!(unix_row(connected, b"/run/a b.sock"), None);
    }

    /// This process, or a fork of it by another test that has not executed its program yet.
    fn is_ours(pid: i32) -> bool {
        let us = std::process::id() as i32;
        pid == us || crate::procfs::process(pid).is_none_or(|process| process.ppid == us)
    }

    #[test]
    fn a_holder_is_found_for_each_kind() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let _unix = UnixListener::bind(&path).unwrap();
        let endpoints = [
            Endpoint::Tcp(tcp.local_addr().unwrap()),
            Endpoint::Udp(udp.local_addr().unwrap()),
            Endpoint::Unix(path),
        ];
        for endpoint in &endpoints {
            assert!(is_ours(listener_holder(endpoint).unwrap().pid), "{endpoint:?}");
        }
        let port = tcp.local_addr().unwrap().port();
        assert!(is_ours(port_holder(port).unwrap().0));
        assert!(endpoints.iter().all(is_taken));
        assert!(!command(std::process::id() as i32).is_empty());
    }

    #[test]
    fn nobody_has_what_is_not_bound() {
        let nowhere = "192.0.2.1:1".parse().unwrap();
        for endpoint in [Endpoint::Udp(nowhere), Endpoint::Unix("/nowhere/a.sock".into())] {
            assert_eq!(listener_holder(&endpoint), None, "{endpoint:?}");
            assert!(!is_taken(&endpoint), "{endpoint:?}");
        }
    }
}

//! Socket addresses as bytes: those a program hands to `bind`, and those the kernel tells.

use super::raw;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsFd,
};

/// An address we know what to do with, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketName {
    /// IPv4 or IPv6; port 0 means unbound, or any.
    Inet(SocketAddr),
    /// A path in the file system as the program gave it, maybe relative; never empty.
    Path(Vec<u8>),
    /// Any other family, an abstract or unnamed unix socket, or bytes that are no address.
    Other,
}

/// sizeof(sockaddr_in), and the least of a sockaddr_in6 the kernel takes (SIN6_LEN_RFC2133).
const INET_BYTES: usize = 16;
const INET6_BYTES: usize = 24;

impl SocketName {
    /// Reads a sockaddr; bytes beyond it are ignored, as the kernel does.
    pub fn parse(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or(Self::Other)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let family = u16::from_ne_bytes(bytes.first_chunk().copied()?);
        match i32::from(family) {
            libc::AF_INET => inet(bytes),
            libc::AF_INET6 => inet6(bytes),
            libc::AF_UNIX => path(bytes),
            _ => None,
        }
    }
}

/// Where a socket is bound.
pub fn local_name(fd: impl AsFd) -> io::Result<SocketName> {
    let mut bytes = [0; 128];
    let length = raw::get_name(fd, &mut bytes)?;
    Ok(SocketName::parse(bytes.get(..length).unwrap_or(&bytes)))
}

fn inet(bytes: &[u8]) -> Option<SocketName> {
    let bytes = bytes.get(..INET_BYTES)?;
    let address = Ipv4Addr::from(chunk::<4>(bytes, 4)?);
    Some(SocketName::Inet(SocketAddrV4::new(address, port(bytes)?).into()))
}

fn inet6(bytes: &[u8]) -> Option<SocketName> {
    let address = Ipv6Addr::from(chunk::<16>(bytes.get(..INET6_BYTES)?, 8)?);
    let scope = chunk::<4>(bytes, 24).map_or(0, u32::from_ne_bytes);
    // The scope only means something for link-local addresses; elsewhere programs leave rubbish.
    let scope = if address.is_unicast_link_local() { scope } else { 0 };
    Some(SocketName::Inet(SocketAddrV6::new(address, port(bytes)?, 0, scope).into()))
}

/// A path ends at its NUL or at the end; one that begins with NUL is abstract.
fn path(bytes: &[u8]) -> Option<SocketName> {
    let name = bytes.get(2..)?.split(|byte| *byte == 0).next()?;
    if name.is_empty() { None } else { Some(SocketName::Path(name.to_vec())) }
}

fn port(bytes: &[u8]) -> Option<u16> {
    chunk::<2>(bytes, 2).map(u16::from_be_bytes)
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, os::unix::net::UnixListener};

    fn sockaddr(family: i32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(family).unwrap().to_ne_bytes().to_vec();
        bytes.extend_from_slice(rest);
        bytes
    }

    fn v4(rest: &[u8]) -> SocketName {
        SocketName::parse(&sockaddr(libc::AF_INET, rest))
    }

    #[test]
    fn ipv4_needs_all_its_bytes() {
        let whole = [0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let expected = SocketName::Inet("127.0.0.1:8080".parse().unwrap());
        assert_eq!(v4(&whole), expected);
        assert_eq!(v4(&[&whole[..], &[9; 112]].concat()), expected);
        assert_eq!(v4(&whole[..13]), SocketName::Other);
    }

    #[test]
    fn ipv6_may_lack_its_scope_and_keeps_it_only_for_link_local() {
        let mut rest = vec![0, 80, 1, 2, 3, 4];
        rest.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
        let short = SocketName::parse(&sockaddr(libc::AF_INET6, &rest));
        assert_eq!(short, SocketName::Inet("[::1]:80".parse().unwrap()));
        rest.extend_from_slice(&7u32.to_ne_bytes());
        let rubbish = SocketName::parse(&sockaddr(libc::AF_INET6, &rest));
        assert_eq!(rubbish, SocketName::Inet("[::1]:80".parse().unwrap()));
        rest[6..8].copy_from_slice(&[0xfe, 0x80]);
        let scoped = SocketName::parse(&sockaddr(libc::AF_INET6, &rest));
        assert_eq!(scoped, SocketName::Inet("[fe80::1%7]:80".parse().unwrap()));
        let cut = SocketName::parse(&sockaddr(libc::AF_INET6, &rest[..21]));
        assert_eq!(cut, SocketName::Other);
    }

    #[test]
    fn unix_paths_end_at_nul_and_abstract_names_are_other() {
        let parse = |rest: &[u8]| SocketName::parse(&sockaddr(libc::AF_UNIX, rest));
        assert_eq!(parse(b"/run/a\0rest"), SocketName::Path(b"/run/a".to_vec()));
        assert_eq!(parse(b"a.sock"), SocketName::Path(b"a.sock".to_vec()));
        assert_eq!(parse(b"\0abstract"), SocketName::Other);
        assert_eq!(parse(b""), SocketName::Other);
    }

    #[test]
    fn rubbish_is_other() {
        for bytes in [&[][..], &[1], &sockaddr(libc::AF_NETLINK, &[0; 10]), &[0xff; 128]] {
            assert_eq!(SocketName::parse(bytes), SocketName::Other, "{bytes:?}");
        }
    }

    #[test]
    fn the_kernel_tells_the_same() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(local_name(&tcp).unwrap(), SocketName::Inet(tcp.local_addr().unwrap()));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let unix = UnixListener::bind(&path).unwrap();
        let bytes = path.into_os_string().into_encoded_bytes();
        assert_eq!(local_name(&unix).unwrap(), SocketName::Path(bytes));
        let (unnamed, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(local_name(&unnamed).unwrap(), SocketName::Other);
    }
}

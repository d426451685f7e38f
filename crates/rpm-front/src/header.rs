//! The PROXY protocol's header, which tells an upstream who the client is. After HAProxy's
//! proxy-protocol.txt, sections 2.1 and 2.2.

use crate::config::ProxyProtocol;
use std::net::{IpAddr, SocketAddr};

/// What opens a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 and the command: from us ourselves, or on behalf of a client.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// TCP over IPv4 and over IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Both ends of the client's connection, where it has such addresses.
pub(crate) type Ends = Option<(SocketAddr, SocketAddr)>;

/// The header for a client from `ends.0` that connected to `ends.1`.
pub(crate) fn header(version: ProxyProtocol, ends: Ends) -> Vec<u8> {
    let ends = ends.map(|(from, to)| (canonical(from), canonical(to)));
    match version {
        ProxyProtocol::V1 => text(ends).into_bytes(),
        ProxyProtocol::V2 => binary(ends),
    }
}

/// An IPv4 client of a dual-stack socket is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn text(ends: Ends) -> String {
    let Some((from, to)) = ends else { return "PROXY UNKNOWN\r\n".to_owned() };
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
}

fn binary(ends: Ends) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    let Some((from, to)) = ends else {
        bytes.extend([LOCAL, 0, 0, 0]);
        return bytes;
    };
    let mut addresses = [octets(from.ip()), octets(to.ip())].concat();
    addresses.extend(from.port().to_be_bytes());
    addresses.extend(to.port().to_be_bytes());
    let family = if from.is_ipv4() { TCP4 } else { TCP6 };
    // 12 or 36 bytes.
    bytes.extend([PROXY, family, 0, addresses.len() as u8]);
    bytes.extend(addresses);
    bytes
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(from: &str, to: &str) -> Ends {
        Some((from.parse().unwrap(), to.parse().unwrap()))
    }

    #[test]
    fn version_1_is_a_line() {
        let table = [
            (None, "PROXY UNKNOWN\r\n"),
            (ends("10.0.0.1:5", "10.0.0.2:80"), "PROXY TCP4 10.0.0.1 10.0.0.2 5 80\r\n"),
            (ends("[::1]:5", "[::2]:80"), "PROXY TCP6 ::1 ::2 5 80\r\n"),
            (
                ends("[::ffff:10.0.0.1]:5", "[::ffff:10.0.0.2]:80"),
                "PROXY TCP4 10.0.0.1 10.0.0.2 5 80\r\n",
            ),
        ];
        for (ends, line) in table {
            assert_eq!(header(ProxyProtocol::V1, ends), line.as_bytes());
        }
    }

    #[test]
    fn version_2_is_binary() {
        let start = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a";
        let four = [&start[..], &[0x21, 0x11, 0, 12, 10, 0, 0, 1, 10, 0, 0, 2, 0, 5, 0, 80]];
        let table = [
            (None, [&start[..], &[0x20, 0, 0, 0]].concat()),
            (ends("10.0.0.1:5", "10.0.0.2:80"), four.concat()),
        ];
        for (ends, bytes) in table {
            assert_eq!(header(ProxyProtocol::V2, ends), bytes);
        }
        let six = header(ProxyProtocol::V2, ends("[::1]:5", "[::2]:80"));
        assert_eq!((six.len(), &six[12..16]), (52, &[0x21, 0x21, 0, 36][..]));
        assert_eq!((six[31], six[47], &six[48..]), (1, 2, &[0, 5, 0, 80][..]));
    }
}

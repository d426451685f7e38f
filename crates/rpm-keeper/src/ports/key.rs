//! [`Key`]: what makes two sockets claim the same address.

use crate::message::Address;
use rpm_unix::socket::Endpoint;
use std::net::{IpAddr, SocketAddr};

/// An address with all that sets it apart from another of the same text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// What it is bound to.
    pub(super) address: Address,
    /// Which network namespace (its cookie), or for a path which mount namespace (its inode).
    pub(super) namespace: u64,
    /// `IPV6_V6ONLY`: `[::]` is not `0.0.0.0` as well.
    pub(super) only_v6: bool,
    /// The interface of `SO_BINDTODEVICE`; empty: any.
    pub(super) device: Vec<u8>,
}

impl Key {
    /// Whether the kernel would refuse one while the other is served: the same address, or a
    /// wildcard that covers it.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let devices =
            self.device == other.device || self.device.is_empty() || other.device.is_empty();
        self.namespace == other.namespace && devices && self.same_place(other)
    }

    fn same_place(&self, other: &Self) -> bool {
        match (&self.address, &other.address) {
            (Address::Tcp(one), Address::Tcp(two)) | (Address::Udp(one), Address::Udp(two)) => {
                one.port() == two.port()
                    && (covers(one, self.only_v6, two) || covers(two, other.only_v6, one))
            }
            (Address::Unix(one), Address::Unix(two)) => one == two,
            (Address::Tcp(_) | Address::Udp(_) | Address::Unix(_), _) => false,
        }
    }

    /// Whether it takes what would otherwise come to `other`, which is every address of the port.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let wildcard = |key: &Self| match &key.address {
            Address::Tcp(address) => Some(address.ip().is_unspecified()),
            Address::Udp(_) | Address::Unix(_) => None,
        };
        wildcard(self) == Some(false) && wildcard(other) == Some(true) && self.overlaps(other)
    }

    pub(super) fn is_ipv6(&self) -> bool {
        match &self.address {
            Address::Tcp(address) | Address::Udp(address) => address.is_ipv6(),
            Address::Unix(_) => false,
        }
    }

    pub(super) fn is_unix(&self) -> bool {
        matches!(self.address, Address::Unix(_))
    }

    pub(super) fn is_udp(&self) -> bool {
        matches!(self.address, Address::Udp(_))
    }

    /// The port; 0 for a path.
    pub(super) fn port(&self) -> u16 {
        match &self.address {
            Address::Tcp(address) | Address::Udp(address) => address.port(),
            Address::Unix(_) => 0,
        }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        match &self.address {
            Address::Tcp(address) => Endpoint::Tcp(*address),
            Address::Udp(address) => Endpoint::Udp(*address),
            Address::Unix(path) => Endpoint::Unix(path.clone()),
        }
    }
}

/// Whether what is meant for `other` could arrive at `one`.
fn covers(one: &SocketAddr, only_v6: bool, other: &SocketAddr) -> bool {
    let (one, other) = (one.ip(), other.ip());
    match (one.to_canonical(), other.to_canonical()) {
        (one, other) if one == other => true,
        (IpAddr::V4(one), IpAddr::V4(_)) => one.is_unspecified(),
        (IpAddr::V6(one), IpAddr::V6(_)) => one.is_unspecified(),
        (IpAddr::V6(one), IpAddr::V4(_)) => one.is_unspecified() && !only_v6,
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> Key {
        let address = Address::Tcp(address.parse().unwrap());
        Key { address, namespace: 1, only_v6: false, device: Vec::new() }
    }

    #[test]
    fn wildcards_overlap_what_they_cover() {
        let table = [
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ];
        for (one, two, expected) in table {
            assert_eq!(tcp(one).overlaps(&tcp(two)), expected, "{one} {two}");
            assert_eq!(tcp(two).overlaps(&tcp(one)), expected, "{two} {one}");
        }
    }

    #[test]
    fn an_ipv6_only_wildcard_leaves_ipv4_alone() {
        let only = Key { only_v6: true, ..tcp("[::]:80") };
        assert!(!only.overlaps(&tcp("0.0.0.0:80")));
        assert!(!tcp("127.0.0.1:80").overlaps(&only));
        assert!(only.overlaps(&tcp("[::1]:80")));
    }

    #[test]
    fn namespaces_devices_and_protocols_keep_apart() {
        let base = tcp("0.0.0.0:80");
        let elsewhere = Key { namespace: 2, ..base.clone() };
        let on = |device: &[u8]| Key { device: device.to_vec(), ..base.clone() };
        let udp = Key { address: Address::Udp("0.0.0.0:80".parse().unwrap()), ..base.clone() };
        let unix = |path: &str| Key { address: Address::Unix(path.into()), ..base.clone() };
        assert!(!base.overlaps(&elsewhere));
        assert!(!on(b"eth0").overlaps(&on(b"eth1")));
        assert!(on(b"eth0").overlaps(&base));
        assert!(!base.overlaps(&udp) && udp.overlaps(&udp));
        assert!(unix("/a").overlaps(&unix("/a")) && !unix("/a").overlaps(&unix("/b")));
        assert!(!unix("/a").overlaps(&base));
    }
}

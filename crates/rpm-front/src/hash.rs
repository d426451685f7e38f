//! Rendezvous hashing: each client ranks all upstreams and takes the first of its ranking that is
//! there. When one leaves, only its own clients move, and they come back with it.
//!
//! The hash is fixed, so that a new front keeps every client where it was.

use std::net::{IpAddr, SocketAddr};

/// SplitMix64's finalizer: every bit of the result depends on every bit of `value`.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Two hashes as one, order included.
pub(crate) fn join(one: u64, other: u64) -> u64 {
    // The constant keeps a pair of zeros from being a fixed point.
    mix(one.rotate_left(5) ^ mix(other ^ 0x9e37_79b9_7f4a_7c15))
}

/// A hash of an address without its port. An IPv4 client is the same over a dual-stack socket.
pub(crate) fn of_ip(address: IpAddr) -> u64 {
    let bits = match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    join((bits >> 64) as u64, bits as u64)
}

/// A hash of an address with its port.
pub(crate) fn of_socket(address: SocketAddr) -> u64 {
    join(of_ip(address.ip()), address.port().into())
}

/// The place of an upstream in a client's ranking: the lowest is the first. Weighted rendezvous
/// hashing: -ln(u) / w is the first event of a process with rate w, so an upstream comes first with
/// the probability w / (sum of all w).
pub(crate) fn rank(client: u64, upstream: u32, weight: u32) -> f64 {
    // 53 bits and never 0, so the logarithm is finite.
    let uniform = ((join(client, upstream.into()) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -uniform.ln() / f64::from(weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(client: u64, upstreams: &[u32]) -> u32 {
        let by_rank = |a: &&u32, b: &&u32| rank(client, **a, 1).total_cmp(&rank(client, **b, 1));
        *upstreams.iter().min_by(by_rank).unwrap()
    }

    proptest! {
        #[test]
        fn only_the_clients_of_one_that_leaves_move(client: u64, count in 2_u32..20, gone: u32) {
            let all: Vec<_> = (0..count).collect();
            let gone = gone % count;
            let rest: Vec<_> = all.iter().copied().filter(|id| *id != gone).collect();
            let before = first(client, &all);
            prop_assert!(before == gone || first(client, &rest) == before);
        }
    }

    #[test]
    fn neighbouring_addresses_are_spread() {
        let mut counts = [0; 4];
        for last in 0..4_000_u32 {
            let ip = IpAddr::from((0x7f00_0000 + last).to_be_bytes());
            counts[first(of_ip(ip), &[0, 1, 2, 3]) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..=1100).contains(count)), "{counts:?}");
    }

    #[test]
    fn neighbouring_ports_are_spread() {
        let mut counts = [0; 4];
        for port in 30_000..34_000 {
            let socket = SocketAddr::from(([127, 0, 0, 1], port));
            counts[first(of_socket(socket), &[0, 1, 2, 3]) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..=1100).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let table = [("::ffff:10.0.0.1", "10.0.0.1", true), ("::1", "127.0.0.1", false)];
        for (one, other, same) in table {
            let [one, other] = [one, other].map(|ip| of_ip(ip.parse().unwrap()));
            assert_eq!(one == other, same);
        }
    }
}

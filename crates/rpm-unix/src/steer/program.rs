//! The classic programs: random, by the client's address, by the whole connection.

use super::{
    Member, Members,
    classic::{
        ADD, HASH, IF_ABOVE_X, IF_NOT_BELOW, KEEP, LENGTH_TO_X, LOAD, LOAD_FROM_X, MIX, MIX_AGAIN,
        MODULO, MULTIPLY, NETWORK, RANDOM, RECALL, RECALL_TO_X, RETURN, RETURN_A, SET, XOR, begin,
        by_version, finish, fold, fold_header, jump, shift_and_xor, step,
    },
    option::{attach_classic, detach},
};
use libc::sock_filter;
use std::{io, os::fd::AsFd};

/// How a group chooses; needs no privilege.
///
/// It names members by index, so it is true only until a member leaves or joins: the caller
/// attaches a new one then, and, where it closes a member itself, one without that member and
/// without the last one before. Who joins gets nothing from a program made before.
#[derive(Clone, Debug)]
pub struct Program(Option<Vec<sock_filter>>);

/// Offsets in the IP header (RFC 791, RFC 8200): the source address, and, for IPv6, the ports if no
/// extension header precedes them.
const V4_SOURCE: [u32; 1] = [12];
const V6_SOURCE: [u32; 4] = [8, 12, 16, 20];
const V6_PORTS: u32 = 40;

/// Scratch words of `ip_hash`: the greatest weight so far, and whose it is.
const WEIGHT: u32 = 1;
const CHOICE: u32 = 2;

impl Program {
    /// Any member, each with the same chance. Not for protocols that send several datagrams to one
    /// server: each datagram is chosen for alone.
    pub fn random(members: &Members) -> Self {
        let mut code = vec![step(LOAD, RANDOM)];
        code.extend(place(members));
        Self(Some(code))
    }

    /// A connection (or flow of datagrams) by its addresses and ports: over all members by the
    /// kernel's own hash, over some by ours.
    pub fn even(members: &Members) -> Self {
        if members.is_all() { Self(None) } else { Self(Some(flow_hash(members))) }
    }

    /// A client's address always meets the same member: of all members the one with the greatest
    /// weight, which is a hash of the address and the slot. When a member leaves, only its clients
    /// move, and they come back with it. Ports do not count.
    pub fn ip_hash(members: &Members) -> Self {
        let mut code = begin();
        code.extend(by_version(&fold_header(&V4_SOURCE), &fold_header(&V6_SOURCE)));
        code.extend(heaviest(&members.by_slot()));
        Self(Some(code))
    }

    /// Gives this program to the group of a member, in place of the one it has.
    ///
    /// # Errors
    /// `EINVAL`: the socket is in no group yet, being alone and having got `SO_REUSEPORT` after
    /// listen. `ENOMEM`: too long, see [`MAX_MEMBERS`](super::MAX_MEMBERS). For an MPTCP listener,
    /// what binding another socket to its address may answer.
    pub fn attach(&self, member: impl AsFd) -> io::Result<()> {
        match &self.0 {
            Some(code) => attach_classic(member.as_fd(), code),
            None => detach(member),
        }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Option<&[sock_filter]> {
        self.0.as_deref()
    }
}

fn flow_hash(members: &Members) -> Vec<sock_filter> {
    let mut v4 = fold_header(&V4_SOURCE);
    v4.extend([step(LENGTH_TO_X, NETWORK), step(LOAD_FROM_X, NETWORK)]);
    v4.extend(fold());
    let mut v6 = fold_header(&V6_SOURCE);
    v6.extend(fold_header(&[V6_PORTS]));
    let mut code = begin();
    code.extend(by_version(&v4, &v6));
    code.push(step(RECALL, HASH));
    code.extend(finish());
    code.extend(place(members));
    code
}

/// Returns a member's index for any number in A: the remainder is a position in the list of
/// members, and each run of members without a hole is that position plus a constant.
fn place(members: &Members) -> Vec<sock_filter> {
    let mut code = vec![step(MODULO, members.len())];
    for (end, shift) in runs(members) {
        code.push(jump(IF_NOT_BELOW, end, 2, 0));
        code.extend([step(ADD, shift), step(RETURN_A, 0)]);
    }
    // Never reached; a program has to end with a return.
    code.push(step(RETURN, 0));
    code
}

/// Runs of members: the position behind each, and how far its indices are above its positions.
fn runs(members: &Members) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (position, index) in (0..).zip(members.indices()) {
        match runs.last_mut() {
            Some((end, shift)) if *shift == index - position => *end = position + 1,
            Some(_) | None => runs.push((position + 1, index - position)),
        }
    }
    runs
}

/// Returns the index of the member that weighs most with the hash.
fn heaviest(members: &[Member]) -> Vec<sock_filter> {
    let first = members.first().map_or(0, |member| member.index);
    let mut code = vec![step(SET, first), step(KEEP, CHOICE), step(SET, 0), step(KEEP, WEIGHT)];
    code.extend(members.iter().flat_map(weigh));
    code.extend([step(RECALL, CHOICE), step(RETURN_A, 0)]);
    code
}

fn weigh(member: &Member) -> [sock_filter; 12] {
    let [copy, shift, spread] = shift_and_xor(15);
    [
        step(RECALL, HASH),
        step(XOR, seed(member.slot)),
        step(MULTIPLY, MIX_AGAIN),
        copy,
        shift,
        spread,
        step(MULTIPLY, MIX),
        step(RECALL_TO_X, WEIGHT),
        jump(IF_ABOVE_X, 0, 0, 3),
        step(KEEP, WEIGHT),
        step(SET, member.index),
        step(KEEP, CHOICE),
    ]
}

/// Bits that look random, other ones for each slot (the finalizer of MurmurHash3, public domain).
fn seed(slot: u32) -> u32 {
    let slot = slot.wrapping_add(1);
    let mixed = (slot ^ (slot >> 16)).wrapping_mul(MIX);
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(MIX_AGAIN);
    mixed ^ (mixed >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::machine::{packet, run};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    /// Slots at the indices they have in this list.
    fn members(size: u32, slots: &[u32]) -> Members {
        let member = |(index, slot): (u32, &u32)| Member { slot: *slot, index };
        Members::new(size, (0..).zip(slots).map(member).collect()).unwrap()
    }

    fn choice(program: &Program, from: IpAddr, port: u16) -> u32 {
        let to: SocketAddr = match from {
            IpAddr::V4(_) => "10.0.0.1:80".parse().unwrap(),
            IpAddr::V6(_) => "[2001:db8::1]:80".parse().unwrap(),
        };
        run(program.code().unwrap(), &packet(SocketAddr::new(from, port), to), 0)
    }

    /// Neighbours of one network, as clients often are.
    fn clients(v6: bool) -> impl Iterator<Item = IpAddr> {
        (0..20_000).map(move |number: u32| match v6 {
            false => IpAddr::V4(Ipv4Addr::from_bits(0x0a07_0000 + number)),
            true => Ipv6Addr::from_bits((0x2001_0db8 << 96) + (u128::from(number) << 3)).into(),
        })
    }

    fn is_fair(counts: &[usize], total: usize) -> bool {
        let mean = total / counts.len();
        // Eight standard deviations, for the many figures looked at.
        let slack = 8 * mean.isqrt();
        counts.iter().all(|count| count.abs_diff(mean) < slack)
    }

    #[test]
    fn clients_are_shared_fairly_by_address() {
        for (size, v6) in [2, 3, 4, 8, 64].into_iter().flat_map(|n| [(n, false), (n, true)]) {
            let slots: Vec<_> = (0..size).collect();
            let program = Program::ip_hash(&members(size, &slots));
            let mut counts = vec![0; slots.len()];
            clients(v6).for_each(|from| counts[choice(&program, from, 1) as usize] += 1);
            assert!(is_fair(&counts, 20_000), "{v6} {counts:?}");
        }
    }

    #[test]
    fn connections_of_one_client_are_shared_fairly() {
        for from in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let program = Program::even(&members(5, &[0, 1, 2, 3]));
            let mut counts = [0; 4];
            (0..20_000).for_each(|port| counts[choice(&program, from, port) as usize] += 1);
            assert!(is_fair(&counts, 20_000), "{counts:?}");
        }
    }

    #[test]
    fn only_the_clients_of_who_left_move() {
        let before_slots = [0, 1, 2, 3, 4];
        let before = Program::ip_hash(&members(5, &before_slots));
        for (gone, after_slots) in [(1, [0, 4, 2, 3]), (4, [0, 1, 2, 3]), (0, [4, 3, 1, 2])] {
            let after = Program::ip_hash(&members(4, &after_slots));
            let slot = |from| {
                let before = before_slots[choice(&before, from, 1) as usize];
                (before, after_slots[choice(&after, from, 2) as usize])
            };
            let stays =
                |(before, after)| if before == gone { after != gone } else { before == after };
            assert!(clients(false).map(slot).all(stays), "{gone}");
        }
    }

    #[test]
    fn each_remainder_is_another_member() {
        for pattern in 1..1_u32 << 9 {
            let indices: Vec<_> = (0..9).filter(|index| pattern & 1 << index != 0).collect();
            let some = indices.iter().map(|index| Member { slot: 0, index: *index }).collect();
            let program = Program::random(&Members::new(9, some).unwrap());
            let count = indices.len() as u32;
            let at = |number| run(program.code().unwrap(), &[], number);
            assert_eq!((0..count).map(at).collect::<Vec<_>>(), indices);
            assert_eq!((count..2 * count).map(at).collect::<Vec<_>>(), indices);
        }
    }

    #[test]
    fn even_over_all_needs_no_program() {
        assert!(Program::even(&members(3, &[0, 1, 2])).code().is_none());
        assert!(Program::even(&members(4, &[0, 1, 2])).code().is_some());
    }
}

//! What the classic programs choose: where a hash decides, the kernel is held to what the machine
//! of the tests says of the same packet.

use super::*;
use crate::steer::machine::{packet, run};

/// Twenty clients.
pub(super) fn sources() -> impl Iterator<Item = IpAddr> {
    (1..=20).map(|last| Ipv4Addr::new(127, 0, 0, last).into())
}

/// Who should get a connection.
fn expected(fleet: &Fleet, program: &Program, from: SocketAddr) -> u32 {
    let to = SocketAddr::new(fleet.target(from.ip()), fleet.address.port());
    let index = run(program.code().unwrap(), &packet(from, to), 0);
    fleet.group.ids()[index as usize]
}

/// Meets a group from each address so many times; the meetings, all as the program says.
pub(super) fn meetings(fleet: &Fleet, program: &Program, sources: &[IpAddr]) -> Vec<u32> {
    fleet.attach(program);
    let meet = |source: &IpAddr| {
        let (id, from) = fleet.meet_from(*source);
        assert_eq!(id, expected(fleet, program, from), "{from}");
        id
    };
    sources.iter().map(meet).collect()
}

fn counts(members: usize, meetings: &[u32]) -> Vec<usize> {
    (0..members as u32).map(|id| meetings.iter().filter(|met| **met == id).count()).collect()
}

#[test]
fn even_over_all_is_the_kernels_hash() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 4);
    fleet.attach(&Program::random(&fleet.without(&[0, 1, 2])));
    assert_eq!(fleet.count(10), [0, 0, 0, 10]);
    fleet.attach(&Program::even(&fleet.without(&[])));
    let counts = fleet.count(4000);
    println!("even over 4: {counts:?}");
    assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
}

#[test]
fn even_over_some_reaches_nobody_else() {
    for (transport, ip) in [
        (Transport::Tcp, LOOPBACK),
        (Transport::Tcp, LOOPBACK_6),
        (Transport::Udp, LOOPBACK),
        (Transport::Udp, LOOPBACK_6),
    ] {
        let fleet = Fleet::open(transport, ip, 5);
        let program = Program::even(&fleet.without(&[1, 3]));
        let counts = counts(5, &meetings(&fleet, &program, &[ip; 1500]));
        println!("even over 0, 2, 4 of 5, {transport:?} {ip}: {counts:?}");
        let right = |(id, count): (usize, &usize)| match id {
            1 | 3 => *count == 0,
            _ => (350..650).contains(count),
        };
        assert!(counts.iter().enumerate().all(right), "{counts:?}");
    }
}

#[test]
fn random_is_even_and_reaches_nobody_else() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 4);
    fleet.attach(&Program::random(&fleet.without(&[1])));
    let counts = fleet.count(3000);
    println!("random over 0, 2, 3 of 4: {counts:?}");
    assert_eq!(counts[1], 0);
    assert!([0, 2, 3].iter().all(|id| (750..1250).contains(&counts[*id])), "{counts:?}");
}

#[test]
fn an_address_keeps_its_member_and_moves_only_when_that_leaves() {
    for (transport, ip) in [
        (Transport::Tcp, LOOPBACK),
        (Transport::Udp, LOOPBACK),
        (Transport::Tcp, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ] {
        let mut fleet = Fleet::open(transport, ip, 4);
        let sources: Vec<_> = sources().collect();
        let all = Program::ip_hash(&fleet.without(&[]));
        let before = meetings(&fleet, &all, &sources);
        println!("ip_hash of 20 addresses over 4, {transport:?} {ip}: {:?}", counts(4, &before));
        for _ in 0..5 {
            assert_eq!(meetings(&fleet, &all, &sources), before);
        }
        let sick = meetings(&fleet, &Program::ip_hash(&fleet.without(&[1])), &sources);
        // The last member gets another index; its clients stay.
        fleet.close(1);
        let left = meetings(&fleet, &Program::ip_hash(&fleet.without(&[])), &sources);
        assert_eq!(sick, left);
        for (before, after) in before.iter().zip(&left) {
            assert!(if *before == 1 { *after != 1 } else { after == before });
        }
        assert!(before.contains(&1));
    }
}

#[test]
fn both_families_of_a_dual_stack_socket_are_told_apart() {
    let fleet = Fleet::open(Transport::Tcp, IpAddr::V6(Ipv6Addr::UNSPECIFIED), 6);
    let mut sources: Vec<_> = sources().collect();
    sources.push(LOOPBACK_6);
    let hashed = Program::ip_hash(&fleet.without(&[2]));
    assert_eq!(meetings(&fleet, &hashed, &sources), meetings(&fleet, &hashed, &sources));
    meetings(&fleet, &Program::even(&fleet.without(&[2])), &sources);
}

#[test]
fn no_privilege_is_needed() {
    unprivileged(|| {
        let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 3);
        let sources: Vec<_> = sources().collect();
        meetings(&fleet, &Program::ip_hash(&fleet.without(&[0])), &sources);
        meetings(&fleet, &Program::even(&fleet.without(&[2])), &sources);
        fleet.attach(&Program::random(&fleet.without(&[1])));
        assert_eq!(fleet.count(100)[1], 0);
        crate::steer::detach(fleet.any()).unwrap();
    });
}

#[test]
fn the_longest_programs_are_accepted() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 2);
    let most = crate::steer::MAX_MEMBERS as u32;
    let every_other = (0..most).map(|slot| Member { slot, index: 2 * slot }).collect();
    let members = Members::new(2 * most, every_other).unwrap();
    let programs = [Program::random, Program::even, Program::ip_hash].map(|make| make(&members));
    let lengths = programs.each_ref().map(|program| program.code().unwrap().len());
    println!("instructions for {most} members: {lengths:?}");
    programs.iter().for_each(|program| fleet.attach(program));
}

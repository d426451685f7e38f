//! Round robin is exact.

use super::*;
use crate::steer::RoundRobin;

/// Where there is no privilege, other tests say what happens.
fn in_turn(fleet: &Fleet) -> Option<RoundRobin> {
    if let Err(error) = RoundRobin::available() {
        println!("skipped, no privilege for eBPF here: {error}");
        return None;
    }
    let turns = RoundRobin::new().unwrap();
    for id in fleet.group.ids() {
        turns.put(*id, fleet.socket(*id)).unwrap();
    }
    turns.set_healthy(fleet.group.ids()).unwrap();
    turns.attach(fleet.any()).unwrap();
    Some(turns)
}

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

#[test]
fn each_gets_the_same_number_whoever_comes_and_goes() {
    let mut fleet = Fleet::open(Transport::Tcp, LOOPBACK, 4);
    let Some(turns) = in_turn(&fleet) else { return };
    assert_eq!(fleet.count(4000), [1000; 4]);

    turns.set_healthy(&[0, 2, 3]).unwrap();
    assert_eq!(fleet.count(1500), [500, 0, 500, 500]);
    fleet.close(1);
    assert_eq!(fleet.count(300), [100, 0, 100, 100]);

    fleet.grow();
    assert_eq!(fleet.count(300), [100, 0, 100, 100, 0]);
    // The new socket takes the old one's slot.
    turns.put(1, fleet.socket(4)).unwrap();
    turns.set_healthy(&[0, 1, 2, 3]).unwrap();
    assert_eq!(fleet.count(400), [100, 0, 100, 100, 100]);
}

#[test]
fn every_family_and_datagrams_take_turns() {
    for (transport, ip) in [
        (Transport::Tcp, LOOPBACK_6),
        (Transport::Tcp, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        (Transport::Udp, LOOPBACK),
        (Transport::Udp, LOOPBACK_6),
    ] {
        let fleet = Fleet::open(transport, ip, 3);
        let Some(_turns) = in_turn(&fleet) else { return };
        let order: Vec<_> = (0..9).map(|_| fleet.meet_from(fleet.target(ip)).0).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 2], "{transport:?} {ip}");
    }
}

#[test]
fn clients_at_the_same_time_take_a_turn_each() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 4);
    let Some(_turns) = in_turn(&fleet) else { return };
    let mut counts = [0; 4];
    std::thread::scope(|scope| {
        let dial = || (0..250).for_each(|_| drop(fleet.call(LOOPBACK)));
        (0..4).for_each(|_| drop(scope.spawn(dial)));
        (0..1000).for_each(|_| counts[fleet.take() as usize] += 1);
    });
    assert_eq!(counts, [250; 4]);
}

#[test]
fn a_socket_has_one_slot_until_it_stops_listening() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 2);
    let Some(turns) = in_turn(&fleet) else { return };
    turns.put(0, fleet.socket(0)).unwrap();
    assert_eq!(errno(turns.put(2, fleet.socket(0))), Some(libc::EBUSY));
    assert_eq!(errno(RoundRobin::new().unwrap().put(0, fleet.socket(0))), Some(libc::EBUSY));

    let listener = fleet.socket(0);
    nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Read).unwrap();
    assert_eq!(errno(turns.put(0, listener)), Some(libc::EINVAL));
    crate::socket::listen(listener, 64).unwrap();
    turns.put(0, listener).unwrap();
    assert_eq!(fleet.count(10), [5, 5]);

    turns.remove(0).unwrap();
    turns.remove(0).unwrap();
    turns.put(7, listener).unwrap();
    turns.set_healthy(&[7]).unwrap();
    assert_eq!(fleet.count(10), [10, 0]);
}

#[test]
fn with_nobody_healthy_all_are_reached() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 2);
    let Some(turns) = in_turn(&fleet) else { return };
    turns.set_healthy(&[]).unwrap();
    assert!(fleet.count(100).iter().all(|count| *count > 10));
    turns.set_healthy(&[1, 1, 0]).unwrap();
    assert_eq!(fleet.count(90), [30, 60]);
}

#[test]
fn slots_have_a_bound() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 2);
    let Some(turns) = in_turn(&fleet) else { return };
    let most = crate::steer::MAX_MEMBERS as u32;
    turns.remove(0).unwrap();
    assert_eq!(errno(turns.put(most, fleet.socket(0))), Some(libc::E2BIG));
    turns.put(most - 1, fleet.socket(0)).unwrap();
    assert_eq!(errno(turns.set_healthy(&[most])), Some(libc::E2BIG));
    assert_eq!(errno(turns.set_healthy(&vec![0; MANY + 1])), Some(libc::E2BIG));
    turns.set_healthy(&[vec![1; MANY - 1], vec![most - 1]].concat()).unwrap();
    assert_eq!(fleet.count(MANY), [1, MANY - 1]);
}

const MANY: usize = crate::steer::MAX_MEMBERS;

#[test]
fn it_outlives_its_maker_and_can_be_handed_on() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 2);
    let Some(turns) = in_turn(&fleet) else { return };
    let parts = turns.parts().map(|fd| fd.try_clone_to_owned().unwrap());
    drop(turns);
    assert_eq!(fleet.count(10), [5, 5]);
    let turns = RoundRobin::from_parts(parts);
    turns.put(1, fleet.socket(1)).unwrap();
    turns.set_healthy(&[1]).unwrap();
    assert_eq!(fleet.count(10), [0, 10]);
}

#[test]
fn a_classic_program_takes_its_place_and_gives_it_back() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 3);
    let Some(turns) = in_turn(&fleet) else { return };
    fleet.attach(&Program::random(&fleet.without(&[0, 1])));
    assert_eq!(fleet.count(9), [0, 0, 9]);
    turns.attach(fleet.any()).unwrap();
    assert_eq!(fleet.count(9), [3, 3, 3]);
}

#[test]
fn without_privilege_the_kernel_says_so() {
    // Asked of the kernel itself: `available` remembers what it was told at first.
    let error = unprivileged(|| RoundRobin::new().unwrap_err());
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

/// A packet that belongs to no connection: a bare ACK to the port, answered by a reset.
fn send_stray(fleet: &Fleet) {
    let kind = SockType::Raw;
    let protocol = nix::sys::socket::SockProtocol::Tcp;
    let fd = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, protocol).unwrap();
    let to = fleet.address;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
    let mut header = [0_u8; 20];
    // A source port below those of clients, header length 20, ACK, a window.
    header[0..2].copy_from_slice(&1_u16.to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    header[12..16].copy_from_slice(&[0x50, 0x10, 0x10, 0]);
    let sum = checksum(&header);
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(nix::unistd::write(&fd, &header).unwrap(), header.len());
    let reset = |packet: &[u8]| packet[20..22] == to.port().to_be_bytes() && packet[33] & 4 != 0;
    let mut packet = [0; 64];
    loop {
        let mut entry = [Entry::readable(fd.as_fd())];
        assert_eq!(poll(&mut entry, Some(PATIENCE)).unwrap(), 1, "no reset");
        let length = nix::unistd::read(&fd, &mut packet).unwrap();
        if length >= 40 && reset(&packet) && packet[22..24] == [0, 1] {
            return;
        }
    }
}

/// Of a segment from and to 127.0.0.1 (RFC 9293, 3.1).
fn checksum(segment: &[u8; 20]) -> u16 {
    let words = segment.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let pseudo = 2 * (0x7f00 + 0x0001) + 6 + segment.len() as u32;
    let sum = words.sum::<u32>() + pseudo;
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[test]
fn stray_packets_take_no_turn() {
    let fleet = Fleet::open(Transport::Tcp, LOOPBACK, 2);
    let Some(_turns) = in_turn(&fleet) else { return };
    let meet_after_stray = || {
        send_stray(&fleet);
        fleet.meet()
    };
    let order: Vec<_> = (0..8).map(|_| meet_after_stray()).collect();
    assert_eq!(order, [0, 1, 0, 1, 0, 1, 0, 1]);
}

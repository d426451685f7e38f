//! The mirror of the kernel's order, against the kernel: a program that returns a fixed index shows
//! who is there.

use super::*;
use crate::socket::listen;

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn member(&mut self, fleet: &Fleet) -> u32 {
        let ids = fleet.group.ids();
        ids[self.below(ids.len())]
    }
}

/// Asks the kernel who is at each index.
pub(super) fn found(fleet: &Fleet) -> Vec<u32> {
    let size = fleet.group.size();
    let at = |index| {
        let only = Members::new(size, vec![Member { slot: 0, index }]).unwrap();
        // Of one member, each program but `even` always returns it.
        fleet.attach(&Program::random(&only));
        fleet.meet()
    };
    (0..size).map(at).collect()
}

impl Fleet {
    /// What a server does that stops by shutdown(2), and the keeper's answer to it (B1).
    fn listen_anew(&mut self, id: u32) {
        let listener = self.socket(id);
        nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Read).unwrap();
        listen(listener, 64).unwrap();
        self.group.left(id);
        self.group.joined(id);
    }
}

fn change(fleet: &mut Fleet, dice: &mut Dice) -> String {
    let id = dice.member(fleet);
    let (tcp, size) = (fleet.transport == Transport::Tcp, fleet.group.size());
    match dice.below(5) {
        0 | 1 if size < 7 => {
            fleet.grow();
            "one joined".into()
        }
        2 if tcp => {
            fleet.listen_anew(id);
            format!("{id} listened anew")
        }
        3 if tcp => {
            listen(fleet.socket(id), 32).unwrap();
            fleet.group.joined(id);
            format!("{id} listened again")
        }
        _ if size > 2 => {
            fleet.close(id);
            format!("{id} left")
        }
        _ => "nothing".into(),
    }
}

fn check(transport: Transport, ip: IpAddr, seed: u64) {
    let (mut dice, mut done) = (Dice(seed), Vec::new());
    let mut fleet = Fleet::open(transport, ip, 2);
    for _ in 0..25 {
        assert_eq!(found(&fleet), fleet.group.ids(), "seed {seed}: {done:?}");
        done.push(change(&mut fleet, &mut dice));
    }
}

#[test]
fn the_mirror_is_right_after_any_changes() {
    (1..=40).for_each(|seed| check(Transport::Tcp, LOOPBACK, seed));
    (1..=10).for_each(|seed| check(Transport::Tcp, LOOPBACK_6, seed));
    (1..=10).for_each(|seed| check(Transport::Udp, LOOPBACK, seed));
}

#[test]
fn the_second_member_makes_the_group() {
    let mut fleet = Fleet::open(Transport::Tcp, LOOPBACK, 1);
    let program = Program::random(&fleet.without(&[]));
    let error = program.attach(fleet.any()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    crate::steer::detach(fleet.any()).unwrap();
    fleet.grow();
    assert_eq!(found(&fleet), [0, 1]);
}

#[test]
fn a_program_stays_when_the_socket_it_came_by_leaves() {
    let mut fleet = Fleet::open(Transport::Tcp, LOOPBACK, 4);
    let second = Members::new(4, vec![Member { slot: 0, index: 1 }]).unwrap();
    Program::random(&second).attach(fleet.socket(3)).unwrap();
    fleet.close(3);
    assert_eq!(fleet.count(20), [0, 20, 0, 0]);
    fleet.close(1);
    // The last one filled the hole.
    assert_eq!(fleet.count(20), [0, 0, 20, 0]);
}

//! The kernel's classic BPF machine, as far as our programs use it: what the tests expect of the
//! kernel, and a way to ask a program about clients that cannot be had here.

use super::classic::{
    ADD, AND, COPY_TO_X, IF_ABOVE_X, IF_EQUAL, IF_NOT_BELOW, KEEP, LENGTH_TO_X, LOAD, LOAD_BYTE,
    LOAD_FROM_X, MODULO, MULTIPLY, NETWORK, RANDOM, RECALL, RECALL_TO_X, RETURN, RETURN_A, SET,
    SHIFT_RIGHT, SKIP, XOR, XOR_X,
};
use libc::sock_filter;
use std::net::SocketAddr;

/// A packet from its IP header on, as far as the ports.
pub(super) fn packet(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut bytes = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            let head = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
            [&head[..], &from.ip().octets(), &to.ip().octets()].concat()
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            let head = [0x60, 0, 0, 0, 0, 20, 6, 64];
            [&head[..], &from.ip().octets(), &to.ip().octets()].concat()
        }
        mixed => panic!("two families: {mixed:?}"),
    };
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes
}

struct Machine<'packet> {
    packet: &'packet [u8],
    random: u32,
    a: u32,
    x: u32,
    scratch: [u32; 16],
}

/// What a program returns for a packet; `random` is what it finds there.
pub(super) fn run(code: &[sock_filter], packet: &[u8], random: u32) -> u32 {
    let mut machine = Machine { packet, random, a: 0, x: 0, scratch: [0; 16] };
    let mut at = 0;
    loop {
        let now = code[at];
        at += 1;
        match u32::from(now.code) {
            RETURN => return now.k,
            RETURN_A => return machine.a,
            SKIP => at += now.k as usize,
            IF_EQUAL => at += taken(machine.a == now.k, now),
            IF_NOT_BELOW => at += taken(machine.a >= now.k, now),
            IF_ABOVE_X => at += taken(machine.a > machine.x, now),
            _ => machine.compute(now),
        }
    }
}

fn taken(yes: bool, now: sock_filter) -> usize {
    usize::from(if yes { now.jt } else { now.jf })
}

impl Machine<'_> {
    fn compute(&mut self, now: sock_filter) {
        let word = now.k as usize;
        match u32::from(now.code) {
            LOAD if now.k == RANDOM => self.a = self.random,
            LOAD => self.a = self.word(now.k),
            LOAD_FROM_X => self.a = self.word(now.k + self.x),
            LOAD_BYTE => self.a = self.byte(now.k),
            LENGTH_TO_X => self.x = 4 * (self.byte(now.k) & 15),
            SET => self.a = now.k,
            RECALL => self.a = self.scratch[word],
            RECALL_TO_X => self.x = self.scratch[word],
            KEEP => self.scratch[word] = self.a,
            COPY_TO_X => self.x = self.a,
            ADD => self.a = self.a.wrapping_add(now.k),
            AND => self.a &= now.k,
            MULTIPLY => self.a = self.a.wrapping_mul(now.k),
            MODULO => self.a %= now.k,
            SHIFT_RIGHT => self.a >>= now.k,
            XOR => self.a ^= now.k,
            XOR_X => self.a ^= self.x,
            code => panic!("code {code:#x}"),
        }
    }

    fn byte(&self, at: u32) -> u32 {
        self.packet[(at - NETWORK) as usize].into()
    }

    fn word(&self, at: u32) -> u32 {
        (0..4).fold(0, |word, offset| word << 8 | self.byte(at + offset))
    }
}

//! The members in turn, exactly: an eBPF program with its state in two maps.
//!
//! `sockets` has a socket for each slot. `plan` is an array of numbers: whose turn it is, which of
//! two tables is in force and how long it is, and the two tables of slots. Changes are written into
//! the other table and put in force by one store, so that a connection meets the old set or the new
//! one. The turn is one atomic counter, so that two processors never take the same one.

use super::{
    MAX_MEMBERS,
    assembler::{
        ABOVE, ADD, AND, Assembler, EQUAL, Instruction, Jump, MODULO, MOVE, NOT_EQUAL,
        Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10},
        SHIFT_RIGHT, Size,
    },
    map,
    option::attach_loaded,
};
use crate::socket::cookie;
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::OnceLock,
};

/// One group's members in turn; in force while it is attached, even when this value is gone.
///
/// Connections are counted by their SYN, so that stray packets do not take a turn; each datagram
/// counts. While nobody is healthy, or the one whose turn it is has no socket, the kernel's own
/// hash chooses among all members.
#[derive(Debug)]
pub struct RoundRobin {
    sockets: OwnedFd,
    plan: OwnedFd,
    program: OwnedFd,
}

/// Slots are below this.
const SLOTS: u32 = MAX_MEMBERS as u32;

/// Where `plan` has what. The head is the start of the table in force, times 2^16, plus its length.
const TURN: u32 = 0;
const HEAD: u32 = 1;
const TABLES: [u32; 2] = [2, 2 + SLOTS];
const PLAN_ENTRIES: u32 = 2 + 2 * SLOTS;
const START_SHIFT: u32 = 16;
const LENGTH_MASK: i32 = 0xffff;

/// Offsets in `struct sk_reuseport_md`; its data begins with the TCP or UDP header.
const DATA: i16 = 0;
const DATA_END: i16 = 8;
const IP_PROTOCOL: i16 = 24;

/// The byte of a TCP header with these flags (RFC 9293).
const FLAGS: i16 = 13;
const SYN: i32 = 0x02;
const ACK: i32 = 0x10;

/// `enum bpf_func_id`.
const MAP_LOOKUP_ELEM: i32 = 1;
const SK_SELECT_REUSEPORT: i32 = 82;

/// `SK_PASS` of `enum sk_action`: to the selected socket, or by hash if none is.
const PASS: i32 = 1;

/// Where on the stack a map's key is.
const KEY: i16 = -4;

impl RoundRobin {
    /// Whether this process may, and this kernel can: tried once, remembered for the life of the
    /// process.
    ///
    /// # Errors
    /// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` (before Linux 5.8 `CAP_SYS_ADMIN`), `EINVAL`
    /// before Linux 5.12, `ENOSYS` where bpf(2) is left out or filtered.
    pub fn available() -> io::Result<()> {
        static ERROR: OnceLock<Option<i32>> = OnceLock::new();
        let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        match ERROR.get_or_init(|| Self::new().err().map(errno)) {
            Some(number) => Err(io::Error::from_raw_os_error(*number)),
            None => Ok(()),
        }
    }

    /// For one group. It has no sockets yet and nobody is healthy.
    pub fn new() -> io::Result<Self> {
        let sockets = map::create(map::Kind::Sockets, SLOTS)?;
        let plan = map::create(map::Kind::Array, PLAN_ENTRIES)?;
        let code = instructions(sockets.as_raw_fd(), plan.as_raw_fd());
        // Neither function it calls is reserved to the GPL.
        let program = map::load(&code, c"MIT")?;
        Ok(Self { sockets, plan, program })
    }

    /// The descriptors to hand to a successor, for [`from_parts`](Self::from_parts). A socket stays
    /// in the map of an attached program, and no second map takes it, so a successor without these
    /// has to use another way of choosing.
    pub fn parts(&self) -> [BorrowedFd<'_>; 3] {
        [self.sockets.as_fd(), self.plan.as_fd(), self.program.as_fd()]
    }

    /// What [`parts`](Self::parts) gave, in that order.
    pub fn from_parts([sockets, plan, program]: [OwnedFd; 3]) -> Self {
        Self { sockets, plan, program }
    }

    /// Names a socket's slot, in place of the socket that had it; fine if it has it already. A
    /// socket that stops listening loses its slot: name it again when it listens again.
    ///
    /// # Errors
    /// `E2BIG`: the slot is not below [`MAX_MEMBERS`]. `EINVAL`: it is not bound or does not
    /// listen, or got `SO_REUSEPORT` later and is still alone. `EBUSY`: it has another slot, here
    /// or elsewhere. 524 (`ENOTSUPP`): neither TCP nor UDP; MPTCP, too.
    pub fn put(&self, slot: u32, socket: impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd();
        if map::look(self.sockets.as_fd(), slot).ok() == Some(cookie(socket)?) {
            return Ok(());
        }
        // A borrowed descriptor is never negative.
        let number = socket.as_raw_fd().cast_unsigned();
        map::update(self.sockets.as_fd(), slot, number.into())
    }

    /// Takes a slot's socket away; fine if it has none.
    pub fn remove(&self, slot: u32) -> io::Result<()> {
        match map::delete(self.sockets.as_fd(), slot) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Whose turn it can be, in this order, from the next connection on.
    ///
    /// # Errors
    /// `E2BIG`: more than [`MAX_MEMBERS`], or such a slot.
    pub fn set_healthy(&self, slots: &[u32]) -> io::Result<()> {
        let fits = slots.len() <= MAX_MEMBERS && slots.iter().all(|slot| *slot < SLOTS);
        if !fits {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        let plan = self.plan.as_fd();
        let [one, other] = TABLES;
        let now = map::look(plan, HEAD)? >> START_SHIFT;
        let start = if now == u64::from(one) { other } else { one };
        for (at, slot) in (start..).zip(slots) {
            map::update(plan, at, u64::from(*slot))?;
        }
        map::update(plan, HEAD, u64::from(start) << START_SHIFT | slots.len() as u64)
    }

    /// Gives this way of choosing to the group of a member, in place of the one it has.
    ///
    /// # Errors
    /// `EINVAL` as for [`put`](Self::put), `EOPNOTSUPP` for MPTCP.
    pub fn attach(&self, member: impl AsFd) -> io::Result<()> {
        attach_loaded(member.as_fd(), self.program.as_fd())
    }
}

/// The program: R6 is the packet, R7 the turn, R8 the head.
fn instructions(sockets: RawFd, plan: RawFd) -> Vec<Instruction> {
    let mut code = Assembler::default();
    code.with_register(MOVE, R6, R1);
    count_openings(&mut code);

    // turn, plan[TURN] = plan[TURN], plan[TURN] + R7
    code.store_number(Size::Word, R10, KEY, TURN as i32);
    let no_turn = look(&mut code, plan);
    code.fetch_add(R0, R7);

    // head = plan[HEAD]; its length must not be 0
    code.store_number(Size::Word, R10, KEY, HEAD as i32);
    let no_head = look(&mut code, plan);
    code.load(Size::Double, R8, R0, 0);
    code.with_register(MOVE, R9, R8);
    code.with(AND, R9, LENGTH_MASK);
    let nobody = code.jump_if(R9, EQUAL, 0);

    // slot = plan[head.start + turn % head.length]
    code.with_register(MODULO, R7, R9);
    code.with(SHIFT_RIGHT, R8, START_SHIFT as i32);
    code.with_register(ADD, R7, R8);
    code.store(Size::Word, R10, KEY, R7);
    let no_slot = look(&mut code, plan);
    code.load(Size::Double, R1, R0, 0);
    code.store(Size::Word, R10, KEY, R1);

    select(&mut code, sockets);
    code.land([no_turn, no_head, nobody, no_slot]);
    code.with(MOVE, R0, PASS);
    code.exit();
    code.finish()
}

/// R7 = 0 for a TCP packet that opens no connection (it is a stray one, or completes a SYN cookie),
/// else 1.
fn count_openings(code: &mut Assembler) {
    code.with(MOVE, R7, 1);
    code.load(Size::Word, R2, R6, IP_PROTOCOL);
    let datagram = code.jump_if(R2, NOT_EQUAL, libc::IPPROTO_TCP);
    code.load(Size::Double, R3, R6, DATA);
    code.load(Size::Double, R4, R6, DATA_END);
    code.with_register(MOVE, R5, R3);
    code.with(ADD, R5, i32::from(FLAGS) + 1);
    let too_short = code.jump_if_register(R5, ABOVE, R4);
    code.load(Size::Byte, R5, R3, FLAGS);
    code.with(AND, R5, SYN | ACK);
    let opens = code.jump_if(R5, EQUAL, SYN);
    code.with(MOVE, R7, 0);
    code.land([datagram, too_short, opens]);
}

/// R0 = where `plan` has the value of the key on the stack; jumps if there is none.
fn look(code: &mut Assembler, plan: RawFd) -> Jump {
    code.load_map(R1, plan);
    code.with_register(MOVE, R2, R10);
    code.with(ADD, R2, KEY.into());
    code.call(MAP_LOOKUP_ELEM);
    code.jump_if(R0, EQUAL, 0)
}

/// Selects the socket that `sockets` has for the key on the stack, if it has one.
fn select(code: &mut Assembler, sockets: RawFd) {
    code.with_register(MOVE, R1, R6);
    code.load_map(R2, sockets);
    code.with_register(MOVE, R3, R10);
    code.with(ADD, R3, KEY.into());
    code.with(MOVE, R4, 0);
    code.call(SK_SELECT_REUSEPORT);
}

//! [`Steering`]: one group of sockets that share an address, and the program that chooses among
//! them. Who may be chosen is for `steer.rs`.

use super::health::Health;
use crate::balance::Balance;
use rpm_unix::steer::{Group, Member, Members, Program, RoundRobin};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// A group.
#[derive(Debug, Default)]
pub(super) struct Steering {
    /// The kernel's order of its sockets, by their cookies.
    pub(super) order: Group<u64>,
    pub(super) health: Health,
    turns: Option<RoundRobin>,
    /// Slots that `turns` has sockets for.
    named: BTreeSet<u32>,
    applied: Option<Plan>,
    /// A program is attached, or a former keeper may have left one: the kernel keeps it when
    /// members leave, and whoever joins comes under it.
    pub(super) programmed: bool,
    /// The order is the kernel's secret: nobody of us saw its sockets join.
    pub(super) unknown: bool,
}

/// A member that has a slot, and its socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat<'a> {
    pub(super) cookie: u64,
    pub(super) slot: u32,
    pub(super) socket: BorrowedFd<'a>,
}

/// Everything that decides on a program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    balance: Balance,
    order: Vec<u64>,
    chosen: Vec<u64>,
}

impl Steering {
    /// Sends new connections to the chosen ones of these members.
    ///
    /// # Errors
    /// What refused it: the kernel's own hash over all members, or what was in force, stays.
    pub(super) fn apply(
        &mut self,
        balance: Balance,
        seats: &[Seat<'_>],
        chosen: &BTreeSet<u64>,
    ) -> io::Result<()> {
        let every = seats.iter().map(|seat| seat.cookie).collect();
        let chosen = if self.unknown { &every } else { chosen };
        let order = self.order.ids().to_vec();
        let plan = Plan { balance, order, chosen: chosen.iter().copied().collect() };
        if self.applied.as_ref() == Some(&plan) {
            return Ok(());
        }
        if self.order.size() < 2 || chosen.is_empty() {
            // The kernel has no choice, or nobody would be better; a program would only be in the
            // way of those who join.
            self.applied = None;
            return self.leave_to_the_kernel(seats);
        }
        match balance {
            Balance::RoundRobin => self.apply_turns(seats, chosen)?,
            Balance::Even
            | Balance::Shared
            | Balance::Random
            | Balance::IpHash
            | Balance::Private => {
                self.apply_program(balance, seats, chosen)?;
            }
        }
        self.applied = Some(plan);
        Ok(())
    }

    fn leave_to_the_kernel(&mut self, seats: &[Seat<'_>]) -> io::Result<()> {
        if let Some(seat) = seats.first().filter(|_| self.programmed) {
            rpm_unix::steer::detach(seat.socket)?;
            self.programmed = false;
        }
        Ok(())
    }

    fn apply_program(
        &mut self,
        balance: Balance,
        seats: &[Seat<'_>],
        chosen: &BTreeSet<u64>,
    ) -> io::Result<()> {
        let Some(members) = self.members(seats, chosen)? else { return Ok(()) };
        let all = members.is_all();
        let program = match balance {
            Balance::Random => Program::random(&members),
            Balance::IpHash => Program::ip_hash(&members),
            // The kernel's own hash is in force already.
            Balance::Even | Balance::Shared | Balance::Private if all && !self.programmed => {
                return Ok(());
            }
            Balance::Even | Balance::Shared | Balance::RoundRobin | Balance::Private => {
                Program::even(&members)
            }
        };
        let any = seats.iter().find(|seat| chosen.contains(&seat.cookie));
        if let Some(seat) = any {
            program.attach(seat.socket)?;
            self.programmed = true;
        }
        Ok(())
    }

    fn members(&self, seats: &[Seat<'_>], chosen: &BTreeSet<u64>) -> io::Result<Option<Members>> {
        let member = |seat: &Seat<'_>| {
            let index = self.order.index_of(seat.cookie)?;
            Some(Member { slot: seat.slot, index })
        };
        let chosen = seats.iter().filter(|seat| chosen.contains(&seat.cookie));
        let members: Vec<_> = chosen.filter_map(member).collect();
        if members.is_empty() {
            return Ok(None);
        }
        Members::new(self.order.size(), members).map(Some).map_err(io::Error::other)
    }

    fn apply_turns(&mut self, seats: &[Seat<'_>], chosen: &BTreeSet<u64>) -> io::Result<()> {
        if self.turns.is_none() {
            self.turns = Some(RoundRobin::new()?);
        }
        let Some(turns) = &self.turns else { return Ok(()) };
        let slots: BTreeSet<u32> = seats.iter().map(|seat| seat.slot).collect();
        for slot in self.named.difference(&slots) {
            turns.remove(*slot)?;
        }
        let (chosen, others): (Vec<_>, Vec<_>) =
            seats.iter().partition(|seat| chosen.contains(&seat.cookie));
        // Of a slot that is being replaced there are two; it has one turn.
        let named: BTreeMap<u32, _> =
            others.iter().chain(&chosen).map(|seat: &&Seat<'_>| (seat.slot, seat.socket)).collect();
        for (slot, socket) in named {
            turns.put(slot, socket)?;
        }
        let healthy: Vec<u32> = chosen.iter().map(|seat| seat.slot).collect();
        turns.set_healthy(&healthy)?;
        let attached = self.applied.as_ref().map(|plan| plan.balance) == Some(Balance::RoundRobin);
        if let Some(seat) = chosen.first().filter(|_| !attached) {
            turns.attach(seat.socket.as_fd())?;
            self.programmed = true;
        }
        self.named = slots;
        Ok(())
    }

    /// Whether its queues are looked at: there is a choice.
    pub(super) fn is_group(&self) -> bool {
        self.order.size() > 1
    }
}

//! Sockets of slots whose connections a front passes on ([`Balance::Private`]): each has an address
//! of this machine to itself, at the same port, under the name of the public address that its
//! program asked for. The public address is held in the name of the front, as long as a slot has a
//! socket for it.
//!
//! It is bound by us, and before the program's own bind is answered, so that a stranger on the port
//! and a port that nobody may have are the program's honest errors.

use super::{
    Ports,
    hold::{Hold, HoldId, Phase},
    key::Key,
    lease::Censuses,
    source::Claim,
};
use crate::{
    balance::Balance,
    message::{Address, Event, Owner},
};
use rpm_unix::socket::{self, Endpoint, Fresh, SocketName};
use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
};

/// As much as the system allows, until the program calls listen with its own.
const BACKLOG: i32 = 0;
/// The upper half of what loopback has (RFC 1122, 3.2.1.3), below which people choose theirs.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 0);
/// Its 10 bits.
const PRIVATE_MASK: u32 = 0xffc0_0000;

impl Ports {
    /// Whether the slots of an app have private sockets for this address. A front reaches TCP
    /// sockets of our own network namespace, and those for IPv6 alone have one loopback address
    /// only.
    pub(super) fn is_private(&self, app: &str, key: &Key) -> bool {
        self.balance(app) == Balance::Private
            && matches!(key.address, Address::Tcp(_))
            && key.namespace == self.network
            && !key.only_v6
            && key.device.is_empty()
    }

    /// Answers a bind with a new private socket of the slot.
    pub(super) fn give_private(&mut self, claim: Claim, censuses: &mut Censuses) -> Vec<Event> {
        match self.open_private(claim.caller.owner.clone(), &claim.key, BACKLOG) {
            Ok(id) => self.give(claim, id, censuses),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(socket::NOT_PERMITTED);
                self.fail(claim, errno, None)
            }
        }
    }

    /// The slot's private socket, made now if there is none. With a negative backlog only one that
    /// is there, whoever uses it: to ask where it is bound changes nothing.
    pub(super) fn asked_private(
        &mut self,
        owner: Owner,
        key: Key,
        backlog: i32,
    ) -> io::Result<OwnedFd> {
        let known = self.table.key_at(&owner, &key.address);
        let found = known.and_then(|key| self.table.find(&owner, &key));
        let found = found.filter(|id| self.table.holds.get(id).is_some_and(|hold| hold.private));
        if backlog < 0 {
            let hold = found.and_then(|id| self.table.holds.get(&id));
            return hold.ok_or(io::ErrorKind::NotFound)?.socket.try_clone();
        }
        let id = found.map_or_else(|| self.open_private(owner, &key, backlog), Ok)?;
        self.lend(id)
    }

    fn open_private(&mut self, owner: Owner, key: &Key, backlog: i32) -> io::Result<HoldId> {
        self.open_public(&owner.app, key)?;
        if !self.table.has_room(&owner.app, key) {
            return Err(io::Error::from_raw_os_error(socket::TOO_MANY));
        }
        let fresh = Fresh { reuse_port: true, backlog, ..Fresh::default() };
        let address = self.free_address(key);
        let socket = socket::open_listener(&Endpoint::Tcp(address), &fresh)?;
        let mut hold = Hold::new(owner, key.clone(), socket, Phase::Listening)?;
        (hold.private, hold.made, hold.backlog) = (true, true, backlog);
        Ok(self.table.insert(hold))
    }

    /// An address that no socket of ours has: one of a former keeper may have any.
    fn free_address(&self, key: &Key) -> SocketAddr {
        let all = self.table.holds.values().chain(&self.table.ghosts).chain(&self.table.gone);
        let private = all.filter(|hold| hold.private);
        let used: BTreeSet<SocketAddr> = private.filter_map(bound_to).collect();
        let first = self.table.next_number();
        let mut addresses = (first..=first.saturating_add(used.len() as u64))
            .map(|number| private_address(key, number));
        addresses.find(|one| !used.contains(one)).unwrap_or(private_address(key, first))
    }

    fn open_public(&mut self, app: &str, key: &Key) -> io::Result<()> {
        let owner = Owner::front(app);
        if self.table.find(&owner, key).is_none() {
            let mut hold = self.open(owner, key.clone(), BACKLOG, None)?;
            (hold.asked, hold.public) = (true, true);
            hold.served_by([]);
            // A stranger on the port was seen; from now on those at addresses of their own fit.
            socket::set_reuse_port(&hold.socket, true)?;
            self.table.insert(hold);
        }
        Ok(())
    }

    /// Closes public addresses for which no slot has a socket any more.
    pub(super) fn close_unused_fronts(&mut self) {
        if !self.table.holds.values().any(|hold| hold.public) {
            return;
        }
        let private = self.table.holds.values().filter(|hold| hold.private);
        let used: BTreeSet<(String, Key)> =
            private.map(|hold| (hold.owner.app.clone(), hold.key.clone())).collect();
        let unused = |hold: &Hold| {
            hold.public && !used.contains(&(hold.owner.app.clone(), hold.key.clone()))
        };
        if self.table.holds.values().any(unused) {
            self.drop_holds(unused);
        }
    }
}

fn bound_to(hold: &Hold) -> Option<SocketAddr> {
    match socket::local_name(&hold.socket).ok()? {
        SocketName::Inet(address) => Some(address),
        SocketName::Path(_) | SocketName::Other => None,
    }
}

/// Where a socket of this number is bound: at the same port, because Node takes another one for a
/// failure, and at an address of this machine that nobody else has there. An IPv6 socket takes
/// IPv4.
fn private_address(key: &Key, number: u64) -> SocketAddr {
    let number = u32::try_from(number & u64::from(!PRIVATE_MASK)).unwrap_or_default();
    let address = Ipv4Addr::from(u32::from(PRIVATE) | number);
    match key.is_ipv6() {
        true => (address.to_ipv6_mapped(), key.port()).into(),
        false => (address, key.port()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> Key {
        let address = Address::Tcp(address.parse().unwrap());
        Key { address, namespace: 1, only_v6: false, device: Vec::new() }
    }

    #[test]
    fn each_number_has_an_address_at_the_same_port() {
        let table = [
            ("0.0.0.0:80", 0, "127.64.0.0:80"),
            ("127.0.0.1:81", 258, "127.64.1.2:81"),
            ("127.0.0.1:81", (1 << 22) - 1, "127.127.255.255:81"),
            ("127.0.0.1:81", (1 << 40) + 7, "127.64.0.7:81"),
            ("[::]:80", 1, "[::ffff:127.64.0.1]:80"),
        ];
        for (public, number, private) in table {
            assert_eq!(private_address(&key(public), number).to_string(), private);
        }
    }
}

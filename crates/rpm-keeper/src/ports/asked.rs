//! Sockets the daemon asks for: those of Node's workers, and of socket activation. The daemon says
//! when they go, so they have no lease.

use super::{
    Ports,
    attempt::Attempt,
    hold::{Hold, HoldId, Phase},
    key::Key,
    source::file_of,
    steer::group_of,
};
use crate::message::{Address, Event, Owner};
use rpm_unix::socket::{self, Fresh};
use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
    path::Path,
    time::Instant,
};

impl Ports {
    /// A duplicate of this owner's held socket, bound and listening; made now if there is none, by
    /// the keeper itself and with its rights. For [`crate::Request::Listen`].
    pub fn listen(
        &mut self,
        request: u64,
        owner: Owner,
        address: Address,
        only_v6: bool,
        backlog: i32,
    ) -> Event {
        let namespace = self.namespace(&address);
        let only_v6 = only_v6 && is_v6(&address);
        let key = Key { address, namespace, only_v6, device: Vec::new() };
        if let Some(holder) = self.table.foreigner(&owner.app, &key) {
            let holder = Some(holder.clone());
            return Event::ListenFailed { request, errno: socket::ADDRESS_IN_USE, holder };
        }
        let asked = if self.is_private(&owner.app, &key) {
            self.asked_private(owner, key, backlog)
        } else {
            self.asked(owner, key, backlog, None)
        };
        self.handover.touched = true;
        let _told_later = self.steer();
        match asked {
            Ok(fd) => Event::Listener { request, fd },
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(socket::NOT_PERMITTED);
                Event::ListenFailed { request, errno, holder: None }
            }
        }
    }

    /// Closes one address of an owner. For [`crate::Request::Close`].
    pub fn close(&mut self, owner: &Owner, address: &Address) {
        self.drop_holds(|hold| hold.owner == *owner && hold.key.address == *address);
        let _told_later = self.steer();
    }

    /// Closes all sockets of an owner. For [`crate::Request::Release`].
    pub fn release(&mut self, owner: &Owner) {
        let of_owner = self.table.holds.values_mut().filter(|hold| hold.owner == *owner);
        of_owner.for_each(Hold::abandon);
        self.drop_holds(|hold| hold.owner == *owner);
        self.table.attempts.retain(|attempt| attempt.owner != *owner);
        self.retiring.remove(owner);
        self.recall_ghosts();
        let _told_later = self.steer();
        self.forget_balance(&owner.app);
    }

    /// The held socket, made now if there is none: for `user`, or for us.
    pub(super) fn asked(
        &mut self,
        owner: Owner,
        key: Key,
        backlog: i32,
        user: Option<u32>,
    ) -> io::Result<OwnedFd> {
        let own = self.table.find(&owner, &key);
        let is_one = self.is_one(&owner.app, &key);
        let id = match own.filter(|id| is_one || !self.table.is_borrowed(*id)) {
            Some(id) => id,
            None => {
                let hold = self.open(owner, key, backlog, user)?;
                self.table.insert(hold)
            }
        };
        self.lend(id)
    }

    pub(super) fn lend(&mut self, id: HoldId) -> io::Result<OwnedFd> {
        let owner = self.table.holds.get(&id).ok_or(io::ErrorKind::NotFound)?.owner.clone();
        let living: Vec<_> = self.living(&owner).map(|(child, _)| child).collect();
        self.table.mark(id);
        let hold = self.table.holds.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        (hold.asked, hold.revivals) = (true, 0);
        hold.listen()?;
        hold.served_by(living);
        hold.phase = Phase::Listening;
        hold.socket.try_clone()
    }

    pub(super) fn open(
        &self,
        owner: Owner,
        key: Key,
        backlog: i32,
        user: Option<u32>,
    ) -> io::Result<Hold> {
        if !self.table.has_room(&owner.app, &key) {
            return Err(io::Error::from_raw_os_error(socket::TOO_MANY));
        }
        let first = self.table.first(&owner.app, &key).filter(|_| self.is_one(&owner.app, &key));
        if let Some(first) = first.and_then(|id| self.table.holds.get(&id)) {
            return first.for_slot(owner);
        }
        let other = self.table.rivals(&owner.app, &key).next();
        self.open_address(&owner.app, &key, None);
        let near = |attempt: &Attempt| attempt.owner.app == owner.app && attempt.key.overlaps(&key);
        let reuse_port = other.is_some() || self.table.attempts.iter().any(near);
        let veiled = self.takes_from_others(&owner.app, &key);
        let fresh = Fresh { only_v6: key.only_v6, reuse_port, backlog, owner: user, deaf: veiled };
        let socket = match &key.address {
            Address::Unix(path) => {
                open_path(path, || socket::open_listener(&key.endpoint(), &fresh))?
            }
            Address::Tcp(_) | Address::Udp(_) => socket::open_listener(&key.endpoint(), &fresh)?,
        };
        let mut hold = Hold::new(owner, key, socket, Phase::Listening)?;
        (hold.made, hold.backlog) = (true, backlog);
        if veiled {
            hold.veil(Instant::now());
        }
        hold.file = own_file(&hold.key.address);
        Ok(hold)
    }

    pub(super) fn drop_holds(&mut self, which: impl Fn(&Hold) -> bool) {
        self.handover.touched = true;
        let gone: Vec<_> = self.table.holds.extract_if(.., |_, hold| which(hold)).collect();
        for (_, hold) in gone {
            self.unlink(&hold);
            self.table.marked.extend(group_of(&hold));
            self.table.gone.push(hold);
        }
    }

    /// A path that we made goes with the last socket on it.
    fn unlink(&self, gone: &Hold) {
        let is_last = self.table.holds.values().all(|hold| hold.cookie != gone.cookie);
        if let Address::Unix(path) = &gone.key.address
            && gone.made
            && is_last
            && gone.file.is_some()
            && gone.file == own_file(&gone.key.address)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// A socket file whose server was killed refuses connections, and would refuse the next server for
/// ever: it is removed, and the bind done once more.
fn open_path(path: &Path, open: impl Fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    match open() {
        Err(error) if error.raw_os_error() == Some(socket::ADDRESS_IN_USE) && is_dead(path) => {
            fs::remove_file(path)?;
            open()
        }
        result => result,
    }
}

fn is_dead(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && socket::is_dead_path(path)
}

fn own_file(address: &Address) -> Option<(u64, u64)> {
    match address {
        Address::Unix(path) => file_of(i32::try_from(std::process::id()).ok()?, path),
        Address::Tcp(_) | Address::Udp(_) => None,
    }
}

fn is_v6(address: &Address) -> bool {
    match address {
        Address::Tcp(address) | Address::Udp(address) => address.is_ipv6(),
        Address::Unix(_) => false,
    }
}

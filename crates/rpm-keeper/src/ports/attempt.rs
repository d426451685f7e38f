//! [`Attempt`]: a bind that was let through, until its socket listens, fails or is closed.
//!
//! No duplicate of the socket is kept: a client that binds its own port and connects would never
//! send its last packet, because we still had the connection open. It is taken for a moment when
//! there is something to ask or set.

use super::{key::Key, schedule::Schedule, source::Claim};
use crate::message::{ChildId, Owner};
use rpm_unix::{
    caller,
    procfd::{Census, Place},
    socket::{self, SocketName},
};
use std::{os::fd::OwnedFd, time::Instant};

/// A program's own bind.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) child: ChildId,
    pub(super) owner: Owner,
    pub(super) key: Key,
    /// What getsockname must tell once it is bound.
    pub(super) name: SocketName,
    pub(super) cookie: u64,
    pub(super) inode: u64,
    pub(super) place: Place,
    pub(super) thread: i32,
    /// The program had set SO_REUSEPORT itself.
    pub(super) wants: bool,
    pub(super) nonblocking: Option<bool>,
    /// Its socket had SO_REUSEPORT when its bind was let through, so others need not wait for it.
    pub(super) joins: bool,
    /// It was deafened: it may be a mere look whether the port is free.
    pub(super) veiled: bool,
    /// It was seen to be bound.
    pub(super) bound: bool,
    pub(super) schedule: Schedule,
}

/// How a bind stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// The thread may not have done it yet.
    InFlight,
    /// It is bound; here is the socket.
    Bound(OwnedFd),
    /// It was refused, or its socket is closed or bound elsewhere.
    Failed,
}

impl Attempt {
    pub(super) fn new(claim: Claim, joins: bool) -> Self {
        let Claim { caller, name, key, wants } = claim;
        Self {
            child: caller.child,
            owner: caller.owner,
            key,
            name,
            cookie: caller.cookie,
            inode: caller.inode,
            place: caller.place,
            thread: caller.note.thread,
            wants,
            nonblocking: socket::is_nonblocking(&caller.socket).ok(),
            joins,
            veiled: false,
            bound: false,
            schedule: Schedule::from(Instant::now()),
        }
    }

    /// Looks at the socket now.
    pub(super) fn standing(&self) -> Standing {
        // Asked first: if the thread is out of bind(2), what the socket tells afterwards is final.
        let over = caller::is_binding(self.thread) == Some(false) || self.schedule.is_over();
        let Some(socket) = self.socket() else { return Standing::Failed };
        match socket::local_name(&socket) {
            Ok(name) if name == self.name => Standing::Bound(socket),
            Ok(name) if over || !is_unbound(&name) => Standing::Failed,
            Ok(_) => Standing::InFlight,
            Err(_) => Standing::Failed,
        }
    }

    /// The socket, if it still is where it was.
    pub(super) fn socket(&self) -> Option<OwnedFd> {
        let socket = caller::take_fd(self.place.pid, self.place.fd).ok()?;
        (socket::cookie(&socket).ok()? == self.cookie).then_some(socket)
    }

    /// Finds the socket again after the program moved it; false if nobody has it any more.
    pub(super) fn find(&mut self, census: &Census) -> bool {
        match census.places.get(&self.inode) {
            Some(place) => {
                self.place = *place;
                true
            }
            None => !census.complete,
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        if self.bound { None } else { self.schedule.next() }
    }
}

fn is_unbound(name: &SocketName) -> bool {
    match name {
        SocketName::Inet(address) => address.port() == 0,
        SocketName::Path(_) => false,
        SocketName::Other => true,
    }
}

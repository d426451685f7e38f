//! What a verdict means: the answer, and what is remembered of it.

use super::{
    Ports,
    attempt::Attempt,
    hold::HoldId,
    key::Key,
    lease::Censuses,
    schedule::Schedule,
    source::{Caller, Claim, Source},
    waiting::Waiting,
};
use crate::message::{ChildId, Event, Owner};
use rpm_unix::{
    caller, epoll,
    procfd::Place,
    seccomp::{Answer, Notification},
    socket::{self, Transport},
    steer,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

impl Ports {
    /// The kernel decides.
    pub(super) fn pass(&self, child: ChildId, note: &Notification) -> Vec<Event> {
        if let Some(source) = self.sources.get(&child) {
            source.answer(note, Answer::Continue);
        }
        Vec::new()
    }

    /// We may not look into the caller (a container's profile, Yama): it serves alone, as without
    /// a filter. A caller that is gone is another matter.
    pub(super) fn blind(
        &self,
        child: ChildId,
        note: &Notification,
        error: &io::Error,
    ) -> Vec<Event> {
        self.pass(child, note);
        let errno = error.raw_os_error().unwrap_or(socket::NOT_PERMITTED);
        let forbidden = error.kind() == io::ErrorKind::PermissionDenied;
        forbidden.then_some(Event::Unfiltered { child, errno }).into_iter().collect()
    }

    /// The socket is in its place, only the answer was lost.
    pub(super) fn done(&mut self, claim: &Claim) -> Vec<Event> {
        let caller = &claim.caller;
        if let Some(id) = self.table.find_socket(&caller.owner, caller.cookie)
            && let Some(hold) = self.table.holds.get_mut(&id)
        {
            hold.given_to(caller.child, caller.place, Instant::now());
            self.table.mark(id);
        }
        self.succeed(claim)
    }

    fn succeed(&self, claim: &Claim) -> Vec<Event> {
        let child = claim.caller.child;
        if let Some(source) = self.sources.get(&child) {
            source.answer(&claim.caller.note, Answer::Success);
        }
        let address = claim.key.address.clone();
        if claim.key.is_udp() { vec![Event::Listening { child, address }] } else { Vec::new() }
    }

    pub(super) fn refuse(&self, claim: Claim, holder: Owner) -> Vec<Event> {
        self.fail(claim, socket::ADDRESS_IN_USE, Some(holder))
    }

    /// Has the bind fail with this error number.
    pub(super) fn fail(&self, claim: Claim, errno: i32, holder: Option<Owner>) -> Vec<Event> {
        let (child, address) = (claim.caller.child, claim.key.address);
        if let Some(source) = self.sources.get(&child) {
            source.answer(&claim.caller.note, Answer::Error(errno));
        }
        vec![Event::Refused { child, address, errno, holder }]
    }

    pub(super) fn wait(&mut self, caller: &Caller, waited: Option<Schedule>) -> Vec<Event> {
        let schedule = waited.unwrap_or_else(|| Schedule::from(Instant::now()));
        let waiting = Waiting { child: caller.child, note: caller.note, schedule };
        if !self.waiting.push(waiting) {
            self.pass(caller.child, &caller.note);
        }
        Vec::new()
    }

    /// Puts the held socket in the place of the program's own.
    pub(super) fn give(&mut self, claim: Claim, id: HoldId, censuses: &mut Censuses) -> Vec<Event> {
        let caller = &claim.caller;
        let shared = self.is_used_by_others(id, caller.child, censuses);
        if self.replace(caller, id, !shared).is_ok() {
            // Without room for a hold of its own, the slot uses the other's.
            let _ = self.adopt(caller, id);
            return self.succeed(&claim);
        }
        let waits = |source: &Source| source.is_valid(&caller.note);
        if self.sources.get(&caller.child).is_some_and(waits) {
            return self.join(claim);
        }
        // It is gone, or calls again.
        Vec::new()
    }

    fn replace(&self, caller: &Caller, id: HoldId, blocking: bool) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::InvalidInput);
        let hold = self.table.holds.get(&id).ok_or_else(gone)?;
        let source = self.sources.get(&caller.child).ok_or_else(gone)?;
        let listener = source.listener.as_ref().ok_or_else(gone)?;
        socket::copy_options(&caller.socket, &hold.socket, caller.transport, blocking)?;
        let close_on_exec = caller::closes_on_exec(caller.place.pid, caller.place.fd);
        let Place { pid, fd } = caller.place;
        let watches = epoll::watches(pid, fd);
        listener.replace_fd(&caller.note, hold.socket.as_fd(), close_on_exec.unwrap_or(true))?;
        for watch in watches {
            // Its epoll is gone, or has it already: the call was repeated.
            let _ = epoll::renew(pid, watch, fd, hold.socket.as_fd());
        }
        Ok(())
    }

    /// Notes the new user; a slot that got another slot's socket (a path) has its own hold of it.
    fn adopt(&mut self, caller: &Caller, id: HoldId) -> io::Result<()> {
        let Some(hold) = self.table.holds.get_mut(&id) else { return Ok(()) };
        let nonblocking = socket::is_nonblocking(&caller.socket).ok();
        if hold.owner == caller.owner {
            hold.given_to(caller.child, caller.place, Instant::now());
            hold.nonblocking = nonblocking;
            self.table.mark(id);
            return Ok(());
        }
        let mut hold = hold.for_slot(caller.owner.clone())?;
        hold.given_to(caller.child, caller.place, Instant::now());
        hold.nonblocking = nonblocking;
        self.table.insert(hold);
        Ok(())
    }

    /// The program's own bind, beside others of its app.
    pub(super) fn join(&mut self, claim: Claim) -> Vec<Event> {
        let caller = &claim.caller;
        if caller.transport != Transport::Unix {
            self.open_address(&caller.owner.app, &claim.key, socket::owner(&caller.socket).ok());
            // A refusal (no such option) shows in the bind itself.
            let _ = socket::set_reuse_port(&caller.socket, true);
        }
        let veiled = self.veil(caller.socket.as_fd(), &caller.owner.app, &claim.key);
        let events = self.attempt(claim, true);
        if let Some(attempt) = self.table.attempts.last_mut() {
            attempt.veiled = veiled;
        }
        events
    }

    /// Deafens a socket that would take connections from those that serve every address of the
    /// port: it may be a probe, which is closed at once, and what had come to it would be reset
    /// (traps A1). Whether it is deaf now.
    fn veil(&self, socket: BorrowedFd<'_>, app: &str, key: &Key) -> bool {
        self.takes_from_others(app, key) && steer::deafen(socket, key.is_ipv6()).is_ok()
    }

    /// Whether the app serves every address of the port, and this one would be taken from that.
    pub(super) fn takes_from_others(&self, app: &str, key: &Key) -> bool {
        let mut rivals = self.table.rivals(app, key);
        rivals.any(|(_, hold)| key.is_within(&hold.key) && hold.listens())
    }

    /// Lets others of this user have the address, too.
    pub(super) fn open_address(&self, app: &str, key: &Key, user: Option<u32>) {
        for (_, hold) in self.table.rivals(app, key) {
            share(&hold.socket, user);
        }
        let near = |attempt: &&Attempt| attempt.owner.app == app && attempt.key.overlaps(key);
        for attempt in self.table.attempts.iter().filter(near) {
            if let Some(socket) = attempt.socket() {
                share(&socket, user);
            }
        }
    }

    /// The program's own bind, with SO_REUSEPORT off: a stranger on the port is to be seen.
    pub(super) fn first(&mut self, claim: Claim) -> Vec<Event> {
        let socket = &claim.caller.socket;
        if claim.caller.transport != Transport::Unix && socket::reuse_port(socket).unwrap_or(false)
        {
            // What was set can be cleared.
            let _ = socket::set_reuse_port(socket, false);
        }
        self.attempt(claim, false)
    }

    fn attempt(&mut self, claim: Claim, joins: bool) -> Vec<Event> {
        let (child, note) = (claim.caller.child, claim.caller.note);
        self.table.attempts.push(Attempt::new(claim, joins));
        self.pass(child, &note)
    }
}

/// A socket that root made is first given to the user whose sockets shall join it (traps B3).
fn share(fd: impl AsFd, user: Option<u32>) {
    if let Some(user) = user
        && socket::owner(&fd).is_ok_and(|owner| owner == 0 && owner != user)
    {
        // Root may; if we are not, the kernel refuses the join, which is told.
        let _ = socket::set_owner(&fd, user);
    }
    let _ = socket::set_reuse_port(fd, true);
}

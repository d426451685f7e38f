//! A bind: gather the facts, decide, do it.

use super::{
    Ports,
    attempt::{Attempt, Standing},
    hold::{Hold, HoldId},
    key::Key,
    lease::Censuses,
    schedule::Schedule,
    source::{Caller, wanted_name},
    verdict::{Facts, Held, Verdict, verdict},
    waiting::Waiting,
};
use crate::message::{Address, ChildId, Event, Owner};
use rpm_unix::{
    caller,
    seccomp::{Answer, Notification},
    socket::{self, SocketName, Transport},
};
use std::{io, os::fd::AsFd, time::Instant};

impl Ports {
    /// Answers a bind, or lets it wait. `waited`: it was seen before.
    pub(super) fn bind(
        &mut self,
        child: ChildId,
        note: Notification,
        waited: Option<Schedule>,
    ) -> Vec<Event> {
        let Some(source) = self.sources.get(&child) else { return Vec::new() };
        let name = wanted_name(&note);
        let looked = match &name {
            Some(_) => source.caller(child, note),
            None => Ok(None),
        };
        // Only now it is certain that what was read was the caller's.
        if !source.is_valid(&note) {
            return Vec::new();
        }
        match (name, looked) {
            (Some(name), Ok(Some(caller))) => match caller.key(&name) {
                Some(key) => self.decide(caller, name, key, waited),
                None => self.pass(child, &note),
            },
            (Some(name), Err(error)) => self.blind(child, &note, &name, &error),
            (None, _) | (_, Ok(None)) => self.pass(child, &note),
        }
    }

    fn decide(
        &mut self,
        caller: Caller,
        name: SocketName,
        key: Key,
        waited: Option<Schedule>,
    ) -> Vec<Event> {
        let mut censuses = Censuses::default();
        let wants = self.forget_former(&caller);
        let mut events = self.finish_thread(&caller);
        events.extend(self.look_at_attempts(Instant::now()));
        // A UDP socket that was closed has nothing to live on for but stale datagrams.
        let spared = (!key.is_udp()).then_some(&key);
        self.expire(caller.child, spared, &mut censuses);
        self.drop_useless(&caller, &key);
        let wants = wants.unwrap_or_else(|| socket::reuse_port(&caller.socket).unwrap_or(false));
        let patient = waited.is_none_or(|schedule| !schedule.is_over());
        let facts = self.facts(&caller, &key, wants, patient, &mut censuses);
        events.extend(match verdict(&facts) {
            Verdict::Pass => self.pass(caller.child, &caller.note),
            Verdict::Done => self.done(&caller, &key),
            Verdict::Refuse(holder) => self.refuse(&caller, key, Some(holder)),
            Verdict::Wait => self.wait(&caller, waited),
            Verdict::Give(hold) => self.give(caller, name, key, hold, wants, &mut censuses),
            Verdict::Join => self.join(caller, name, key, wants),
            Verdict::First => self.first(caller, name, key, wants),
        });
        events
    }

    /// The same socket's former attempt, whose answer a signal lost or whose bind failed: it starts
    /// anew, but SO_REUSEPORT may be of our doing, so what it was before is handed on.
    fn forget_former(&mut self, caller: &Caller) -> Option<bool> {
        let attempts = &mut self.table.attempts;
        let at = attempts.iter().position(|attempt| attempt.cookie == caller.cookie)?;
        Some(attempts.swap_remove(at).wants)
    }

    /// A thread that calls again has finished its former bind: if that socket is not bound now, it
    /// never was.
    pub(super) fn finish_thread(&mut self, caller: &Caller) -> Vec<Event> {
        let same = |attempt: &Attempt| {
            attempt.thread == caller.note.thread
                && attempt.cookie != caller.cookie
                && !attempt.bound
        };
        let (former, others) = std::mem::take(&mut self.table.attempts).into_iter().partition(same);
        self.table.attempts = others;
        let mut events = Vec::new();
        for mut attempt in former {
            match attempt.standing() {
                Standing::Bound(socket) => {
                    attempt.bound = true;
                    events.extend(self.was_bound(attempt, socket));
                }
                Standing::InFlight | Standing::Failed => events.extend(self.failed(&attempt)),
            }
        }
        events
    }

    /// Sockets that are of no use to this caller: those at a path that names another file by now, or
    /// none, because the program unlinked it; and UDP sockets that the program has connected.
    fn drop_useless(&mut self, caller: &Caller, key: &Key) {
        let file = caller.file(key);
        let useless = |hold: &Hold| match key.address {
            Address::Unix(_) => hold.file != file,
            Address::Udp(_) => socket::has_peer(&hold.socket),
            Address::Tcp(_) => false,
        };
        let app = &caller.owner.app;
        let same = |hold: &Hold| hold.owner.app == *app && hold.key == *key;
        self.table.holds.retain(|_, hold| !same(hold) || !useless(hold));
    }

    fn facts(
        &mut self,
        caller: &Caller,
        key: &Key,
        wants: bool,
        patient: bool,
        censuses: &mut Censuses,
    ) -> Facts {
        let app = &caller.owner.app;
        let rivals: Vec<_> = self.table.rivals(app, key).map(|(id, _)| id).collect();
        let mut own = false;
        for id in &rivals {
            own |= self.is_used_by(*id, caller.child, censuses);
        }
        let near = |attempt: &&Attempt| attempt.owner.app == *app && attempt.key.overlaps(key);
        let attempts: Vec<_> = self.table.attempts.iter().filter(near).collect();
        own |= attempts.iter().any(|attempt| attempt.bound && attempt.child == caller.child);
        // A path has one socket, so a second slot waits until the first one's listens.
        let in_flight = attempts.iter();
        let in_flight =
            in_flight.filter(|attempt| !(attempt.bound || attempt.joins) || key.is_unix());
        let in_flight = in_flight.count() > 0;
        let busy = self.table.attempts.iter().any(|attempt| !attempt.bound && attempt.key == *key);
        Facts {
            given: rivals.iter().any(|id| self.is_socket(*id, caller.cookie)),
            foreign: self.table.foreigner(app, key).cloned(),
            in_flight: patient && (in_flight || busy) && !own,
            others: !attempts.is_empty() || !rivals.is_empty(),
            room: self.table.has_room(app, key),
            hold: self.held(caller, key, censuses),
            own,
            wants,
        }
    }

    fn is_socket(&self, id: HoldId, cookie: u64) -> bool {
        self.table.holds.get(&id).is_some_and(|hold| hold.cookie == cookie)
    }

    /// The socket to give: the slot's own, or of a path that of any slot.
    fn held(&mut self, caller: &Caller, key: &Key, censuses: &mut Censuses) -> Option<Held> {
        let of_app =
            |ports: &Self| ports.table.rivals(&caller.owner.app, key).next().map(|one| one.0);
        let id = match self.table.find(&caller.owner, key) {
            Some(id) => id,
            None if key.is_unix() => of_app(self)?,
            None => return None,
        };
        let shuts_down = self.table.rivals(&caller.owner.app, key).any(|(_, hold)| hold.shuts_down);
        let expected = self.table.holds.get(&id)?.nonblocking;
        let nonblocking = socket::is_nonblocking(&caller.socket).ok();
        let differs = expected.is_some() && expected != nonblocking;
        let unshareable = !key.is_unix()
            && (shuts_down || differs)
            && self.is_used_by_others(id, caller.child, censuses);
        Some(Held { id, unshareable })
    }

    fn is_used_by_others(&mut self, id: HoldId, child: ChildId, censuses: &mut Censuses) -> bool {
        let Some(hold) = self.table.holds.get(&id) else { return false };
        let others: Vec<_> = hold.users.keys().copied().filter(|other| *other != child).collect();
        others.into_iter().any(|other| self.is_used_by(id, other, censuses))
    }

    /// The kernel decides.
    pub(super) fn pass(&self, child: ChildId, note: &Notification) -> Vec<Event> {
        if let Some(source) = self.sources.get(&child) {
            source.answer(note, Answer::Continue);
        }
        Vec::new()
    }

    /// The caller's descriptors may not be taken (Docker's default profile, Yama): it serves alone.
    fn blind(
        &self,
        child: ChildId,
        note: &Notification,
        name: &SocketName,
        error: &io::Error,
    ) -> Vec<Event> {
        self.pass(child, note);
        let errno = error.raw_os_error().unwrap_or(socket::NOT_PERMITTED);
        match name {
            SocketName::Inet(address) if error.kind() == io::ErrorKind::PermissionDenied => {
                let address = Address::Tcp(*address);
                vec![Event::Refused { child, address, errno, holder: None }]
            }
            SocketName::Inet(_) | SocketName::Path(_) | SocketName::Other => Vec::new(),
        }
    }

    /// The socket is in its place, only the answer was lost.
    fn done(&mut self, caller: &Caller, key: &Key) -> Vec<Event> {
        if let Some(id) = self.table.find_socket(&caller.owner, caller.cookie)
            && let Some(hold) = self.table.holds.get_mut(&id)
        {
            hold.used_by(caller.child, caller.place);
        }
        self.succeed(caller, key)
    }

    fn succeed(&self, caller: &Caller, key: &Key) -> Vec<Event> {
        if let Some(source) = self.sources.get(&caller.child) {
            source.answer(&caller.note, Answer::Success);
        }
        let (child, address) = (caller.child, key.address.clone());
        if key.is_udp() { vec![Event::Listening { child, address }] } else { Vec::new() }
    }

    fn refuse(&self, caller: &Caller, key: Key, holder: Option<Owner>) -> Vec<Event> {
        let errno = socket::ADDRESS_IN_USE;
        if let Some(source) = self.sources.get(&caller.child) {
            source.answer(&caller.note, Answer::Error(errno));
        }
        vec![Event::Refused { child: caller.child, address: key.address, errno, holder }]
    }

    fn wait(&mut self, caller: &Caller, waited: Option<Schedule>) -> Vec<Event> {
        let schedule = waited.unwrap_or_else(|| Schedule::from(Instant::now()));
        let waiting = Waiting { child: caller.child, note: caller.note, schedule };
        if !self.waiting.push(waiting) {
            self.pass(caller.child, &caller.note);
        }
        Vec::new()
    }

    /// Puts the held socket in the place of the program's own.
    fn give(
        &mut self,
        caller: Caller,
        name: SocketName,
        key: Key,
        id: HoldId,
        wants: bool,
        censuses: &mut Censuses,
    ) -> Vec<Event> {
        let shared = self.is_used_by_others(id, caller.child, censuses);
        match self.replace(&caller, id, !shared) {
            Ok(()) => {
                let _ = self.adopt(&caller, id);
                self.succeed(&caller, &key)
            }
            // It is gone, or calls again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(_) => self.join(caller, name, key, wants),
        }
    }

    fn replace(&self, caller: &Caller, id: HoldId, blocking: bool) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let hold = self.table.holds.get(&id).ok_or_else(gone)?;
        let source = self.sources.get(&caller.child).ok_or_else(gone)?;
        let listener = source.listener.as_ref().ok_or_else(gone)?;
        socket::copy_options(&caller.socket, &hold.socket, caller.transport, blocking)?;
        let close_on_exec = caller::closes_on_exec(caller.place.pid, caller.place.fd)?;
        listener.replace_fd(&caller.note, hold.socket.as_fd(), close_on_exec)
    }

    /// Notes the new user; a slot that got another slot's socket (a path) has its own hold of it.
    fn adopt(&mut self, caller: &Caller, id: HoldId) -> io::Result<()> {
        let Some(hold) = self.table.holds.get_mut(&id) else { return Ok(()) };
        let nonblocking = socket::is_nonblocking(&caller.socket).ok();
        if hold.owner == caller.owner {
            hold.used_by(caller.child, caller.place);
            hold.nonblocking = nonblocking;
            return Ok(());
        }
        let mut hold = hold.for_slot(caller.owner.clone())?;
        hold.used_by(caller.child, caller.place);
        hold.nonblocking = nonblocking;
        self.table.insert(hold);
        Ok(())
    }

    /// The program's own bind, beside others of its app.
    fn join(&mut self, caller: Caller, name: SocketName, key: Key, wants: bool) -> Vec<Event> {
        if caller.transport != Transport::Unix {
            self.open_address(&caller.owner.app, &key, socket::owner(&caller.socket).ok());
            let _ = socket::set_reuse_port(&caller.socket, true);
        }
        self.attempt(caller, name, key, wants, true)
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
    fn first(&mut self, caller: Caller, name: SocketName, key: Key, wants: bool) -> Vec<Event> {
        if caller.transport != Transport::Unix
            && socket::reuse_port(&caller.socket).unwrap_or(false)
        {
            let _ = socket::set_reuse_port(&caller.socket, false);
        }
        self.attempt(caller, name, key, wants, false)
    }

    fn attempt(
        &mut self,
        caller: Caller,
        name: SocketName,
        key: Key,
        wants: bool,
        joins: bool,
    ) -> Vec<Event> {
        let note = caller.note;
        self.table.attempts.push(Attempt {
            child: caller.child,
            owner: caller.owner,
            key,
            name,
            cookie: caller.cookie,
            inode: caller.inode,
            place: caller.place,
            thread: note.thread,
            wants,
            nonblocking: socket::is_nonblocking(&caller.socket).ok(),
            joins,
            bound: false,
            schedule: Schedule::from(Instant::now()),
        });
        self.pass(caller.child, &note)
    }
}

/// A socket that root made is first given to the user whose sockets shall join it (traps B3).
fn share(fd: impl AsFd, user: Option<u32>) {
    if let Some(user) = user
        && socket::owner(&fd).is_ok_and(|owner| owner == 0 && owner != user)
    {
        let _ = socket::set_owner(&fd, user);
    }
    let _ = socket::set_reuse_port(fd, true);
}

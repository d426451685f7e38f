//! What the daemon asks for.

use crate::{
    children::Start,
    daemon::StartFailure,
    keeper::{Keeper, Life},
    message::{ChildId, Event, Request, SpawnStage, VERSION},
    ready,
    spawner::Failure,
    spec::SpawnSpec,
    wire::{self, MAX_MESSAGE},
};
use rpm_unix::{fdpass, time::boot_milliseconds};
use std::{io, os::fd::OwnedFd};

/// How many requests are answered before others get their turn.
const MAX_REQUESTS: usize = 64;
/// "Invalid argument" and "process table full".
const EINVAL: i32 = 22;
const EAGAIN: i32 = 11;

/// What came over the link.
enum Incoming {
    Request(Request),
    /// Something that is no request.
    Garbage(String),
    /// Nothing now.
    Quiet,
    /// The daemon's end is closed.
    Closed,
}

impl Keeper {
    /// Answers what the daemon asked, as long as there is room for answers.
    pub(crate) fn read_requests(&mut self) {
        for _ in 0..MAX_REQUESTS {
            if !self.outbox.has_room() {
                return;
            }
            match self.read_request() {
                Incoming::Request(request) => self.answer(request),
                Incoming::Garbage(text) => self.tell(Event::Error { text }),
                Incoming::Quiet => return,
                Incoming::Closed => return self.link_closed(),
            }
        }
    }

    /// Does what a dead daemon had still asked for: it may have known that this is done first.
    /// There is no more of it than the socket's buffer holds.
    pub(crate) fn read_last_requests(&mut self) {
        loop {
            match self.read_request() {
                Incoming::Request(request) => self.answer(request),
                Incoming::Garbage(_) => {}
                Incoming::Quiet | Incoming::Closed => return,
            }
        }
    }

    fn read_request(&self) -> Incoming {
        self.link.as_ref().map_or(Incoming::Closed, receive)
    }

    pub(crate) fn answer(&mut self, request: Request) {
        match request {
            Request::Hello { version } => self.greet(version),
            Request::Spawn { child, label, spec } => self.spawn(child, label, &spec),
            Request::Acknowledge { child } => {
                self.children.forget(child);
                self.ports.remove_child(child);
                self.groups.remove(child);
            }
            Request::Settled { child } => self.ports.settled(child),
            Request::Listen { request, owner, address, only_v6, backlog, balance } => {
                let events = self.ports.share_by(&owner, balance);
                self.tell_all(events);
                let event = self.ports.listen(request, owner, address, only_v6, backlog);
                self.tell(event);
            }
            Request::Close { owner, address } => self.ports.close(&owner, &address),
            Request::Release { owner } => {
                self.ports.release(&owner);
                // Whoever hears that they are released finds the addresses free, so the daemon
                // closes its duplicates first.
                self.tell_shared();
                self.tell(Event::Released);
            }
            Request::Retire { owner } => {
                let events = self.ports.retire(owner);
                self.tell_all(events);
            }
            Request::Relieve { child } => {
                let events = self.ports.relieve(child);
                self.tell_all(events);
            }
            Request::Slots { request } => {
                let events = self.ports.slots(request);
                self.tell_all(events);
            }
            Request::Hold { name, fd } => {
                if !self.holder.hold(name, fd) {
                    self.tell(Event::Error { text: "too many descriptors are held".to_owned() });
                }
            }
            Request::Drop { name } => self.holder.drop_one(&name),
            Request::Inventory => {
                self.ports.tell_all_again();
                self.outbox.inventory();
                // The daemon that was told of these may have died before it acted.
                for (child, address) in self.children.listening() {
                    self.outbox.push(Event::Listening { child, address });
                }
            }
            Request::Listened { child, address } => self.children.has_listened(child, &address),
            Request::Adopt { child, label, status, listening: _ } => {
                self.adopt(child, label, status);
            }
            Request::AdoptSocket { record, socket } => self.adopt_socket(&record, socket),
            Request::Adopted => self.adopted(),
            Request::Snapshot => self.tell_snapshot(),
            Request::Upgrade { program } => self.upgrade = Some(program),
            Request::Shutdown => self.life = Life::Ending,
        }
    }

    fn greet(&mut self, version: u16) {
        if version != VERSION {
            let text = format!("the keeper speaks version {VERSION}, the daemon {version}");
            self.tell(Event::Error { text });
        }
        let (history, now) = (&self.daemon.history, boot_milliseconds());
        let (deaths, crashes) = (history.deaths(now), history.crashes(now));
        let keeper = i32::try_from(std::process::id()).unwrap_or(0);
        self.tell(Event::Welcome { version: VERSION, deaths, crashes, keeper });
        // Under systemd whoever started us is about to exit, or has died: we are the service.
        if let Err(error) = rpm_unix::notify::tell(&format!("MAINPID={keeper}")) {
            crate::log::note(format_args!("the service manager was not told: {error}"));
        }
        self.ready.tell(ready::OK);
        self.greeted = true;
        if self.end_wanted {
            self.want_end();
        }
    }

    /// A child that is there is told again, in place of another of the same name.
    fn spawn(&mut self, child: ChildId, label: Vec<u8>, spec: &OwnedFd) {
        if self.children.is_starting(child) {
            return;
        }
        if let Some(entry) = self.children.get(child) {
            let has_ended = entry.status.is_some();
            self.outbox.spawned(child);
            if has_ended {
                self.outbox.exited(child);
            }
            return;
        }
        match self.start(child, label, spec) {
            Ok(start) => self.children.add(child, start),
            Err(failure) => self.spawn_failed(child, failure),
        }
    }

    fn start(&mut self, child: ChildId, label: Vec<u8>, spec: &OwnedFd) -> Result<Start, Failure> {
        if self.children.is_full() {
            return Err(Failure { stage: SpawnStage::Fork, errno: EAGAIN });
        }
        let spec = SpawnSpec::open(spec).map_err(|error| unreadable(&error))?;
        let (share, balance) = (spec.share.clone(), spec.balance);
        if let Some(owner) = &share {
            let events = self.ports.share_by(owner, spec.balance);
            self.tell_all(events);
        }
        let sockets = self.activated(child, &spec)?;
        let group = self.groups.enter(child, spec.limits.group)?;
        let (starting, kept) = self.spawner.start(spec, &sockets, group.as_ref())?;
        Ok(Start { starting, kept, label, share, balance })
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure { stage: SpawnStage::Spec, errno: error.raw_os_error().unwrap_or(EINVAL) }
}

fn receive(link: &OwnedFd) -> Incoming {
    let mut buffer = [0; MAX_MESSAGE];
    match fdpass::receive(link, &mut buffer) {
        Ok((0, _)) => Incoming::Closed,
        Ok((length, fds)) => {
            match wire::decode_request(buffer.get(..length).unwrap_or_default(), fds) {
                Ok(request) => Incoming::Request(request),
                Err(error) => Incoming::Garbage(error.to_string()),
            }
        }
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Incoming::Quiet,
            io::ErrorKind::InvalidData => Incoming::Garbage(error.to_string()),
            _ => Incoming::Closed,
        },
    }
}

impl Keeper {
    /// Starts a daemon if it is time to; a failure is tried again a second later.
    pub(crate) fn replace_daemon(&mut self) {
        let due = self.daemon.due(boot_milliseconds()).is_some_and(|due| due.is_zero());
        if !due || self.life != Life::Serving {
            return;
        }
        if let Err(error) = self.start_daemon() {
            self.cannot_start(&error);
        }
    }

    fn cannot_start(&mut self, error: &StartFailure) {
        crate::log::note(format_args!("cannot start the daemon: {error}"));
        if self.ready.is_waited_for() {
            self.ready.tell(&format!("cannot start the daemon: {error}"));
            self.life = Life::Done(1);
        }
    }
}

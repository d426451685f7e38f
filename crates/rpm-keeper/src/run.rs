//! The poll loop: what it waits for, and whose turn it is then. It never waits anywhere else.

use crate::{
    groups::WorkerGroups,
    keeper::{Keeper, Life},
    log::note,
    message::ChildId,
    outbox::Flush,
    ports,
};
use rpm_unix::{
    poll::{Entry, poll},
    time::boot_milliseconds,
};
use std::{os::fd::AsFd, time::Duration};

/// SIGHUP, SIGINT, SIGTERM and SIGCHLD, the same on every architecture rpm runs on.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
/// The signals the loop takes as records.
pub(crate) const SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGTERM, SIGCHLD];
/// How long to leave the kernel alone when it has no room for descriptors on their way.
const PAUSE: Duration = Duration::from_millis(100);

/// Something that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Signals,
    Link,
    Start(ChildId),
    Foster(ChildId),
    Daemon,
    Port(ports::Token),
}

impl Keeper {
    /// Runs until the keeper is to exit; with what code, and what there is to clear away then.
    pub(crate) fn run(mut self) -> (i32, WorkerGroups) {
        loop {
            self.replace_daemon();
            self.tell_shared();
            let flushed = self.flush();
            self.upgrade_if_wanted();
            if let Life::Done(code) = self.life {
                return (code, self.groups);
            }
            for ready in self.wait(flushed) {
                self.turn(ready);
            }
            // Cheap when nothing is due, and whatever is due then is.
            let events = self.ports.on_timeout();
            self.tell_all(events);
        }
    }

    fn turn(&mut self, ready: Ready) {
        match ready {
            Ready::Signals => self.on_signals(),
            Ready::Link => self.read_requests(),
            Ready::Start(child) => self.resolve(child),
            Ready::Foster(child) => self.foster_ended(child),
            Ready::Daemon => self.foster_daemon_ended(),
            Ready::Port(token) => {
                let events = self.ports.on_ready(token);
                self.tell_all(events);
            }
        }
    }

    /// What is ready, in an order in which a child's start comes before its ports, and both before
    /// its exit.
    fn wait(&self, flushed: Flush) -> Vec<Ready> {
        let mut entries = Vec::new();
        let mut names = Vec::new();
        let mut add = |name, entry| {
            names.push(name);
            entries.push(entry);
        };
        self.children
            .reports()
            .for_each(|(child, fd)| add(Ready::Start(child), Entry::readable(fd)));
        if self.outbox.has_room() {
            self.ports.watched().for_each(|(token, entry)| add(Ready::Port(token), entry));
        }
        if let Some(entry) = self.link_entry(flushed) {
            add(Ready::Link, entry);
        }
        self.children
            .fosters()
            .for_each(|(child, fd)| add(Ready::Foster(child), Entry::readable(fd)));
        if let Some(daemon) = self.daemon.foster() {
            add(Ready::Daemon, Entry::readable(daemon));
        }
        add(Ready::Signals, Entry::readable(self.signals.as_fd()));
        if let Err(error) = poll(&mut entries, self.patience(flushed)) {
            note(format_args!("cannot poll: {error}"));
        }
        let ready = entries.iter().zip(names).filter(|(entry, _)| entry.is_ready());
        ready.map(|(_, name)| name).collect()
    }

    fn link_entry(&self, flushed: Flush) -> Option<Entry<'_>> {
        let link = self.link.as_ref()?.as_fd();
        match (flushed, self.outbox.has_room()) {
            (Flush::Full, read) => Some(Entry::writable(link, read)),
            (Flush::Idle | Flush::Pause, true) => Some(Entry::readable(link)),
            (Flush::Idle | Flush::Pause, false) => Some(Entry::hangup(link)),
        }
    }

    /// How long nothing but an event can make a difference.
    fn patience(&self, flushed: Flush) -> Option<Duration> {
        let restart = self.daemon.due(boot_milliseconds()).filter(|_| self.life == Life::Serving);
        let pause = match flushed {
            Flush::Pause => Some(PAUSE),
            Flush::Idle | Flush::Full => None,
        };
        [restart, pause, self.ports.timeout()].into_iter().flatten().min()
    }

    fn flush(&mut self) -> Flush {
        let Some(link) = &self.link else { return Flush::Idle };
        match self.outbox.flush(link, (&self.children, &self.holder, &self.ports)) {
            Ok(flushed) => flushed,
            Err(error) => {
                // Its last requests, the farewell among them, can be read all the same.
                self.read_last_requests();
                if self.life == Life::Serving {
                    note(format_args!("the daemon's link is lost: {error}"));
                }
                self.link_closed();
                Flush::Idle
            }
        }
    }

    fn on_signals(&mut self) {
        loop {
            match self.signals.next() {
                // Any number of deaths is one SIGCHLD.
                Ok(Some(SIGCHLD)) => self.reap(),
                Ok(Some(SIGINT | SIGTERM)) => self.want_end(),
                // The terminal of whoever started us is gone, which we left long ago.
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => return note(format_args!("cannot read signals: {error}")),
            }
        }
    }
}

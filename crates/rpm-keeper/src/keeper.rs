//! [`Keeper`]: all it has, and what happens when a process starts or ends.

use crate::{
    children::{Children, Outcome},
    daemon::{Daemon, LINK_BUFFER, StartFailure},
    groups::WorkerGroups,
    holder::Holder,
    log::note,
    message::{ChildId, Event},
    outbox::Outbox,
    ports::Ports,
    ready::Ready,
    spawner::{Failure, Spawner},
};
use rpm_unix::{
    fdpass,
    home::Home,
    signal::Signals,
    spawn::{Filter, Spawned},
    time::boot_milliseconds,
    wait::{self, End},
};
use std::{io, os::fd::OwnedFd};

/// Linux's numbers; the same on every architecture rpm runs on.
pub(crate) const SIGKILL: i32 = 9;
pub(crate) const SIGTERM: i32 = 15;
/// "I/O error", for a child that died without a word.
const EIO: i32 = 5;

/// The keeper's whole state.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) signals: Signals,
    pub(crate) spawner: Spawner,
    pub(crate) children: Children,
    pub(crate) holder: Holder,
    pub(crate) ports: Ports,
    pub(crate) groups: WorkerGroups,
    pub(crate) daemon: Daemon,
    /// Our end; `None` between two daemons.
    pub(crate) link: Option<OwnedFd>,
    pub(crate) outbox: Outbox,
    pub(crate) ready: Ready,
    pub(crate) life: Life,
    /// The daemon has said hello: it can take a signal.
    pub(crate) greeted: bool,
    /// Somebody wants us to end; told to each daemon until one does it.
    pub(crate) end_wanted: bool,
    /// What to execute in our place as soon as nothing is in the air.
    pub(crate) upgrade: Option<OwnedFd>,
    pub(crate) home: Home,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// A dead daemon is replaced.
    Serving,
    /// The daemon said that it was the last one.
    Ending,
    /// Exit with this code.
    Done(i32),
}

impl Keeper {
    /// Starts a daemon; the one before is reaped.
    pub(crate) fn start_daemon(&mut self) -> Result<(), StartFailure> {
        self.ports.tell_all_again();
        let link = self.daemon.start(self.spawner.baseline(), boot_milliseconds())?;
        self.outbox.clear();
        self.link = Some(link);
        self.greeted = false;
        Ok(())
    }

    /// Goes on with a daemon that a former keeper has started, or with what it had said.
    pub(crate) fn take_over(&mut self, link: OwnedFd, daemon: Option<Spawned>) -> io::Result<()> {
        fdpass::set_send_buffer(&link, LINK_BUFFER)?;
        self.link = Some(link);
        (self.daemon.running, self.daemon.foster) = (daemon, true);
        self.greeted = true;
        Ok(())
    }

    /// The daemon's end is closed. Should it still live it can neither be told anything nor be
    /// replaced, so it is ended, unless it is about to end by itself.
    pub(crate) fn link_closed(&mut self) {
        self.link = None;
        self.outbox.clear();
        if self.life == Life::Serving {
            self.daemon.signal(SIGKILL);
        }
    }

    /// Tells the daemon, if there is one; the next one learns it from the inventory.
    pub(crate) fn tell(&mut self, event: Event) {
        if let Event::Listening { child, address } = &event {
            self.children.has_listened(*child, address);
        }
        if self.link.is_some() {
            self.outbox.push(event);
        }
    }

    /// Tells all of these.
    pub(crate) fn tell_all(&mut self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.tell(event));
    }

    /// Looks how far a start is.
    pub(crate) fn resolve(&mut self, child: ChildId) {
        match self.children.resolve(child) {
            Outcome::Open => {}
            Outcome::Failed(failure) => self.spawn_failed(child, failure),
            Outcome::Executed { pid, filter, share } => {
                if self.link.is_some() {
                    self.outbox.spawned(child);
                }
                self.take_filter(child, pid, filter, share);
            }
        }
    }

    pub(crate) fn spawn_failed(&mut self, child: ChildId, failure: Failure) {
        let Failure { stage, errno } = failure;
        self.groups.remove(child);
        self.tell(Event::SpawnFailed { child, stage, errno });
    }

    fn take_filter(
        &mut self,
        child: ChildId,
        pid: i32,
        filter: Filter,
        share: Option<crate::message::Owner>,
    ) {
        let errno = match (filter, share) {
            (Filter::Installed(notify), Some(owner)) => {
                match self.ports.add_child(child, owner, pid, notify) {
                    Ok(()) => return,
                    Err(error) => error.raw_os_error().unwrap_or(EIO),
                }
            }
            (Filter::Refused(errno), _) => errno,
            (Filter::None | Filter::Installed(_), _) => return,
        };
        self.tell(Event::Unfiltered { child, errno });
    }

    /// Reaps every dead child of this process: ours, the daemon, and orphans, which are nobody's.
    pub(crate) fn reap(&mut self) {
        loop {
            match wait::reap_any() {
                Ok(Some((pid, end))) => self.ended(pid, end),
                Ok(None) => break,
                Err(error) => {
                    note(format_args!("cannot reap: {error}"));
                    break;
                }
            }
        }
        // The last of a group may have been among them.
        self.groups.remove_left();
    }

    fn ended(&mut self, pid: i32, end: End) {
        if self.daemon.is(pid) {
            return self.daemon_ended(end);
        }
        let Some(child) = self.children.of_pid(pid) else { return };
        // Its last word is in its report, which is complete now.
        self.resolve(child);
        let events = self.ports.exited(child);
        self.tell_all(events);
        if self.children.ended(child, end) && self.link.is_some() {
            self.outbox.exited(child);
        }
    }

    /// A daemon ended that is not our child, so nobody tells us how: as if somebody had killed it.
    pub(crate) fn foster_daemon_ended(&mut self) {
        self.daemon_ended(End::Signal(SIGKILL));
    }

    /// Tells the daemon which held sockets changed.
    pub(crate) fn tell_shared(&mut self) {
        if self.link.is_none() || !self.outbox.has_room() {
            return;
        }
        let (changed, gone) = self.ports.changes();
        changed.into_iter().for_each(|hold| self.outbox.shared(hold));
        gone.into_iter().for_each(|hold| self.tell(Event::Unshared { hold }));
    }

    fn daemon_ended(&mut self, end: End) {
        self.daemon.died(end, boot_milliseconds());
        self.read_last_requests();
        self.link_closed();
        if self.ports.is_awaiting() {
            // Not all was handed over: the next pair takes the apps over as they are.
            note(format_args!("the daemon died while it handed everything over"));
            self.life = Life::Done(1);
        } else if self.life == Life::Ending {
            self.life = Life::Done(0);
        } else if self.ready.is_waited_for() {
            // There is nothing to keep yet, so the command line is told and may try again.
            self.ready.tell(&format!("the daemon ended at once ({}), see its log", told(end)));
            self.life = Life::Done(1);
        } else {
            note(format_args!("the daemon ended ({}) and is started again", told(end)));
        }
    }

    /// Somebody wants the keeper to end: the daemon knows how (it stops the apps and says
    /// [`crate::Request::Shutdown`]), so it is told by the same signal, as soon as it has greeted.
    pub(crate) fn want_end(&mut self) {
        self.end_wanted = true;
        if self.greeted {
            self.daemon.signal(SIGTERM);
        }
    }
}

fn told(end: End) -> String {
    match end {
        End::Code(code) => format!("exit code {code}"),
        End::Signal(signal) => {
            let name = rpm_unix::signal::name(signal).map(str::to_owned);
            name.unwrap_or_else(|| format!("signal {signal}"))
        }
    }
}

//! The daemon's end of the keeper link, as tokio sees it: events in, requests out in order.

use crate::ledger::SocketEntry;
use rpm_keeper::{ChildId, Event, Link, Request};
use std::{collections::VecDeque, io};
use tokio::io::{Interest, Ready, unix::AsyncFd};

/// An open link. Requests are gathered by `send` and go out when a turn is committed.
pub(crate) struct KeeperLink {
    link: AsyncFd<Link>,
    /// This turn's requests.
    turn: VecDeque<Request>,
    /// Committed requests the socket had no room for yet.
    outbox: VecDeque<Request>,
}

impl KeeperLink {
    /// Wraps the link this process was started with.
    pub(crate) fn new(link: Link) -> io::Result<Self> {
        let link = crate::async_fd::register(link)?;
        Ok(Self { link, turn: VecDeque::new(), outbox: VecDeque::new() })
    }

    /// The keeper's next event; sends what is left of committed turns while it waits. Cancel safe:
    /// a datagram is taken or sent whole or not at all.
    pub(crate) async fn receive(&mut self) -> io::Result<Event> {
        loop {
            let interest = if self.outbox.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let mut ready = self.link.ready(interest).await?;
            if ready.ready().is_writable() {
                ready.clear_ready_matching(Ready::WRITABLE);
                Self::write_out(&self.link, &mut self.outbox)?;
                continue;
            }
            match ready.get_inner().receive()? {
                Some(event) => return Ok(event),
                None => ready.clear_ready_matching(Ready::READABLE),
            }
        }
    }

    /// The keeper's next event, if there is one already.
    pub(crate) fn try_receive(&mut self) -> io::Result<Option<Event>> {
        match self.link.get_ref().receive() {
            // Told once more by the next `receive`.
            Err(error) if is_loss(&error) => Ok(None),
            result => result,
        }
    }

    /// What the keeper holds, as the ledger has it.
    pub(crate) fn held_sockets(&self) -> Vec<SocketEntry> {
        let all = self.link.get_ref().held_sockets().into_iter();
        all.map(|(record, inode)| SocketEntry { record, inode }).collect()
    }

    /// Spawns that the keeper may have done without having said so.
    pub(crate) fn uncertain_spawns(&self) -> Vec<ChildId> {
        self.link.get_ref().uncertain_spawns()
    }

    /// Goes on with the next keeper, which is first told all that this one kept.
    pub(crate) fn hand_over(&mut self, next: Self) {
        let former = std::mem::replace(&mut self.link, next.link);
        let mut everything = former.into_inner().hand_over();
        everything.append(&mut self.outbox);
        self.outbox = everything;
    }

    /// Sends `request` when this turn is committed.
    pub(crate) fn send(&mut self, request: Request) {
        self.turn.push_back(request);
    }

    /// Sends `request` before all others of this turn.
    pub(crate) fn send_first(&mut self, request: Request) {
        self.turn.push_front(request);
    }

    /// Sends `request` at once, ahead of this turn, if nothing of former ones waits.
    pub(crate) fn send_now(&mut self, request: Request) {
        self.outbox.push_back(request);
        // What fails here fails again when the turn is committed, and is told then.
        let _later = Self::write_out(&self.link, &mut self.outbox);
    }

    /// Commits the turn: its requests go out now, as far as the socket takes them.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        self.outbox.append(&mut self.turn);
        match Self::write_out(&self.link, &mut self.outbox) {
            // They stay for the next keeper; `receive` tells of the loss.
            Err(error) if is_loss(&error) => Ok(()),
            result => result,
        }
    }

    /// Writes everything.
    pub(crate) async fn flush_all(&mut self) -> io::Result<()> {
        self.release()?;
        while !self.outbox.is_empty() {
            self.link.writable().await?.clear_ready();
            Self::write_out(&self.link, &mut self.outbox)?;
        }
        Ok(())
    }

    fn write_out(link: &AsyncFd<Link>, outbox: &mut VecDeque<Request>) -> io::Result<()> {
        while let Some(request) = outbox.front() {
            match link.get_ref().send(request) {
                Ok(()) => drop(outbox.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    // One request that cannot be said (a path beyond all bounds) must not end all.
                    tracing::error!("a request to the keeper is left out: {error}");
                    outbox.pop_front();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether an error of the link means that the keeper is gone.
pub(crate) fn is_loss(error: &io::Error) -> bool {
    let gone =
        [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    gone.contains(&error.kind())
}

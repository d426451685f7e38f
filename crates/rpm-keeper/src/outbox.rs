//! What is still to be told to the daemon. Children are named, not copied, so that it stays small
//! however long the daemon does not read; the keeper reads no requests while it is full.

use crate::{
    children::Children,
    codec::WireError,
    holder::Holder,
    inventory::Inventory,
    message::{ChildId, Event},
    ports::Ports,
    wire::{self, Packet},
};
use rpm_unix::fdpass;
use std::{collections::VecDeque, io, os::fd::AsFd};

/// How many messages may wait before requests and port events do. Exits may exceed it: there is at
/// most one of each child.
const MAX_WAITING: usize = 1024;
/// "Too many references" and "out of memory": the kernel wants fewer descriptors on their way.
const ETOOMANYREFS: i32 = 109;
const ENOMEM: i32 = 12;
const ENOBUFS: i32 = 105;

/// Messages in the order they will be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    items: VecDeque<Item>,
}

#[derive(Debug)]
enum Item {
    Spawned(ChildId),
    Exited(ChildId),
    Shared(u64),
    Inventory(Inventory),
    Event(Event),
}

/// How far sending went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// There is nothing more, or what comes next is not decided yet.
    Idle,
    /// The socket is full: go on when it is writable.
    Full,
    /// The kernel wants a pause, and has no event for its end.
    Pause,
}

impl Outbox {
    /// Whether all is told.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether more requests and port events may be taken on.
    pub(crate) fn has_room(&self) -> bool {
        self.items.len() < MAX_WAITING
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.items.push_back(Item::Event(event));
    }

    /// A child runs. An inventory that has not begun will tell it.
    pub(crate) fn spawned(&mut self, child: ChildId) {
        let asked = |item: &Item| matches!(item, Item::Inventory(Inventory::Asked));
        if !self.items.iter().any(asked) {
            self.items.push_back(Item::Spawned(child));
        }
    }

    pub(crate) fn exited(&mut self, child: ChildId) {
        self.items.push_back(Item::Exited(child));
    }

    /// A held socket changed; told as it is when its turn comes.
    pub(crate) fn shared(&mut self, hold: u64) {
        if !self.items.iter().any(|item| matches!(item, Item::Shared(other) if *other == hold)) {
            self.items.push_back(Item::Shared(hold));
        }
    }

    pub(crate) fn inventory(&mut self) {
        self.items.push_back(Item::Inventory(Inventory::Asked));
    }

    /// Forgets what was for a daemon that is gone; the next one asks.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    /// Sends what can be sent now.
    ///
    /// # Errors
    /// The daemon's end is closed.
    pub(crate) fn flush(
        &mut self,
        socket: impl AsFd,
        (children, holder, ports): (&Children, &Holder, &Ports),
    ) -> io::Result<Flush> {
        while let Some(item) = self.items.front_mut() {
            let Some(step) = step(item, (children, holder, ports)) else { return Ok(Flush::Idle) };
            match send(&socket, step.packet.as_ref()) {
                Ok(()) => {}
                Err(error) => return pause(error),
            }
            match step.then {
                Some(inventory) => *item = Item::Inventory(inventory),
                None => drop(self.items.pop_front()),
            }
        }
        Ok(Flush::Idle)
    }
}

/// One message, and what becomes of its item once it is sent.
struct Step<'a> {
    /// `None`: what it was about is forgotten.
    packet: Option<Result<Packet<'a>, WireError>>,
    then: Option<Inventory>,
}

/// The next message of an item; `None` while it has to wait.
fn step<'a>(
    item: &'a mut Item,
    (children, holder, ports): (&'a Children, &'a Holder, &'a Ports),
) -> Option<Step<'a>> {
    let packet = match item {
        Item::Inventory(inventory) => {
            let next = inventory.next(children, holder);
            return Some(Step { packet: Some(next.packet()?), then: next.told(inventory) });
        }
        Item::Event(event) => Some(wire::encode_event(event)),
        Item::Shared(hold) => ports.packet(*hold),
        Item::Spawned(child) => children.get(*child).map(|entry| wire::spawned(&entry.child)),
        Item::Exited(child) => {
            let status = children.get(*child).and_then(|entry| entry.status);
            status.map(|status| wire::exited(*child, status))
        }
    };
    Some(Step { packet, then: None })
}

fn send(socket: impl AsFd, packet: Option<&Result<Packet<'_>, WireError>>) -> io::Result<()> {
    match packet {
        Some(Ok(packet)) => fdpass::send(socket, &packet.bytes, &packet.fds),
        // A path that a program listens on can be longer than a message tells.
        Some(Err(error)) => {
            crate::log::note(format_args!("an event is not told: {error}"));
            Ok(())
        }
        None => Ok(()),
    }
}

fn pause(error: io::Error) -> io::Result<Flush> {
    match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::WouldBlock => Ok(Flush::Full),
        Some(ETOOMANYREFS | ENOMEM | ENOBUFS) => Ok(Flush::Pause),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Link, message::VERSION};

    /// What the daemon received, without the descriptors.
    fn received(link: &Link) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(Some(event)) = link.receive() {
            all.push(match event {
                Event::Held { name, .. } => name,
                Event::Welcome { .. } => "welcome".to_owned(),
                Event::InventoryEnd => "end".to_owned(),
                other => format!("{other:?}"),
            });
        }
        all
    }

    fn holder(count: usize) -> Holder {
        let mut holder = Holder::default();
        for number in 0..count {
            let fd = rpm_unix::pipe::null().unwrap();
            assert!(holder.hold(format!("{number:04}"), fd));
        }
        holder
    }

    #[test]
    fn an_inventory_goes_on_where_the_socket_was_full() {
        let (ours, theirs) = fdpass::pair(true).unwrap();
        fdpass::set_send_buffer(&ours, 8192).unwrap();
        let link = Link::new(theirs).unwrap();
        let (children, holder) = (Children::default(), holder(100));
        let mut outbox = Outbox::default();
        outbox.push(Event::Welcome { version: VERSION, deaths: 0, crashes: 0, keeper: 1 });
        outbox.inventory();
        let mut all = Vec::new();
        let mut rounds = 0;
        while outbox.flush(&ours, (&children, &holder, &Ports::new())).unwrap() == Flush::Full {
            all.extend(received(&link));
            rounds += 1;
        }
        all.extend(received(&link));
        let names = (0..100).map(|number| format!("{number:04}"));
        let expected: Vec<String> =
            ["welcome".to_owned()].into_iter().chain(names).chain(["end".to_owned()]).collect();
        assert_eq!(all, expected);
        assert!(rounds > 1, "the socket was never full");
    }

    #[test]
    fn room_ends_at_the_bound_and_what_is_forgotten_is_skipped() {
        let mut outbox = Outbox::default();
        for number in 0..MAX_WAITING {
            assert!(outbox.has_room());
            outbox.spawned(ChildId(number as u64));
        }
        assert!(!outbox.has_room());
        let (ours, theirs) = fdpass::pair(true).unwrap();
        let link = Link::new(theirs).unwrap();
        let idle =
            outbox.flush(&ours, (&Children::default(), &Holder::default(), &Ports::new())).unwrap();
        assert_eq!(idle, Flush::Idle);
        assert!(outbox.has_room());
        assert_eq!(received(&link), Vec::<String>::new());
    }

    #[test]
    fn an_inventory_that_was_asked_for_tells_the_start_itself() {
        let mut outbox = Outbox::default();
        outbox.inventory();
        outbox.spawned(ChildId(1));
        assert_eq!(outbox.items.len(), 1);
    }

    #[test]
    fn a_closed_link_is_an_error() {
        let (ours, theirs) = fdpass::pair(true).unwrap();
        drop(theirs);
        let mut outbox = Outbox::default();
        outbox.inventory();
        let error = outbox
            .flush(&ours, (&Children::default(), &Holder::default(), &Ports::new()))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

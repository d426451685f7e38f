//! The daemon's half of the link: its end of the socket and what else it was started with.

use crate::{
    codec::WireError,
    estate::Estate,
    message::{ChildId, Event, LINK_FD, LOCK_FD, RPC_FD, Request},
    wire::{MAX_MESSAGE, decode_event, encode_request},
};
use rpm_unix::{fd, fdpass, procfd};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

/// The daemon's end of the link. Neither direction ever waits; an event loop watches [`AsFd`].
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    estate: RefCell<Estate>,
}

/// What a daemon inherits beside the link.
#[derive(Debug)]
pub struct DaemonDescriptors {
    /// The listening socket of the command line protocol, non-blocking.
    pub rpc: OwnedFd,
    /// The lock of the home: as long as any copy of it is open, no second keeper starts.
    pub lock: OwnedFd,
}

/// Takes over the inherited listener and lock; once in a process.
pub fn daemon_descriptors() -> io::Result<DaemonDescriptors> {
    Ok(DaemonDescriptors { rpc: fd::adopt(RPC_FD)?, lock: fd::adopt(LOCK_FD)? })
}

impl Link {
    /// Takes over the inherited link; once in a process.
    pub fn adopt() -> io::Result<Self> {
        Self::new(fd::adopt(LINK_FD)?)
    }

    /// A link over one end of a SOCK_SEQPACKET pair, which becomes non-blocking.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        fd::set_nonblocking(&socket, true)?;
        Ok(Self { socket, estate: RefCell::default() })
    }

    /// Sends a request, with duplicates of its descriptors.
    ///
    /// # Errors
    /// `WouldBlock`: nothing was sent, do it again when the link is writable. `InvalidInput`: a
    /// part of the request is beyond its bound. `BrokenPipe`: the keeper is gone.
    pub fn send(&self, request: &Request) -> io::Result<()> {
        let packet = encode_request(request).map_err(invalid_input)?;
        fdpass::send(&self.socket, &packet.bytes, &packet.fds)?;
        self.estate.borrow_mut().sent(request);
        Ok(())
    }

    /// The next event; `None` if there is none now.
    ///
    /// # Errors
    /// `UnexpectedEof`: the keeper is gone. `InvalidData`: what came was no event, or its
    /// descriptors did not all arrive: ask for the inventory again.
    pub fn receive(&self) -> io::Result<Option<Event>> {
        let event = self.receive_any()?;
        if let Some(event) = &event {
            self.estate.borrow_mut().told(event);
        }
        Ok(event)
    }

    /// The sockets that the keeper holds: the record of each, as [`Event::Shared`] has it, and the
    /// inode by which `/proc` names it.
    pub fn held_sockets(&self) -> Vec<(Vec<u8>, u64)> {
        let estate = self.estate.borrow();
        let with_inode =
            |(record, socket): (&[u8], _)| Some((record.to_vec(), procfd::inode(socket).ok()?));
        estate.sockets().filter_map(with_inode).collect()
    }

    /// Spawns that were asked for and not answered: a keeper that died may have done them.
    pub fn uncertain_spawns(&self) -> Vec<ChildId> {
        self.estate.borrow().uncertain()
    }

    /// Everything that the keeper kept, as requests to the next one, in order.
    pub fn hand_over(self) -> VecDeque<Request> {
        self.estate.into_inner().hand_over()
    }

    fn receive_any(&self) -> io::Result<Option<Event>> {
        let mut buffer = [0; MAX_MESSAGE];
        let (length, fds) = match fdpass::receive(&self.socket, &mut buffer) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // How the kernel tells the death of a peer that left our messages unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        decode_event(bytes, fds)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

fn invalid_input(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// For event loops that know descriptors by number.
impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::VERSION, wire};

    #[test]
    fn requests_go_out_and_events_come_in() {
        let (ours, theirs) = fdpass::pair(true).unwrap();
        let link = Link::new(theirs).unwrap();
        assert!(link.receive().unwrap().is_none());
        link.send(&Request::Hello { version: VERSION }).unwrap();
        let mut buffer = [0; MAX_MESSAGE];
        let (length, fds) = fdpass::receive(&ours, &mut buffer).unwrap();
        let hello = wire::decode_request(&buffer[..length], fds).unwrap();
        assert!(matches!(hello, Request::Hello { version: VERSION }));
        let welcome = Event::Welcome { version: VERSION, deaths: 2, crashes: 1, keeper: 9 };
        fdpass::send(&ours, &wire::encode_event(&welcome).unwrap().bytes, &[]).unwrap();
        let event = link.receive().unwrap().unwrap();
        assert!(matches!(event, Event::Welcome { deaths: 2, crashes: 1, keeper: 9, .. }));
    }

    #[test]
    fn garbage_and_the_end_are_errors() {
        let (ours, theirs) = fdpass::pair(true).unwrap();
        let link = Link::new(theirs).unwrap();
        fdpass::send(&ours, b"garbage", &[]).unwrap();
        assert_eq!(link.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
        link.send(&Request::Inventory).unwrap();
        drop(ours);
        assert_eq!(link.receive().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let gone = link.send(&Request::Inventory).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_full_link_keeps_the_request_for_later() {
        let (_ours, theirs) = fdpass::pair(true).unwrap();
        let link = Link::new(theirs).unwrap();
        fdpass::set_send_buffer(&link, 4096).unwrap();
        let error = loop {
            if let Err(error) = link.send(&Request::Inventory) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

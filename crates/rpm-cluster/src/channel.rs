//! [`Channel`]: our end of one Node worker's IPC channel. Lines in, lines and descriptors out, and
//! Node's own handshake for descriptors. What a message means is [`crate::worker`]'s.

use crate::{
    inbox::{Found, Inbox},
    message::Message,
    outbox::{Flushed, Outbox},
    reply,
};
use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use serde_json::Value;
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};
use tokio::{io::Interest, net::UnixStream};

pub use crate::{
    inbox::Thrown,
    outbox::{MAX_LINE_BYTES as MAX_SENT_BYTES, SendError},
};

/// Asked for as send buffer; the kernel doubles it, and gives less only where an administrator
/// lowered `net.core.wmem_max`. Then a line that does not fit whole breaks the channel.
const SEND_BUFFER_BYTES: usize = 192 << 10;

/// A worker's channel. All waiting is cancel-safe: a future dropped half-way loses nothing.
///
/// The keeper holds a duplicate, so dropping this does not close the channel.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    inbox: Inbox,
    outbox: Outbox,
}

impl Channel {
    /// Takes our end of a SOCK_STREAM socketpair, fresh or found at a restart, and makes it
    /// non-blocking. Must be called inside a tokio runtime with I/O.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        setsockopt(&socket, SndBuf, &SEND_BUFFER_BYTES)?;
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let socket = UnixStream::from_std(socket)?;
        Ok(Self { socket, inbox: Inbox::default(), outbox: Outbox::default() })
    }

    /// The next message, or `None` when the worker closed its end. The same message again until
    /// [`Self::consume`]: act on it, answer it, then consume it, so that a daemon killed meanwhile
    /// leaves it to its successor. Sends queued lines while it waits.
    ///
    /// Of a line that is thrown away, and of each part of a very long one, a [`Message::Internal`]
    /// tells, so that even a worker that sends nothing else can be made to wait.
    pub async fn receive(&mut self) -> io::Result<Option<Message>> {
        loop {
            let blocked = self.outbox.flush(&self.socket)? == Flushed::Blocked;
            if blocked {
                tokio::select! {
                    biased;
                    found = Self::found(&self.socket, &mut self.inbox) => {
                        if let Some(end) = self.accept(found?)? {
                            return Ok(end);
                        }
                    }
                    room = Self::room(&self.socket, &mut self.outbox) => room?,
                }
                continue;
            }
            let found = Self::found(&self.socket, &mut self.inbox).await?;
            if let Some(end) = self.accept(found)? {
                return Ok(end);
            }
        }
    }

    /// Takes the message received last out of the channel.
    pub fn consume(&mut self) -> io::Result<()> {
        self.inbox.consume(&self.socket)
    }

    /// Sends `line`, with `descriptor` if it needs one; what the kernel does not take now is sent
    /// by [`Self::receive`] and [`Self::flush`]. The line ends in its only newline, as those of
    /// [`crate::reply`] do.
    ///
    /// The descriptor is made non-blocking, for all who share it: Node takes connections until the
    /// socket would block, and before Node 20 hangs in a socket that blocks.
    pub fn send(
        &mut self,
        line: Vec<u8>,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), SendError> {
        let descriptor = descriptor.map(nonblocking).transpose().map_err(SendError::Broken)?;
        self.outbox.push(line, descriptor)?;
        self.outbox.flush(&self.socket).map_err(SendError::Broken)?;
        Ok(())
    }

    /// Whether lines wait, for room or for the worker's acknowledgement of a descriptor.
    pub fn has_queued(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Waits until the kernel has every line that need not wait for an acknowledgement. For who
    /// holds a message unconsumed and so cannot [`Self::receive`].
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.outbox.flush(&self.socket)? == Flushed::Blocked {
            Self::room(&self.socket, &mut self.outbox).await?;
        }
        Ok(())
    }

    /// Bytes of the worker taken out of the channel so far.
    pub fn taken(&self) -> u64 {
        self.inbox.taken()
    }

    /// Lines of the worker thrown away so far.
    pub fn thrown(&self) -> Thrown {
        self.inbox.thrown()
    }

    async fn found(socket: &UnixStream, inbox: &mut Inbox) -> io::Result<Found> {
        loop {
            let closed = socket.ready(Interest::READABLE).await?.is_read_closed();
            // "Would block" is how tokio learns that a new event is to be waited for.
            let found = socket.try_io(Interest::READABLE, || match inbox.next(socket, closed)? {
                Found::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                found => Ok(found),
            });
            match found {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                found => return found,
            }
        }
    }

    async fn room(socket: &UnixStream, outbox: &mut Outbox) -> io::Result<()> {
        socket.writable().await?;
        let sent = socket.try_io(Interest::WRITABLE, || match outbox.flush(socket)? {
            Flushed::Blocked => Err(io::ErrorKind::WouldBlock.into()),
            Flushed::Idle => Ok(()),
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            sent => sent,
        }
    }

    /// What to hand out, or `None` where the line was the handshake's.
    fn accept(&mut self, found: Found) -> io::Result<Option<Option<Message>>> {
        let value = match found {
            Found::Line(value) => value,
            Found::End => return Ok(Some(None)),
            Found::Rest => return Ok(Some(Some(Message::Internal))),
            Found::Nothing => return Ok(None),
        };
        match value.get("cmd").and_then(Value::as_str) {
            Some("NODE_HANDLE_ACK") => self.outbox.acknowledged(),
            Some("NODE_HANDLE_NACK") => self.outbox.lost(&self.socket)?,
            Some("NODE_HANDLE") => return self.accept_handle(value).map(Some),
            Some(_) | None => return Ok(Some(Some(Message::from_value(value)))),
        }
        self.consume()?;
        Ok(None)
    }

    /// An app sent us a socket. We take none (the kernel closed it), but its sender waits for the
    /// acknowledgement. This line is consumed first: a second acknowledgement, from a successor,
    /// would be an assertion failure in the worker.
    fn accept_handle(&mut self, value: Value) -> io::Result<Option<Message>> {
        self.consume()?;
        match self.send(reply::handle_ack(), None) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        let inner = value.get("msg").cloned().unwrap_or(Value::Null);
        Ok(Some(Message::from_value(inner)))
    }
}

fn nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    rpm_unix::fd::set_nonblocking(descriptor, true)?;
    descriptor.try_clone_to_owned()
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pair() -> (Channel, tokio::net::UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Channel::new(ours.into()).unwrap(), tokio::net::UnixStream::from_std(theirs).unwrap())
    }

    async fn next(channel: &mut Channel) -> Option<Message> {
        let message = channel.receive().await.unwrap();
        channel.consume().unwrap();
        message
    }

    #[tokio::test]
    async fn messages_come_in_order_and_once_each() {
        let (mut channel, mut worker) = pair();
        worker
            .write_all(b"\"ready\"\n{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}\n\n")
            .await
            .unwrap();
        assert_eq!(next(&mut channel).await, Some(Message::App(json!("ready"))));
        assert_eq!(next(&mut channel).await, Some(Message::Online));
        assert_eq!(next(&mut channel).await, Some(Message::Internal), "the empty line");
        let mut receive = Box::pin(channel.receive());
        assert!(turn(&mut receive).await.is_none());
        drop(receive);
        worker.write_all(b"[").await.unwrap();
        let mut receive = Box::pin(channel.receive());
        assert!(turn(&mut receive).await.is_none());
        worker.write_all(b"1]\nhalf").await.unwrap();
        assert_eq!(receive.await.unwrap(), Some(Message::App(json!([1]))));
        channel.consume().unwrap();
        drop(worker);
        assert_eq!(next(&mut channel).await, Some(Message::Internal), "half a line");
        assert_eq!(next(&mut channel).await, None);
        assert_eq!(channel.thrown(), Thrown { garbage: 1, overlong: 0 });
    }

    /// One turn of the runtime: what `future` has to say without anything new happening.
    async fn turn<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = tokio::task::yield_now() => None,
        }
    }

    #[tokio::test]
    async fn a_full_buffer_is_sent_when_the_worker_reads_again() {
        let (mut channel, mut worker) = pair();
        let count = 40;
        for i in 0..count {
            channel.send(reply::app(&json!([i, "x".repeat(20_000)])), None).unwrap();
        }
        assert!(channel.has_queued());
        let read = tokio::spawn(async move {
            let mut bytes = vec![0; 0];
            while bytes.iter().filter(|byte| **byte == b'\n').count() < count {
                worker.read_buf(&mut bytes).await.unwrap();
            }
            worker.write_all(b"1\n").await.unwrap();
            bytes
        });
        assert_eq!(next(&mut channel).await, Some(Message::App(json!(1))));
        assert!(!channel.has_queued());
        let text = String::from_utf8(read.await.unwrap()).unwrap();
        let order: Vec<usize> = text
            .lines()
            .map(|line| serde_json::from_str::<(usize, String)>(line).unwrap().0)
            .collect();
        assert_eq!(order, (0..count).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_socket_sent_by_the_app_is_acknowledged_and_dropped() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(ours.into()).unwrap();
        let (sent, mut other) = UnixStream::pair().unwrap();
        let text = json!({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"x".repeat(100_000)});
        let line = reply::app(&text);
        let writer = std::thread::spawn(move || {
            use std::os::fd::AsRawFd;
            let rights = [sent.as_raw_fd()];
            let control = [nix::sys::socket::ControlMessage::ScmRights(&rights)];
            let head = [io::IoSlice::new(&line)];
            let flags = nix::sys::socket::MsgFlags::empty();
            let fd = theirs.as_raw_fd();
            let done = nix::sys::socket::sendmsg::<()>(fd, &head, &control, flags, None).unwrap();
            theirs.write_all(&line[done..]).unwrap();
            theirs
        });
        let mut message = next(&mut channel).await;
        while message == Some(Message::Internal) {
            message = next(&mut channel).await;
        }
        assert!(message == Some(Message::App(json!("x".repeat(100_000)))));
        let mut theirs = writer.join().unwrap();
        let mut ack = [0; 26];
        std::io::Read::read_exact(&mut theirs, &mut ack).unwrap();
        assert_eq!(String::from_utf8_lossy(&ack), "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
        // Nobody holds the app's socket any more.
        assert_eq!(std::io::Read::read(&mut other, &mut [0; 1]).unwrap(), 0);
    }
}

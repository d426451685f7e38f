//! The writing half of a channel: whole lines or nothing, for half a line kills a Node worker
//! (traps A12), and at most one descriptor that the worker has not acknowledged.

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};
use std::{
    collections::VecDeque,
    fmt, io,
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// The longest line to a worker. The kernel calls a stream socket writable while no more than a
/// quarter of its send buffer is used, so what fits half the buffer then goes out whole;
/// [`crate::channel::Channel::new`] sees to the buffer's size.
pub const MAX_LINE_BYTES: usize = 64 << 10;
/// Lines that may wait for a worker that does not read.
const MAX_QUEUED_LINES: usize = 1024;
/// Bytes of those lines.
const MAX_QUEUED_BYTES: usize = 1 << 20;
/// How often a descriptor is sent again that did not arrive; Node's own number.
const MAX_RETRANSMISSIONS: u32 = 3;

/// Why a line is not sent.
#[derive(Debug)]
pub enum SendError {
    /// Longer than 64 KiB.
    TooLong(usize),
    /// The worker does not read: its queue is full.
    Full,
    /// The worker closed its end. What it said before may still be received.
    Closed,
    /// The channel failed.
    Broken(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => {
                write!(f, "message of {bytes} bytes to a worker, more than {MAX_LINE_BYTES}")
            }
            Self::Full => f.write_str("message to a worker that reads none: its queue is full"),
            Self::Closed => f.write_str("message to a worker that closed its channel"),
            Self::Broken(error) => write!(f, "channel to a worker: {error}"),
        }
    }
}

impl std::error::Error for SendError {}

/// How far the queue came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// All is sent, or waits for an acknowledgement.
    Idle,
    /// The kernel's buffer is full.
    Blocked,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Entry>,
    bytes: usize,
    /// Sent with a descriptor, not acknowledged; kept to be sent again.
    in_flight: Option<(Entry, u32)>,
    /// Nobody will read any more: what is queued is thrown away.
    closed: bool,
}

/// What became of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    NoRoom,
    NoReader,
}

#[derive(Debug)]
struct Entry {
    line: Vec<u8>,
    descriptor: Option<OwnedFd>,
}

impl Outbox {
    /// Queues `line`, which ends in its only newline.
    pub(crate) fn push(
        &mut self,
        line: Vec<u8>,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), SendError> {
        if line.len() > MAX_LINE_BYTES {
            return Err(SendError::TooLong(line.len()));
        }
        if self.closed {
            return Err(SendError::Closed);
        }
        let bytes = self.bytes + line.len();
        if self.queue.len() >= MAX_QUEUED_LINES || bytes > MAX_QUEUED_BYTES {
            return Err(SendError::Full);
        }
        self.bytes = bytes;
        self.queue.push_back(Entry { line, descriptor });
        Ok(())
    }

    /// Nothing waits, not even for an acknowledgement.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_none()
    }

    /// Sends what the kernel takes whole, without waiting.
    pub(crate) fn flush(&mut self, socket: &impl AsFd) -> io::Result<Flushed> {
        while let Some(entry) = self.queue.front() {
            // Behind a descriptor in flight all wait, so that the order stays, as in Node.
            if self.in_flight.is_some() {
                return Ok(Flushed::Idle);
            }
            match send(socket, entry)? {
                Sent::Whole => self.sent(),
                Sent::NoRoom => return Ok(Flushed::Blocked),
                Sent::NoReader => *self = Self { closed: true, ..Self::default() },
            }
        }
        Ok(Flushed::Idle)
    }

    fn sent(&mut self) {
        let Some(entry) = self.queue.pop_front() else { return };
        self.bytes -= entry.line.len();
        if entry.descriptor.is_some() {
            self.in_flight = Some((entry, 0));
        }
    }

    /// The worker has the descriptor.
    pub(crate) fn acknowledged(&mut self) {
        self.in_flight = None;
    }

    /// The descriptor got lost on the way; after three times the worker is left without it.
    pub(crate) fn lost(&mut self, socket: &impl AsFd) -> io::Result<()> {
        let Some((entry, times)) = self.in_flight.take() else { return Ok(()) };
        if times >= MAX_RETRANSMISSIONS {
            return Ok(());
        }
        // In the rare case of a full buffer this retry is spent.
        send(socket, &entry)?;
        self.in_flight = Some((entry, times + 1));
        Ok(())
    }
}

fn has_room(socket: &impl AsFd) -> io::Result<bool> {
    let mut wait = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut wait, PollTimeout::ZERO) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Sends the line whole or not at all.
fn send(socket: &impl AsFd, entry: &Entry) -> io::Result<Sent> {
    if !has_room(socket)? {
        return Ok(Sent::NoRoom);
    }
    let descriptor = entry.descriptor.as_ref().map(|descriptor| [descriptor.as_raw_fd()]);
    let control: Vec<ControlMessage<'_>> =
        descriptor.iter().map(|one| ControlMessage::ScmRights(one)).collect();
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let line = [IoSlice::new(&entry.line)];
    match sendmsg::<()>(socket.as_fd().as_raw_fd(), &line, &control, flags, None) {
        Ok(sent) if sent == entry.line.len() => Ok(Sent::Whole),
        Ok(_) => Err(io::Error::new(io::ErrorKind::WriteZero, "a line went out in part")),
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ETOOMANYREFS) => Ok(Sent::NoRoom),
        Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(Sent::NoReader),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, os::unix::net::UnixStream};

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    fn read_now(from: &mut UnixStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let error = from.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        bytes
    }

    fn line(length: usize, fill: u8) -> Vec<u8> {
        let mut line = vec![fill; length - 1];
        line.push(b'\n');
        line
    }

    #[test]
    fn the_kernel_only_ever_holds_whole_lines() {
        for length in [1, 100, 5_000, 33_000, 40_000, MAX_LINE_BYTES] {
            let (ours, mut theirs) = pair();
            let mut outbox = Outbox::default();
            let mut sent = 0;
            while outbox.flush(&ours).unwrap() == Flushed::Idle {
                outbox.push(line(length, b'a'), None).unwrap();
                sent += 1;
            }
            let held = read_now(&mut theirs);
            assert_eq!(held.len(), (sent - 1) * length, "lines of {length} bytes");
            assert_eq!(outbox.flush(&ours).unwrap(), Flushed::Idle);
            assert_eq!(read_now(&mut theirs).len(), length);
        }
    }

    #[test]
    fn a_worker_that_does_not_read_costs_a_bounded_queue() {
        let mut outbox = Outbox::default();
        let over = outbox.push(line(MAX_LINE_BYTES + 1, b'a'), None);
        assert!(matches!(over, Err(SendError::TooLong(65_537))));
        for _ in 0..MAX_QUEUED_BYTES / MAX_LINE_BYTES {
            outbox.push(line(MAX_LINE_BYTES, b'a'), None).unwrap();
        }
        assert!(matches!(outbox.push(line(1, b'a'), None), Err(SendError::Full)));
        let mut outbox = Outbox::default();
        for _ in 0..MAX_QUEUED_LINES {
            outbox.push(line(1, b'a'), None).unwrap();
        }
        assert!(matches!(outbox.push(line(1, b'a'), None), Err(SendError::Full)));
    }

    #[test]
    fn a_worker_that_left_is_no_error_of_the_channel() {
        let (ours, theirs) = pair();
        drop(theirs);
        let mut outbox = Outbox::default();
        outbox.push(line(2, b'a'), None).unwrap();
        assert_eq!(outbox.flush(&ours).unwrap(), Flushed::Idle);
        assert!(outbox.is_empty());
        assert!(matches!(outbox.push(line(2, b'b'), None), Err(SendError::Closed)));
    }

    #[test]
    fn one_descriptor_at_a_time_and_all_in_order() {
        let (ours, mut theirs) = pair();
        let mut outbox = Outbox::default();
        let descriptor = || Some(OwnedFd::from(UnixStream::pair().unwrap().0));
        outbox.push(line(2, b'a'), descriptor()).unwrap();
        outbox.push(line(2, b'b'), None).unwrap();
        outbox.push(line(2, b'c'), descriptor()).unwrap();
        outbox.push(line(2, b'd'), descriptor()).unwrap();
        assert_eq!(outbox.flush(&ours).unwrap(), Flushed::Idle);
        assert_eq!(read_now(&mut theirs), b"a\n");
        outbox.acknowledged();
        outbox.flush(&ours).unwrap();
        assert_eq!(read_now(&mut theirs), b"b\nc\n");
        outbox.lost(&ours).unwrap();
        outbox.lost(&ours).unwrap();
        outbox.lost(&ours).unwrap();
        assert_eq!(read_now(&mut theirs), b"c\nc\nc\n");
        outbox.lost(&ours).unwrap();
        outbox.flush(&ours).unwrap();
        assert_eq!(read_now(&mut theirs), b"d\n");
        assert!(!outbox.is_empty());
        outbox.acknowledged();
        assert!(outbox.is_empty());
    }
}

//! The reading half of a channel: whole lines, looked at with MSG_PEEK and taken out of the kernel
//! only when they have been acted on. A daemon killed in between leaves the line to its successor:
//! it repeats a request, never loses one (traps A12).
//!
//! A line longer than [`STAGE_BYTES`] cannot be kept so: the sender's buffer may never hold it
//! whole. It is staged in memory, and a daemon's death loses it. Node's own messages are shorter.

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};
use serde_json::Value;
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// The longest line of a worker, newline not counted; a longer one is skipped and counted.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

/// Bytes without a newline that are left in the kernel. No more than what one buffer of the kernel
/// holds (32 KiB and a page's rest): a peek never sees past a buffer that carries a descriptor, so
/// an app that sends one with a longer line would otherwise never be heard again.
const STAGE_BYTES: usize = 32 << 10;

/// Bytes looked at in one system call.
const WINDOW_BYTES: usize = 64 << 10;

/// What a reader finds.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// A line's value. It stays the next one until [`Inbox::consume`].
    Line(Value),
    /// Something was thrown away, or the beginning of a long line was put aside: there is more to
    /// read, and who reads for others too may do something else first.
    Rest,
    /// Nothing whole yet.
    Nothing,
    /// The worker closed its end.
    End,
}

/// Lines that were thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thrown {
    /// Not JSON, or nested too deep.
    pub garbage: u64,
    /// Longer than 1 MiB.
    pub overlong: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Peeked bytes, still in the kernel from `start` on.
    window: Vec<u8>,
    start: usize,
    /// The beginning of a long line, no longer in the kernel.
    staged: Vec<u8>,
    /// The rest of an over-long line is to be thrown away.
    skipping: bool,
    /// The line handed out: its bytes in the kernel.
    held: Option<Held>,
    thrown: Thrown,
    /// Bytes taken out of the kernel so far.
    taken: u64,
}

#[derive(Debug)]
struct Held {
    value: Value,
    bytes: usize,
}

impl Inbox {
    pub(crate) fn thrown(&self) -> Thrown {
        self.thrown
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The next line, without waiting. `closed`: the worker will send no more.
    pub(crate) fn next(&mut self, socket: &impl AsFd, closed: bool) -> io::Result<Found> {
        if let Some(held) = &self.held {
            return Ok(Found::Line(held.value.clone()));
        }
        loop {
            if let Some(length) = self.newline() {
                if let Some(value) = self.end_of_line(length) {
                    self.held = Some(Held { value: value.clone(), bytes: length + 1 });
                    return Ok(Found::Line(value));
                }
                self.take(socket, length + 1)?;
                return Ok(Found::Rest);
            }
            match self.look(socket)? {
                Look::Nothing => return Ok(Found::Nothing),
                Look::End => return Ok(Found::End),
                Look::Bytes if self.newline().is_some() => {}
                Look::Bytes if self.window.len() >= STAGE_BYTES || closed => {
                    self.stage(socket)?;
                    return Ok(Found::Rest);
                }
                Look::Bytes => return Ok(Found::Nothing),
            }
        }
    }

    /// Takes the line handed out last out of the kernel. Without one, nothing.
    pub(crate) fn consume(&mut self, socket: &impl AsFd) -> io::Result<()> {
        match self.held.take() {
            Some(held) => self.take(socket, held.bytes),
            None => Ok(()),
        }
    }

    fn ahead(&self) -> &[u8] {
        self.window.get(self.start..).unwrap_or_default()
    }

    fn newline(&self) -> Option<usize> {
        self.ahead().iter().position(|byte| *byte == b'\n')
    }

    /// The value of the line that ends `length` bytes ahead; `None` counts it as thrown away.
    fn end_of_line(&mut self, length: usize) -> Option<Value> {
        let mut line = std::mem::take(&mut self.staged);
        line.extend_from_slice(self.ahead().get(..length).unwrap_or_default());
        if std::mem::take(&mut self.skipping) || line.len() > MAX_LINE_BYTES {
            self.thrown.overlong += 1;
            return None;
        }
        let value = serde_json::from_slice(&line).ok();
        self.thrown.garbage += u64::from(value.is_none());
        value
    }

    /// Moves what was seen, the beginning of a long line, from the kernel to memory.
    fn stage(&mut self, socket: &impl AsFd) -> io::Result<()> {
        if self.staged.len() + self.ahead().len() > MAX_LINE_BYTES {
            self.skipping = true;
            self.staged = Vec::new();
        }
        if !self.skipping {
            let window = std::mem::take(&mut self.window);
            self.staged.extend_from_slice(window.get(self.start..).unwrap_or_default());
            self.window = window;
        }
        self.take(socket, self.ahead().len())
    }

    fn look(&mut self, socket: &impl AsFd) -> io::Result<Look> {
        self.start = 0;
        self.window.resize(WINDOW_BYTES, 0);
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let seen = retry(|| recv(socket.as_fd().as_raw_fd(), &mut self.window, flags));
        self.window.truncate(*seen.as_ref().unwrap_or(&0));
        match seen {
            Ok(0) | Err(Errno::ECONNRESET) => Ok(Look::End),
            Ok(_) => Ok(Look::Bytes),
            Err(Errno::EAGAIN) => Ok(Look::Nothing),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Throws away the next `count` bytes of the kernel's, all of which have been seen. One call
    /// may take fewer: the kernel stops behind a buffer that carried a descriptor.
    fn take(&mut self, socket: &impl AsFd, count: usize) -> io::Result<()> {
        let mut scratch = [0; 4096];
        let mut left = count;
        while left > 0 {
            let piece = scratch.get_mut(..left.min(4096)).unwrap_or_default();
            let flags = MsgFlags::MSG_DONTWAIT;
            match retry(|| recv(socket.as_fd().as_raw_fd(), piece, flags))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                taken => left -= taken.min(left),
            }
        }
        self.start += count;
        self.taken += count as u64;
        Ok(())
    }
}

enum Look {
    Bytes,
    Nothing,
    End,
}

/// Again after a signal: a call that never waits is interrupted by no second one for long.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{channel::Channel, message::Message};
    use proptest::prelude::*;
    use std::{io::Write, os::unix::net::UnixStream};

    /// Everything the reader makes of `input`, written whole and then closed.
    fn read_all(input: &[u8]) -> (Vec<Value>, Thrown) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || theirs.write_all(&input));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let read = runtime.block_on(async {
            let mut channel = Channel::new(ours.into()).unwrap();
            let mut values = Vec::new();
            while let Some(message) = channel.receive().await.unwrap() {
                if let Message::App(value) = message {
                    values.push(value);
                }
                channel.consume().unwrap();
            }
            (values, channel.thrown())
        });
        writer.join().unwrap().unwrap();
        read
    }

    #[test]
    fn a_line_stays_in_the_kernel_until_consumed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"1\n2\n").unwrap();
        let mut first = Inbox::default();
        assert_eq!(first.next(&ours, false).unwrap(), Found::Line(1.into()));
        assert_eq!(first.next(&ours, false).unwrap(), Found::Line(1.into()));
        // The daemon is killed here: its successor sees the same line.
        let mut second = Inbox::default();
        assert_eq!(second.next(&ours, false).unwrap(), Found::Line(1.into()));
        second.consume(&ours).unwrap();
        second.consume(&ours).unwrap();
        assert_eq!(Inbox::default().next(&ours, false).unwrap(), Found::Line(2.into()));
        assert_eq!(second.next(&ours, false).unwrap(), Found::Line(2.into()));
    }

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut inbox = Inbox::default();
        assert_eq!(inbox.next(&ours, false).unwrap(), Found::Nothing);
        theirs.write_all(b"{\"a\":").unwrap();
        assert_eq!(inbox.next(&ours, false).unwrap(), Found::Nothing);
        theirs.write_all(b"1}\n").unwrap();
        assert_eq!(inbox.next(&ours, false).unwrap(), Found::Line(serde_json::json!({"a":1})));
        inbox.consume(&ours).unwrap();
        theirs.write_all(b"half").unwrap();
        drop(theirs);
        assert_eq!(inbox.next(&ours, true).unwrap(), Found::Rest);
        assert_eq!(inbox.next(&ours, true).unwrap(), Found::End);
    }

    #[test]
    fn the_longest_line_is_read_and_a_longer_one_only_counted() {
        let edge = format!("\"{}\"\n", "x".repeat(MAX_LINE_BYTES - 2));
        let over = format!("\"{}\"\n", "x".repeat(MAX_LINE_BYTES - 1));
        let huge = format!("\"{}\"\n", "x".repeat(5 * MAX_LINE_BYTES));
        let input = format!("1\n{edge}{over}{huge}\n{{]\n2\n");
        let (values, thrown) = read_all(input.as_bytes());
        let lengths: Vec<usize> = values.iter().map(|value| value.to_string().len()).collect();
        assert_eq!(lengths, [1, MAX_LINE_BYTES, 1]);
        assert_eq!(thrown, Thrown { garbage: 2, overlong: 2 });
    }

    #[test]
    fn deep_nesting_is_garbage_and_not_a_stack_overflow() {
        let input = format!("{}\n3\n", "[".repeat(200_000));
        assert_eq!(read_all(input.as_bytes()).1, Thrown { garbage: 1, overlong: 0 });
    }

    proptest! {
        #[test]
        fn no_bytes_can_panic_the_reader(input in proptest::collection::vec(any::<u8>(), 0..2000)) {
            read_all(&input);
        }

        #[test]
        fn json_lines_arrive_in_order(numbers in proptest::collection::vec(any::<u32>(), 0..500)) {
            let input: String = numbers.iter().map(|number| format!("{number}\n")).collect();
            let values: Vec<Value> = numbers.iter().map(|number| Value::from(*number)).collect();
            prop_assert_eq!(read_all(input.as_bytes()), (values, Thrown::default()));
        }

        #[test]
        fn no_changed_message_can_panic_the_reader(
            input in rpm_corpus::changed(rpm_corpus::inputs("node")),
        ) {
            read_all(&input);
        }
    }
}

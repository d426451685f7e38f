//! The daemon's event stream, read from `rpm.sock` as any client may: JSON-RPC, one message a line.

use super::LIMIT;
use super::home::Home;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A subscription that has been confirmed: nothing that happens after it is missed.
pub(crate) struct Events {
    reader: BufReader<UnixStream>,
    line: String,
}

/// What came next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Something happened.
    Event(Value),
    /// The daemon hung up.
    Ended,
    /// The deadline passed.
    TimedOut,
}

impl Events {
    /// Subscribes to everything; `None` where no daemon answers.
    pub(crate) fn subscribe(home: &Home, deadline: Instant) -> Option<Self> {
        let mut stream = UnixStream::connect(home.path().join("rpm.sock")).ok()?;
        let params = json!({"since": null, "targets": {"words": [], "cwd": "/"}});
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "events", "params": params});
        stream.write_all(format!("{request}\n").as_bytes()).ok()?;
        let mut events = Self { reader: BufReader::new(stream), line: String::new() };
        match events.next(deadline) {
            Next::Event(answer) => {
                assert_eq!(answer["result"], Value::Null, "events refused: {answer}");
                assert_eq!(answer.get("error"), None, "events refused");
                Some(events)
            }
            Next::Ended | Next::TimedOut => None,
        }
    }

    /// Waits until something has happened.
    pub(crate) fn happens(&mut self) {
        let next = self.next(Instant::now() + LIMIT);
        assert!(matches!(next, Next::Event(_)), "nothing happened: {next:?}");
    }

    /// Waits for a message that `wanted` likes.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.next(deadline) {
                Next::Event(message) if wanted(&message) => return message,
                Next::Event(_) => {}
                next @ (Next::Ended | Next::TimedOut) => panic!("never: {what}: {next:?}"),
            }
        }
    }

    /// Waits for the next message.
    pub(crate) fn next(&mut self, deadline: Instant) -> Next {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.reader.get_ref().set_read_timeout(Some(left)).expect("timeout");
        match self.reader.read_line(&mut self.line) {
            Ok(0) => Next::Ended,
            Ok(_) => {
                let message = serde_json::from_str(&self.line).expect("a JSON message a line");
                self.line.clear();
                Next::Event(message)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Next::TimedOut
            }
            Err(_) => Next::Ended,
        }
    }
}

//! The lines between rpm and a preload that has no channel of ours: Node behind `npm start`, or a
//! child of the app. A unix-domain stream socket; the preload connects when its first server
//! listens. Who the peer is (a pid of the tree) is checked by the daemon, by peer credentials:
//! the `pid` said here is for people.

use crate::message::Bound;
use serde_json::Value;
use std::fmt;

/// The longest line of a preload, newline not counted.
pub const MAX_LINE_BYTES: usize = 64 << 10;
/// Addresses taken from one line.
pub const MAX_ADDRESSES: usize = 256;

/// rpm's line to a preload it accepted. It makes the preload ready to reconnect after a restart
/// of rpm as often as that happens; who is refused (closed at once) tries a bounded number.
pub const ACCEPTED: &[u8] = b"ok\n";
/// rpm's line that starts the drain.
pub const DRAIN: &[u8] = b"drain\n";

/// From a preload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Where its servers listen now: all of them, each time one more does.
    Listening {
        /// The process, as it says.
        pid: u32,
        /// Addresses of all its servers.
        addresses: Vec<Bound>,
    },
    /// The last connection has ended.
    Drained,
}

/// A line that is no [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReport;

impl fmt::Display for NoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("control line: neither a list of addresses nor an end of a drain")
    }
}

impl std::error::Error for NoReport {}

impl Report {
    /// Reads one line, without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, NoReport> {
        if line.len() > MAX_LINE_BYTES {
            return Err(NoReport);
        }
        let value: Value = serde_json::from_slice(line).map_err(|_| NoReport)?;
        if value.get("drained") == Some(&Value::Bool(true)) {
            return Ok(Self::Drained);
        }
        listening(&value).ok_or(NoReport)
    }
}

fn listening(value: &Value) -> Option<Report> {
    let pid = u32::try_from(value.get("pid")?.as_u64()?).ok()?;
    let list = value.get("listening")?.as_array()?;
    let addresses = list.iter().filter_map(Bound::from_value).take(MAX_ADDRESSES).collect();
    Some(Report::Listening { pid, addresses })
}

/// Cuts a preload's bytes into lines. A line over [`MAX_LINE_BYTES`] is thrown away whole.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    skipping: bool,
}

impl Lines {
    /// The lines that `bytes` completes, without their newlines.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.keep(text);
            if ends {
                let line = std::mem::take(&mut self.rest);
                if !std::mem::take(&mut self.skipping) {
                    lines.push(line);
                }
            }
        }
        lines
    }

    fn keep(&mut self, text: &[u8]) {
        self.skipping |= self.rest.len() + text.len() > MAX_LINE_BYTES;
        if self.skipping {
            self.rest = Vec::new();
        } else {
            self.rest.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reports_of_the_preload() {
        let tcp = |text: &str, port| Bound::Tcp(text.into(), port);
        for (line, expected) in [
            (r#"{"drained":true}"#, Ok(Report::Drained)),
            (
                r#"{"pid":7,"listening":[{"address":"::","port":80},{"path":"/s"},{}]}"#,
                Ok(Report::Listening {
                    pid: 7,
                    addresses: vec![tcp("::", 80), Bound::Unix("/s".into())],
                }),
            ),
            (r#"{"drained":false}"#, Err(NoReport)),
            (r#"{"pid":-1,"listening":[]}"#, Err(NoReport)),
            (r#"{"pid":7}"#, Err(NoReport)),
            ("", Err(NoReport)),
            ("[", Err(NoReport)),
        ] {
            assert_eq!(Report::parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_line_is_cut_at_its_bound() {
        let mut lines = Lines::default();
        let edge = vec![b'a'; MAX_LINE_BYTES];
        assert_eq!(lines.push(&edge), Vec::<Vec<u8>>::new());
        assert_eq!(lines.push(b"\nb"), std::slice::from_ref(&edge));
        assert_eq!(lines.push(&edge), Vec::<Vec<u8>>::new());
        assert_eq!(lines.push(&edge), Vec::<Vec<u8>>::new());
        assert_eq!(lines.push(b"x\nok\n"), [b"ok".to_vec()]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(
            pieces in proptest::collection::vec("[a\n]{0,9}", 0..9),
        ) {
            let mut lines = Lines::default();
            let cut: Vec<Vec<u8>> =
                pieces.iter().flat_map(|piece| lines.push(piece.as_bytes())).collect();
            prop_assert_eq!(cut, Lines::default().push(pieces.concat().as_bytes()));
        }

        #[test]
        fn no_bytes_can_panic_the_reader(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            Report::parse(&line).ok();
        }

        #[test]
        fn no_changed_report_can_panic_the_reader(
            line in rpm_corpus::changed(rpm_corpus::lines("control")),
        ) {
            Report::parse(&line).ok();
        }
    }
}

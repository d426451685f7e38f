//! What is said over the control channel: one JSON object a line, one line back for each.
//!
//! ```text
//! {"id":1,"upstreams":[{"id":0,"address":"127.0.0.1:3000","weight":1,"state":"up"}]}
//! {"id":1,"ok":true}
//! {"stats":true}
//! {"stats":{"connections":2,"waiting":0,"accepted":9,"given_up":0,"draining":false,
//!  "upstreams":[…]}}    (on one line)
//! nonsense
//! {"error":"expected ident at line 1 column 2"}
//! ```
//! Unasked it says which draining upstreams have no connection left, whenever that changes:
//! `{"idle":[0]}`.
//!
//! An `id` is optional and comes back with the answer, so that a new daemon on an old channel can
//! tell its answers from its predecessor's.

use crate::{address::Address, upstream::Standing};
use serde::{Deserialize, Serialize};

/// The longest line of a command: [`crate::MAX_UPSTREAMS`] of them with the longest addresses fit.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// What the daemon asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// From now on exactly these are the upstreams. Connections to others live on.
    Upstreams(Vec<UpstreamSpec>),
    /// Accept no more, let what is open end, then exit.
    Drain,
    /// Tell how it stands.
    Stats,
}

/// An upstream, as the daemon names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// The slot; `ip_hash` binds clients to it, whatever the address.
    pub id: u32,
    /// Where it listens.
    pub address: Address,
    /// Its share of connections, from 1 to [`crate::MAX_WEIGHT`].
    #[serde(default = "one")]
    pub weight: u32,
    /// Whether it gets new connections.
    #[serde(default)]
    pub state: Wish,
    /// Which of the front's sockets it serves, counted from 0 in the order they were inherited and
    /// bound; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<usize>,
}

impl UpstreamSpec {
    /// What makes it the same one in two sets.
    pub(crate) fn place(&self) -> (u32, Option<usize>, &Address) {
        (self.id, self.listener, &self.address)
    }
}

fn one() -> u32 {
    1
}

/// What the daemon wants of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// It gets new connections. Where it was `draining` or not there, it counts as healthy now.
    #[default]
    Up,
    /// It gets none; those it has go on.
    Draining,
}

/// A command with the number its answer will carry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: Option<u64>,
    pub(crate) command: Command,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<u64>,
    upstreams: Option<Vec<UpstreamSpec>>,
    drain: Option<bool>,
    stats: Option<bool>,
}

impl Request {
    /// # Errors
    /// A sentence that says what is wrong with the line.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let command = match (line.upstreams, line.drain, line.stats) {
            (Some(upstreams), None, None) => Command::Upstreams(upstreams),
            (None, Some(true), None) => Command::Drain,
            (None, None, Some(true)) => Command::Stats,
            _ => return Err("wants one of upstreams, drain: true, stats: true".to_owned()),
        };
        Ok(Self { id: line.id, command })
    }
}

/// What comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Refused(String),
    Stats(Stats),
}

/// How the front stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Stats {
    /// Clients that are connected, waiting ones included.
    pub(crate) connections: usize,
    /// Those among them that no upstream could be found for yet.
    pub(crate) waiting: usize,
    /// Clients since the start.
    pub(crate) accepted: u64,
    /// Clients that were closed because no upstream took or answered them.
    pub(crate) given_up: u64,
    pub(crate) draining: bool,
    pub(crate) upstreams: Vec<UpstreamStats>,
}

/// How an upstream stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UpstreamStats {
    pub(crate) id: u32,
    pub(crate) address: Address,
    pub(crate) state: Standing,
    pub(crate) open: u32,
    pub(crate) total: u64,
    pub(crate) failures: u64,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

#[derive(Serialize)]
struct AnswerLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
}

impl Answer {
    /// The answer to command `id` as a line with its end.
    pub(crate) fn line(self, id: Option<u64>) -> String {
        let mut line = AnswerLine { id, ok: None, error: None, stats: None };
        match self {
            Self::Done => line.ok = Some(true),
            Self::Refused(error) => line.error = Some(error),
            Self::Stats(stats) => line.stats = Some(stats),
        }
        // Numbers and strings always have a JSON form.
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }
}

/// Which draining upstreams have no connection left.
pub(crate) fn idle(ids: &[u32]) -> String {
    #[derive(Serialize)]
    struct Idle<'a> {
        idle: &'a [u32],
    }
    serde_json::to_string(&Idle { idle: ids }).unwrap_or_default() + "\n"
}

/// The first line a front says: the version of these lines and where it listens.
pub(crate) fn hello(listening: &[Address]) -> String {
    #[derive(Serialize)]
    struct Hello<'a> {
        front: u32,
        listening: &'a [Address],
    }
    serde_json::to_string(&Hello { front: 1, listening }).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(line: &str) -> Command {
        Request::parse(line.as_bytes()).unwrap().command
    }

    #[test]
    fn commands_are_read() {
        let upstreams = r#"{"id":7,"upstreams":[{"id":0,"address":"127.0.0.1:3000"},
            {"id":1,"address":"unix:/a","weight":3,"state":"draining","listener":1}]}"#;
        let first = UpstreamSpec {
            id: 0,
            address: "127.0.0.1:3000".parse().unwrap(),
            weight: 1,
            state: Wish::Up,
            listener: None,
        };
        let second = UpstreamSpec {
            id: 1,
            address: "unix:/a".parse().unwrap(),
            weight: 3,
            state: Wish::Draining,
            listener: Some(1),
        };
        let request = Request::parse(upstreams.as_bytes()).unwrap();
        assert_eq!(request.id, Some(7));
        assert_eq!(request.command, Command::Upstreams(vec![first, second]));
        assert_eq!(command(r#"{"drain":true}"#), Command::Drain);
        assert_eq!(command(r#"{"stats":true}"#), Command::Stats);
        assert_eq!(command(r#"{"upstreams":[]}"#), Command::Upstreams(Vec::new()));
    }

    #[test]
    fn other_lines_are_refused_with_a_reason() {
        let which = "wants one of upstreams, drain: true, stats: true";
        let table = [
            ("{}", which),
            (r#"{"drain":false}"#, which),
            (r#"{"drain":true,"stats":true}"#, which),
            (r#"{"drian":true}"#, "unknown field `drian`"),
            (r#"{"upstreams":[{"id":-1}]}"#, "invalid value: integer `-1`"),
            (r#"{"upstreams":[{"id":0,"address":"x"}]}"#, "\"x\" is neither"),
            (r#"{"upstreams":[{"id":0,"address":"1.1.1.1:1","state":"down"}]}"#, "`down`"),
            ("", "EOF"),
            ("\u{0}", "expected value"),
        ];
        for (line, part) in table {
            let error = Request::parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        let deep = "[".repeat(200_000);
        assert!(Request::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn answers_are_one_line() {
        let upstream = UpstreamStats {
            id: 0,
            address: "127.0.0.1:1".parse().unwrap(),
            state: Standing::Down,
            open: 1,
            total: 2,
            failures: 3,
            error: Some("timed out".to_owned()),
        };
        let stats = Stats {
            connections: 1,
            waiting: 0,
            accepted: 5,
            given_up: 1,
            draining: false,
            upstreams: vec![upstream],
        };
        assert_eq!(
            Answer::Stats(stats).line(None),
            concat!(
                r#"{"stats":{"connections":1,"waiting":0,"accepted":5,"given_up":1,"#,
                r#""draining":false,"upstreams":[{"id":0,"address":"127.0.0.1:1","#,
                r#""state":"down","open":1,"total":2,"failures":3,"error":"timed out"}]}}"#,
                "\n"
            )
        );
        assert_eq!(Answer::Done.line(Some(3)), "{\"id\":3,\"ok\":true}\n");
        let refused = Answer::Refused("a\nb".to_owned()).line(None);
        assert_eq!(refused, "{\"error\":\"a\\nb\"}\n");
        let addresses = ["127.0.0.1:80".parse().unwrap()];
        assert_eq!(hello(&addresses), "{\"front\":1,\"listening\":[\"127.0.0.1:80\"]}\n");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _judged = Request::parse(&line);
        }

        #[test]
        fn no_changed_request_is_too_strange(
            line in rpm_corpus::changed(rpm_corpus::lines("front")),
        ) {
            let _judged = Request::parse(&line);
        }
    }
}

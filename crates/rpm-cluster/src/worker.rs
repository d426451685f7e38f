//! [`Conversation`]: what one worker has said and what it is told. Pure: no descriptor, no clock;
//! the daemon does what the [`Action`]s say.

use crate::{
    endpoint::{Endpoint, Key},
    key_data::KeyData,
    message::{Bound, Message, QueryServer, UnixAccess},
    reply,
};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Requests of one worker that may wait for their listener.
const MAX_PENDING: usize = 64;
/// Listeners one worker may have open.
const MAX_OPEN: usize = 1024;

/// What to do for a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// node:cluster is up in the worker.
    Online,
    /// Find or bind the listener, then call [`Conversation::on_listener`].
    NeedListener(ListenerRequest),
    /// Send this line.
    Send(Vec<u8>),
    /// The worker listens there, with the real port. It may be only trying the port: the preload
    /// says a turn later whether it stays.
    Listening(Endpoint),
    /// The preload says that a server is there to stay, and where: it is ready.
    Serves(Option<Bound>),
    /// The worker closed its listener there.
    Closed(Endpoint),
    /// The worker leaves of its own will; its exit is no crash.
    Leaves,
    /// The worker's last connection has ended; it may be stopped.
    Drained,
    /// The app's own message.
    App(Value),
}

/// A listener a worker waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerRequest {
    /// Names the request in [`Conversation::on_listener`].
    pub seq: u64,
    /// Where. With port 0 every worker of the app gets the same port: that of the first with
    /// the same `key`.
    pub endpoint: Endpoint,
    /// Its text is the name to hold a port-0 listener by.
    pub key: Key,
    /// `[::]` without IPv4.
    pub ipv6_only: bool,
    /// For `listen`; `None`: Node's default, 511.
    pub backlog: Option<i32>,
    /// Modes to add to a unix-domain socket.
    pub access: UnixAccess,
}

/// The answer to a [`ListenerRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The line to send.
    pub line: Vec<u8>,
    /// Whether the line must carry the listener's descriptor.
    pub with_listener: bool,
}

/// One worker's conversation. Kept by the daemon with its state; after the loss of that state a
/// new one does as well, but for the refusal of an address the worker listens on already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    ipv6: bool,
    /// Asked for, not answered.
    pending: BTreeMap<u64, Pending>,
    /// Answered with a listener, not closed: key and place.
    open: BTreeMap<String, Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pending {
    key: String,
    data: Value,
}

impl Conversation {
    /// A worker just started. `ipv6`: the host has IPv6, so that a `listen` without an address
    /// means `[::]` for both families.
    pub fn new(ipv6: bool) -> Self {
        Self { ipv6, pending: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// What to do about `message`; `data` is the app's. The same message again (a daemon died
    /// before consuming it) gives the same actions.
    pub fn on_message(&mut self, message: Message, data: &mut KeyData) -> Vec<Action> {
        match message {
            Message::Online => vec![Action::Online],
            Message::QueryServer(query) => vec![self.query(query, data)],
            Message::Listening { key } => self.listening(&key).into_iter().collect(),
            Message::Close { key, seq } => self.close(&key, seq),
            Message::ExitedAfterDisconnect { seq } => {
                vec![Action::Leaves, Action::Send(reply::ack(seq))]
            }
            Message::Drained => vec![Action::Drained],
            Message::Listens(bound) => vec![Action::Serves(bound)],
            Message::App(value) => vec![Action::App(value)],
            Message::Ack { .. } | Message::Internal => Vec::new(),
        }
    }

    /// The answer to request `seq`: its listener is there, or the errno of why it is not. `None`
    /// where nothing was asked under that number.
    pub fn on_listener(&mut self, seq: u64, listener: Result<(), i32>) -> Option<Reply> {
        let Pending { key: text, data } = self.pending.remove(&seq)?;
        let key: Key = text.parse().ok()?;
        let endpoint = key.endpoint(self.ipv6);
        let (Ok(()), Some(endpoint)) = (listener, endpoint) else {
            let errno = listener.err().unwrap_or(Errno::EINVAL as i32);
            return Some(Reply {
                line: reply::refused(errno, &text, seq, &data),
                with_listener: false,
            });
        };
        let line = reply::listener(key.kind, &text, seq, &data);
        self.open.insert(text, endpoint);
        Some(Reply { line, with_listener: true })
    }

    fn query(&mut self, query: QueryServer, data: &mut KeyData) -> Action {
        let text = query.key.to_string();
        let settled = data.settle(&text, &query.data);
        match self.admit(&query) {
            Ok(endpoint) => {
                self.pending.insert(query.seq, Pending { key: text, data: settled });
                Action::NeedListener(ListenerRequest {
                    seq: query.seq,
                    endpoint,
                    key: query.key,
                    ipv6_only: query.ipv6_only,
                    backlog: query.backlog,
                    access: query.access,
                })
            }
            Err(errno) => Action::Send(reply::refused(errno as i32, &text, query.seq, &settled)),
        }
    }

    /// The place, or why this worker cannot have it.
    fn admit(&self, query: &QueryServer) -> Result<Endpoint, Errno> {
        if self.pending.len() >= MAX_PENDING || self.open.len() >= MAX_OPEN {
            return Err(Errno::ENOBUFS);
        }
        let endpoint = query.key.endpoint(self.ipv6).ok_or(Errno::EINVAL)?;
        // One worker listening twice on one address is an error of the app, as without a cluster.
        let text = query.key.to_string();
        let twice = self.open.iter().any(|(key, open)| *key != text && *open == endpoint);
        if twice && query.key.port != 0 { Err(Errno::EADDRINUSE) } else { Ok(endpoint) }
    }

    fn listening(&self, key: &Key) -> Option<Action> {
        key.endpoint(self.ipv6).map(Action::Listening)
    }

    fn close(&mut self, text: &str, seq: u64) -> Vec<Action> {
        let endpoint = self
            .open
            .remove(text)
            .or_else(|| text.parse::<Key>().ok().and_then(|key| key.endpoint(self.ipv6)));
        let closed = endpoint.map(Action::Closed);
        closed.into_iter().chain([Action::Send(reply::ack(seq))]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::AddressType;
    use serde_json::json;

    fn query(seq: u64, port: i32, index: u64, data: Value) -> Message {
        let address = Some("127.0.0.1".to_owned());
        let key = Key { address, port, kind: AddressType::Tcp4, fd: None, index };
        let access = UnixAccess::default();
        Message::QueryServer(QueryServer {
            key,
            seq,
            data,
            ipv6_only: false,
            backlog: None,
            access,
        })
    }

    fn request(message: &Message) -> Action {
        let Message::QueryServer(query) = message else { panic!("no query: {message:?}") };
        Action::NeedListener(ListenerRequest {
            seq: query.seq,
            endpoint: query.key.endpoint(true).unwrap(),
            key: query.key.clone(),
            ipv6_only: false,
            backlog: None,
            access: UnixAccess::default(),
        })
    }

    fn place(port: u16) -> Endpoint {
        Endpoint::Tcp(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn a_worker_from_online_to_leaving() {
        let (mut worker, mut data) = (Conversation::new(true), KeyData::default());
        assert_eq!(worker.on_message(Message::Online, &mut data), [Action::Online]);
        let ask = query(1, 80, 0, json!("keys"));
        let again = worker.clone().on_message(ask.clone(), &mut data);
        assert_eq!(worker.on_message(ask.clone(), &mut data), [request(&ask)]);
        assert_eq!(worker.on_message(ask.clone(), &mut data), again);
        let key = "127.0.0.1:80:4:-:0";
        let line = reply::listener(AddressType::Tcp4, key, 1, &json!("keys"));
        assert_eq!(worker.on_listener(1, Ok(())), Some(Reply { line, with_listener: true }));
        assert_eq!(worker.on_listener(1, Ok(())), None);
        let heard = Message::Listening { key: key.parse().unwrap() };
        assert_eq!(worker.on_message(heard, &mut data), [Action::Listening(place(80))]);
        let close = Message::Close { key: key.into(), seq: 5 };
        let closed = [Action::Closed(place(80)), Action::Send(reply::ack(5))];
        assert_eq!(worker.on_message(close.clone(), &mut data), closed);
        assert_eq!(Conversation::new(true).on_message(close, &mut data), closed);
        let leave = Message::ExitedAfterDisconnect { seq: 6 };
        let left = [Action::Leaves, Action::Send(reply::ack(6))];
        assert_eq!(worker.on_message(leave, &mut data), left);
        assert_eq!(worker, Conversation::new(true));
    }

    #[test]
    fn https_workers_share_the_first_ones_ticket_keys() {
        let mut data = KeyData::default();
        for (own, seq) in [("first", 1), ("second", 2)] {
            let mut worker = Conversation::new(true);
            worker.on_message(query(seq, 443, 0, json!(own)), &mut data);
            let key = "127.0.0.1:443:4:-:0";
            let line = reply::listener(AddressType::Tcp4, key, seq, &json!("first"));
            assert_eq!(worker.on_listener(seq, Ok(())).map(|reply| reply.line), Some(line));
        }
    }

    #[test]
    fn refusals_carry_the_errno_and_the_data() {
        let (mut worker, mut data) = (Conversation::new(true), KeyData::default());
        worker.on_message(query(1, 443, 0, json!("keys")), &mut data);
        let line = reply::refused(98, "127.0.0.1:443:4:-:0", 1, &json!("keys"));
        let refused = Some(Reply { line, with_listener: false });
        assert_eq!(worker.on_listener(1, Err(98)), refused);
        let line = reply::refused(22, "127.0.0.1:70000:4:-:0", 2, &Value::Null);
        let asked = worker.on_message(query(2, 70_000, 0, Value::Null), &mut data);
        assert_eq!(asked, [Action::Send(line)]);
    }

    #[test]
    fn listening_twice_is_refused_but_any_port_is_not() {
        let (mut worker, mut data) = (Conversation::new(true), KeyData::default());
        for (seq, port, index) in [(1, 80, 0), (2, 0, 0), (3, 0, 1)] {
            let ask = query(seq, port, index, Value::Null);
            assert_eq!(worker.on_message(ask.clone(), &mut data), [request(&ask)]);
            assert!(worker.on_listener(seq, Ok(())).is_some_and(|reply| reply.with_listener));
        }
        let line = reply::refused(98, "127.0.0.1:80:4:-:1", 4, &Value::Null);
        let asked = worker.on_message(query(4, 80, 1, Value::Null), &mut data);
        assert_eq!(asked, [Action::Send(line)]);
    }

    #[test]
    fn a_worker_that_asks_without_end_is_refused() {
        let (mut worker, mut data) = (Conversation::new(true), KeyData::default());
        for seq in 0..MAX_PENDING as u64 {
            let ask = query(seq, 1000 + seq as i32, 0, Value::Null);
            assert_eq!(worker.on_message(ask.clone(), &mut data), [request(&ask)]);
        }
        let line = reply::refused(Errno::ENOBUFS as i32, "127.0.0.1:80:4:-:0", 99, &Value::Null);
        let asked = worker.on_message(query(99, 80, 0, Value::Null), &mut data);
        assert_eq!(asked, [Action::Send(line)]);
    }

    #[test]
    fn a_conversation_survives_in_the_daemons_state() {
        let (mut worker, mut data) = (Conversation::new(true), KeyData::default());
        worker.on_message(query(1, 80, 0, json!("keys")), &mut data);
        worker.on_message(query(2, 81, 0, json!("keys")), &mut data);
        worker.on_listener(1, Ok(()));
        let text = serde_json::to_string(&worker).unwrap();
        assert_eq!(serde_json::from_str::<Conversation>(&text).unwrap(), worker);
    }
}

//! [`Message`]: what a line from a worker says. Lines are split and capped by [`crate::channel`];
//! descriptors and their acknowledgements never come this far.

use crate::endpoint::{AddressType, Key};
use serde_json::{Map, Value};

/// From a worker to its primary.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The worker's node:cluster is up; its script has not run yet.
    Online,
    /// It wants to listen, and waits for the answer to `seq`.
    QueryServer(QueryServer),
    /// It listens. `port` is the real one where 0 was asked.
    Listening {
        /// What it asked for, but for the port.
        key: Key,
    },
    /// It closed a listener.
    Close {
        /// The listener's [`Key`] as text.
        key: String,
        /// To be acknowledged.
        seq: u64,
    },
    /// It disconnects of its own will, once this is acknowledged.
    ExitedAfterDisconnect {
        /// To be acknowledged.
        seq: u64,
    },
    /// The answer to an act of ours.
    Ack {
        /// The `seq` of our act.
        ack: u64,
        /// For a connection handed over: whether the worker keeps it.
        accepted: Option<bool>,
    },
    /// Our preload: the last connection has ended.
    Drained,
    /// Our preload: a server listens and stays. `None`: at no address it could tell.
    Listens(Option<Bound>),
    /// Internal to Node and of no interest here: consumed and forgotten.
    Internal,
    /// The app's own, any JSON value; PM2's `axm:*` messages are of these.
    App(Value),
}

/// A worker's wish to listen.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryServer {
    /// Which listener.
    pub key: Key,
    /// To be named in the answer.
    pub seq: u64,
    /// What every worker must get back; `null` for plain servers.
    pub data: Value,
    /// Asked for with `ipv6Only`.
    pub ipv6_only: bool,
    /// As given to `listen`; `None`: Node's default, 511.
    pub backlog: Option<i32>,
    /// `readableAll`, `writableAll`: who else may use a unix-domain socket.
    pub access: UnixAccess,
}

/// Modes Node adds to a unix-domain socket after bind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixAccess {
    /// Mode bits 0444.
    pub readable_all: bool,
    /// Mode bits 0222.
    pub writable_all: bool,
}

/// Where a server found itself, as `server.address()` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Address and port, the address as Node prints it.
    Tcp(String, u16),
    /// A unix-domain socket.
    Unix(String),
}

impl Bound {
    /// From `{"address":…,"port":…}` or `{"path":…}`.
    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        if let Some(path) = value.get("path").and_then(Value::as_str) {
            return Some(Self::Unix(path.to_owned()));
        }
        let port = u16::try_from(value.get("port")?.as_u64()?).ok()?;
        Some(Self::Tcp(value.get("address")?.as_str()?.to_owned(), port))
    }
}

/// UV_TCP_IPV6ONLY and UV_UDP_IPV6ONLY of libuv's uv.h.
const IPV6_ONLY: u64 = 1;

impl Message {
    /// What `value` means. A message of node:cluster or of our preload with a part missing is
    /// [`Message::Internal`]: Node's own are whole, so an app forged it.
    pub fn from_value(value: Value) -> Self {
        let Some(object) = value.as_object() else { return Self::App(value) };
        match object.get("cmd").and_then(Value::as_str) {
            Some("NODE_CLUSTER") => cluster(object).unwrap_or(Self::Internal),
            Some("NODE_RPM") => preload(object).unwrap_or(Self::Internal),
            // Node's own rule for "internal": it starts so and is longer.
            Some(cmd) if cmd.len() > 5 && cmd.starts_with("NODE_") => Self::Internal,
            Some(_) | None => Self::App(value),
        }
    }
}

fn cluster(object: &Map<String, Value>) -> Option<Message> {
    if let Some(ack) = object.get("ack") {
        let accepted = object.get("accepted").and_then(Value::as_bool);
        return Some(Message::Ack { ack: ack.as_u64()?, accepted });
    }
    let seq = || object.get("seq").and_then(Value::as_u64);
    match object.get("act")?.as_str()? {
        "online" => Some(Message::Online),
        "queryServer" => query(object).map(Message::QueryServer),
        "listening" => Some(Message::Listening { key: key(object)? }),
        "close" => Some(Message::Close { key: object.get("key")?.as_str()?.into(), seq: seq()? }),
        "exitedAfterDisconnect" => Some(Message::ExitedAfterDisconnect { seq: seq()? }),
        _ => None,
    }
}

fn preload(object: &Map<String, Value>) -> Option<Message> {
    match object.get("act")?.as_str()? {
        "drained" => Some(Message::Drained),
        "listening" => Some(Message::Listens(object.get("address").and_then(Bound::from_value))),
        _ => None,
    }
}

fn query(object: &Map<String, Value>) -> Option<QueryServer> {
    let flag = |name| object.get(name).and_then(Value::as_bool).unwrap_or(false);
    let flags = object.get("flags").and_then(Value::as_u64).unwrap_or(0);
    Some(QueryServer {
        key: key(object)?,
        seq: object.get("seq")?.as_u64()?,
        data: object.get("data").cloned().unwrap_or(Value::Null),
        ipv6_only: flag("ipv6Only") || flags & IPV6_ONLY != 0,
        backlog: small(object, "backlog").filter(|backlog| *backlog > 0),
        access: UnixAccess { readable_all: flag("readableAll"), writable_all: flag("writableAll") },
    })
}

fn key(object: &Map<String, Value>) -> Option<Key> {
    let fd = small(object, "fd").filter(|fd| *fd >= 0);
    let kind = match object.get("addressType") {
        Some(Value::String(word)) => AddressType::from_node(word)?,
        Some(Value::Number(number)) => AddressType::from_node(&number.to_string())?,
        // `listen({ fd })` tells no type.
        Some(_) | None => fd.map(|_| AddressType::Tcp4)?,
    };
    Some(Key {
        address: object.get("address").and_then(Value::as_str).map(str::to_owned),
        port: small(object, "port").unwrap_or(-1),
        kind,
        fd,
        index: object.get("index").and_then(Value::as_u64).unwrap_or(0),
    })
}

fn small(object: &Map<String, Value>, name: &str) -> Option<i32> {
    object.get(name).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Message {
        Message::from_value(serde_json::from_str(text).unwrap())
    }

    fn key(address: Option<&str>, port: i32, kind: AddressType) -> Key {
        Key { address: address.map(str::to_owned), port, kind, fd: None, index: 0 }
    }

    #[test]
    fn node_20s_own_lines() {
        let plain = QueryServer {
            key: key(None, 8123, AddressType::Tcp4),
            seq: 1,
            data: Value::Null,
            ipv6_only: false,
            backlog: None,
            access: UnixAccess::default(),
        };
        for (line, expected) in [
            (r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#, Message::Online),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":8123,"addressType":4,"backlog":0,"seq":1}"#,
                Message::QueryServer(plain.clone()),
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":"AA","address":"::1","port":8123,"addressType":6,"fd":-1,"flags":1,"backlog":9,"seq":1}"#,
                Message::QueryServer(QueryServer {
                    key: key(Some("::1"), 8123, AddressType::Tcp6),
                    data: json!("AA"),
                    ipv6_only: true,
                    backlog: Some(9),
                    ..plain.clone()
                }),
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/s","port":-1,"addressType":-1,"readableAll":true,"seq":1}"#,
                Message::QueryServer(QueryServer {
                    key: key(Some("/s"), -1, AddressType::Pipe),
                    access: UnixAccess { readable_all: true, writable_all: false },
                    ..plain.clone()
                }),
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":null,"addressType":null,"fd":3,"seq":1}"#,
                Message::QueryServer(QueryServer {
                    key: Key { fd: Some(3), ..key(None, -1, AddressType::Tcp4) },
                    ..plain
                }),
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"listening","index":0,"data":null,"address":null,"port":5353,"addressType":"udp4","seq":2}"#,
                Message::Listening { key: key(None, 5353, AddressType::Udp4) },
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"close","key":"null:80:4:-:0","seq":3}"#,
                Message::Close { key: "null:80:4:-:0".into(), seq: 3 },
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":4}"#,
                Message::ExitedAfterDisconnect { seq: 4 },
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","ack":7,"accepted":false,"seq":5}"#,
                Message::Ack { ack: 7, accepted: Some(false) },
            ),
            (r#"{"cmd":"NODE_RPM","act":"drained"}"#, Message::Drained),
            (
                r#"{"cmd":"NODE_RPM","act":"listening","address":{"address":"::","port":80}}"#,
                Message::Listens(Some(Bound::Tcp("::".into(), 80))),
            ),
            (
                r#"{"cmd":"NODE_RPM","act":"listening","address":{"path":"/s"}}"#,
                Message::Listens(Some(Bound::Unix("/s".into()))),
            ),
            (r#"{"cmd":"NODE_RPM","act":"listening"}"#, Message::Listens(None)),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_an_app_sends_stays_as_it_is() {
        for text in [
            r#""ready""#,
            "null",
            "[1,2]",
            "1.5",
            r#"{"cmd":"NODE_"}"#,
            r#"{"cmd":1}"#,
            r#"{"type":"axm:monitor","data":{}}"#,
            r#"{"act":"online"}"#,
        ] {
            assert_eq!(read(text), Message::App(serde_json::from_str(text).unwrap()));
        }
    }

    #[test]
    fn forged_internal_messages_are_forgotten() {
        for text in [
            r#"{"cmd":"NODE_X"}"#,
            r#"{"cmd":"NODE_CLUSTER"}"#,
            r#"{"cmd":"NODE_CLUSTER","act":"queryServer"}"#,
            r#"{"cmd":"NODE_CLUSTER","act":"queryServer","addressType":5,"seq":1}"#,
            r#"{"cmd":"NODE_CLUSTER","act":"close","key":1,"seq":1}"#,
            r#"{"cmd":"NODE_CLUSTER","ack":-1}"#,
            r#"{"cmd":"NODE_RPM","act":"rm"}"#,
        ] {
            assert_eq!(read(text), Message::Internal, "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("NODE_CLUSTER"),
            Just("NODE_RPM"),
            Just("queryServer"),
            Just("listening"),
            Just("close"),
            Just("udp4"),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            word.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 32, 8, |inner| {
            let name = prop_oneof![
                Just("cmd"),
                Just("act"),
                Just("seq"),
                Just("ack"),
                Just("key"),
                Just("fd"),
                Just("port"),
                Just("address"),
                Just("addressType"),
                Just("index"),
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((name, inner), 0..9).prop_map(|pairs| {
                    Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_can_panic_the_reader(value in any_json()) {
            Message::from_value(value);
        }

        #[test]
        fn no_changed_message_can_panic_the_reader(
            line in rpm_corpus::changed(rpm_corpus::lines("node")),
        ) {
            serde_json::from_slice(&line).map(Message::from_value).ok();
        }
    }
}

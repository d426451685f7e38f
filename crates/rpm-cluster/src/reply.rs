//! What the primary writes to a worker, each as one whole line. Sends nothing.

use crate::endpoint::AddressType;
use serde_json::{Value, json};

/// The answer to a `queryServer` that got its listener. The line must carry the listener's
/// descriptor, and the worker acknowledges it.
pub fn listener(kind: AddressType, key: &str, seq: u64, data: &Value) -> Vec<u8> {
    let handle = if kind.is_udp() { "dgram.Native" } else { "net.Native" };
    let msg = answer(0, key, seq, data);
    line(&json!({ "cmd": "NODE_HANDLE", "type": handle, "msg": msg }))
}

/// The answer to a `queryServer` that failed: the app sees an 'error' event with `errno`'s code.
/// `data` goes back here too, https reads it before the error.
pub fn refused(errno: i32, key: &str, seq: u64, data: &Value) -> Vec<u8> {
    line(&answer(errno.saturating_abs().saturating_neg(), key, seq, data))
}

fn answer(errno: i32, key: &str, seq: u64, data: &Value) -> Value {
    json!({ "cmd": "NODE_CLUSTER", "errno": errno, "key": key, "ack": seq, "data": data })
}

/// Acknowledges the message numbered `seq`.
pub fn ack(seq: u64) -> Vec<u8> {
    line(&json!({ "cmd": "NODE_CLUSTER", "ack": seq }))
}

/// Tells the worker that its descriptor arrived.
pub(crate) fn handle_ack() -> Vec<u8> {
    line(&json!({ "cmd": "NODE_HANDLE_ACK" }))
}

/// Asks a cluster worker to close its servers and its channel.
pub fn disconnect() -> Vec<u8> {
    line(&json!({ "cmd": "NODE_CLUSTER", "act": "disconnect" }))
}

/// Asks our preload to drain. Node gives it to nobody else: no 'message' handler sees it.
pub fn drain() -> Vec<u8> {
    line(&json!({ "cmd": "NODE_RPM", "act": "drain" }))
}

/// A message to the app's own `process.on('message')`.
pub fn app(value: &Value) -> Vec<u8> {
    line(value)
}

fn line(value: &Value) -> Vec<u8> {
    // JSON escapes every newline inside, so the line is one line.
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: Vec<u8>, expected: &str) {
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(expected).unwrap());
    }

    #[test]
    fn lines_node_understands() {
        check(
            listener(AddressType::Tcp4, "k", 3, &json!("keys")),
            r#"{"cmd":"NODE_HANDLE","type":"net.Native",
                "msg":{"cmd":"NODE_CLUSTER","errno":0,"key":"k","ack":3,"data":"keys"}}"#,
        );
        check(
            listener(AddressType::Udp6, "k", 3, &Value::Null),
            r#"{"cmd":"NODE_HANDLE","type":"dgram.Native",
                "msg":{"cmd":"NODE_CLUSTER","errno":0,"key":"k","ack":3,"data":null}}"#,
        );
        for errno in [98, -98] {
            check(
                refused(errno, "k", 3, &Value::Null),
                r#"{"cmd":"NODE_CLUSTER","errno":-98,"key":"k","ack":3,"data":null}"#,
            );
        }
        check(ack(9), r#"{"cmd":"NODE_CLUSTER","ack":9}"#);
        check(disconnect(), r#"{"cmd":"NODE_CLUSTER","act":"disconnect"}"#);
        check(drain(), r#"{"cmd":"NODE_RPM","act":"drain"}"#);
        check(app(&json!("a\nb")), r#""a\nb""#);
    }
}

//! Sticky sessions: socket.io with long polling, whose requests must all meet the same worker.

use crate::harness::{Connection, Home, port};
use serde_json::Value;
use std::collections::BTreeSet;

/// The client of one address, 127.0.0.HOST; each request is a connection of its own.
struct Chat {
    host: u8,
    port: u16,
    session: String,
}

impl Chat {
    /// Engine.IO's handshake (protocol 4), then Socket.IO's (protocol 5).
    fn open(host: u8, port: u16) -> Self {
        let mut chat = Self { host, port, session: String::new() };
        let open = chat.poll();
        let handshake: Value = serde_json::from_str(&open[1..]).expect("an `open` packet");
        chat.session = handshake["sid"].as_str().expect("sid").to_owned();
        assert_eq!(chat.post("40"), "ok");
        chat
    }

    fn path(&self) -> String {
        let session = if self.session.is_empty() { "" } else { "&sid=" };
        format!("/socket.io/?EIO=4&transport=polling{session}{}", self.session)
    }

    fn connection(&self) -> Connection {
        Connection::open_from(self.host, self.port).expect("a connection")
    }

    fn poll(&self) -> String {
        let response = self.connection().get(&self.path(), true).expect("an answer");
        assert_eq!(response.status, 200, "127.0.0.{}: {}", self.host, response.body);
        response.body
    }

    /// Asks for a WebSocket of this session, which only its own worker can give.
    fn upgrades(&self) {
        let path = self.path().replace("=polling", "=websocket");
        let status = self.connection().upgrade(&path).expect("an answer");
        assert_eq!(status, 101, "127.0.0.{}: {path}", self.host);
    }

    fn post(&self, packet: &str) -> String {
        let response = self.connection().post(&self.path(), packet).expect("an answer");
        assert_eq!(response.status, 200, "127.0.0.{}: {}", self.host, response.body);
        response.body
    }

    /// Polls until a packet holds `text`; the packets of one answer are separated by U+001E.
    fn hear(&self, text: &str) -> String {
        for _ in 0..5 {
            let packets = self.poll();
            let found = packets.split('\u{1e}').find(|packet| packet.contains(text));
            if let Some(packet) = found {
                return packet.to_owned();
            }
        }
        panic!("127.0.0.{} never heard {text:?}", self.host);
    }
}

#[test]
fn socket_io_keeps_its_sessions_over_four_workers() {
    let (home, port) = (Home::new(), port());
    home.copy("chat.js");
    home.modules();
    let words = "start chat.js --name web -i 4 --balance ip_hash --listen-timeout 30s";
    let words: Vec<&str> = words.split(' ').collect();
    home.rpm_under(&[], &words).env("PORT", port).success();
    // 200 clients of 20 addresses, all at once; each of the last talks, and goes on to a WebSocket.
    let chats: Vec<Chat> =
        (0..10).flat_map(|_| (10..30).map(|host| Chat::open(host, port))).collect();
    let mut workers = BTreeSet::new();
    let (quiet, talking) = chats.split_at(180);
    quiet.iter().for_each(Chat::upgrades);
    for chat in talking {
        let who = chat.hear("\"who\"");
        let pid = who.trim_matches(|c: char| !c.is_ascii_digit()).rsplit(',').next().unwrap_or("");
        let pid: u32 = pid.trim().parse().unwrap_or_else(|_| panic!("{who:?}"));
        for turn in 0..3 {
            assert_eq!(chat.post(&format!(r#"42{turn}["say","x{turn}"]"#)), "ok");
            assert_eq!(
                chat.hear(&format!("x{turn}")),
                format!(r#"43{turn}["{pid} heard x{turn}"]"#)
            );
        }
        chat.upgrades();
        workers.insert(pid);
    }
    assert!(workers.len() > 1, "20 addresses met {workers:?} only");
}

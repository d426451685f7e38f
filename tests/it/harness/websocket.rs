//! A WebSocket client (RFC 6455) as small as the tests need it: short texts, one frame each.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any drain of the tests.
const PATIENCE: Duration = super::LIMIT;
/// FIN and the opcodes of texts and of the end (RFC 6455, 5.2).
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// The bit that says a frame is masked, as all of a client are. A mask of zeros changes nothing.
const MASKED: u8 = 0x80;

/// An open WebSocket.
pub(crate) struct WebSocket(BufReader<TcpStream>);

impl WebSocket {
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut socket = BufReader::new(stream);
        socket.get_mut().write_all(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )?;
        let mut head = String::new();
        while socket.read_line(&mut head)? > 2 {}
        match head.starts_with("HTTP/1.1 101 ") {
            true => Ok(Self(socket)),
            false => Err(io::Error::other(head)),
        }
    }

    /// Says `text` and waits for what comes back.
    pub(crate) fn ask(&mut self, text: &str) -> io::Result<String> {
        let length = u8::try_from(text.len()).expect("a short text") | MASKED;
        let head = [TEXT, length, 0, 0, 0, 0];
        self.0.get_mut().write_all(&[&head, text.as_bytes()].concat())?;
        self.read()
    }

    /// Waits until the server closes, whichever way.
    pub(crate) fn ends(mut self) {
        let ended = self.read();
        assert!(ended.is_err(), "{ended:?} instead of an end");
    }

    fn read(&mut self) -> io::Result<String> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        if head[0] == CLOSE {
            return Err(io::Error::other("closed"));
        }
        assert_eq!((head[0], head[1] & MASKED), (TEXT, 0));
        let mut text = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut text)?;
        Ok(String::from_utf8(text).expect("UTF-8"))
    }
}

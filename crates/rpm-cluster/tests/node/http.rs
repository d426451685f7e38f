//! A client of HTTP/1.1 that keeps its connection and notices every cut.

use crate::harness::within;
use std::{io, net::SocketAddr};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) body: String,
    /// The server announced that it closes.
    pub(crate) close: bool,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(within("connect", TcpStream::connect(address)).await.unwrap()))
    }

    pub(crate) async fn ask(&mut self, path: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        self.0.write_all(request.as_bytes()).await?;
        within("an answer", self.answer()).await
    }

    /// Asks until the server says that it closes, and does; the last body. For a drain that is on
    /// its way and may come behind the first request.
    pub(crate) async fn ask_to_the_end(&mut self) -> String {
        loop {
            let answer = self.ask("/").await.unwrap();
            if answer.close {
                assert!(self.at_end().await);
                return answer.body;
            }
        }
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let (mut length, mut close) = (0, false);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("connection", value)) => close = value == "close",
                Some(_) | None if line.is_empty() => break,
                Some(_) | None => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(Answer { body: String::from_utf8(body).unwrap(), close })
    }

    /// Turns the connection into one of another protocol.
    pub(crate) async fn upgrade(&mut self) {
        let request =
            b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        self.0.write_all(request).await.unwrap();
        within("an upgrade", self.answer()).await.unwrap();
    }

    pub(crate) async fn echo(&mut self, text: &str) -> io::Result<String> {
        self.0.write_all(text.as_bytes()).await?;
        let mut back = vec![0; text.len()];
        within("an echo", self.0.read_exact(&mut back)).await?;
        Ok(String::from_utf8(back).unwrap())
    }

    /// Whether the server ended the connection in order.
    pub(crate) async fn at_end(&mut self) -> bool {
        matches!(within("an end", self.0.read(&mut [0; 1])).await, Ok(0))
    }
}

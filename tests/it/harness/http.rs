//! A client for HTTP/1.1 as small as the tests need it, and as strict: it tells a connection that
//! was cut from one that was ended properly.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Far longer than any handler in the fixtures takes: a machine may stand still for seconds.
const PATIENCE: Duration = super::LIMIT;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// An answer that came without HTTP around it.
    pub(crate) fn ok(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the server said that this is the last one on its connection.
    pub(crate) fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// A connection to a server of this machine.
pub(crate) struct Connection<S = TcpStream> {
    stream: BufReader<S>,
}

impl Connection {
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self::of(TcpStream::connect_timeout(&address, PATIENCE)?)
    }

    /// A connection from 127.0.0.`host`.
    pub(crate) fn open_from(host: u8, port: u16) -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::from(([127, 0, 0, host], 0)))?;
        connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port)))?;
        Self::of(TcpStream::from(socket))
    }

    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }
}

impl<S: Read + Write> Connection<S> {
    /// On a stream that is open already.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Asks for `path`; `last` tells the server that nothing follows on this connection.
    pub(crate) fn get(&mut self, path: &str, last: bool) -> io::Result<Response> {
        self.send(path, last)?;
        self.read_response()
    }

    /// Asks for `path` with one more header, and for nothing after it.
    pub(crate) fn get_with(&mut self, path: &str, header: &str) -> io::Result<Response> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.read_response()
    }

    /// Sends `body` to `path`, and nothing after it.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> io::Result<Response> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.read_response()
    }

    /// Asks for a WebSocket (RFC 6455, 4.1); the status of the answer.
    pub(crate) fn upgrade(&mut self, path: &str) -> io::Result<u16> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let start = self.read_line()?;
        let status = start.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| broken(format!("no HTTP answer: {start:?}")))
    }

    /// The first half of [`Self::get`].
    pub(crate) fn send(&mut self, path: &str, last: bool) -> io::Result<()> {
        let connection = if last { "close" } else { "keep-alive" };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// The second half.
    pub(crate) fn read_response(&mut self) -> io::Result<Response> {
        let start = self.read_line()?;
        let status = start.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| broken(format!("no HTTP answer: {start:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(line.clone()))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: String::new() };
        response.body = self.read_body(&response)?;
        Ok(response)
    }

    fn read_body(&mut self, head: &Response) -> io::Result<String> {
        let mut body = Vec::new();
        if let Some(length) = head.header("content-length") {
            body.resize(length.parse().map_err(|_| broken(length.to_owned()))?, 0);
            self.stream.read_exact(&mut body)?;
        } else if head.header("transfer-encoding").is_some() {
            while self.read_chunk(&mut body)? {}
        } else if head.status != 304 && head.status != 204 {
            self.stream.read_to_end(&mut body)?;
        }
        String::from_utf8(body).map_err(|error| broken(error.to_string()))
    }

    fn read_chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let line = self.read_line()?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(|_| broken(line))?;
        let mut chunk = vec![0; length];
        self.stream.read_exact(&mut chunk)?;
        body.extend(chunk);
        self.read_line()?;
        Ok(length > 0)
    }

    /// A line without its end; a connection that closes instead is an error.
    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before an answer"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// One request on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> io::Result<Response> {
    Connection::open(port)?.get(path, true)
}

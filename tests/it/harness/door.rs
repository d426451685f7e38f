//! [`Door`]: how clients reach an app, and one question asked there.

use super::LIMIT;
use super::fixture::fixture;
use super::http::{Connection, Response, get};
use super::web::Who;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv6Addr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Within this an answer to a datagram comes, or it was lost.
const ANSWER: Duration = Duration::from_secs(30);

/// Where an app is reached, and in which language.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// HTTP on 127.0.0.1.
    Http(u16),
    /// HTTP on ::1.
    Http6(u16),
    /// HTTPS on 127.0.0.1, whatever the certificate.
    Https(u16),
    /// A line each way over TCP on 127.0.0.1.
    Line(u16),
    /// A datagram each way on 127.0.0.1.
    Datagram(u16),
    /// HTTP on a unix socket.
    Path(PathBuf),
}

/// Asks once, anew each time, and tells who answered.
pub(crate) type Client = Box<dyn FnMut() -> io::Result<Who> + Send>;

impl Door {
    /// A client of its own.
    pub(crate) fn client(&self) -> Client {
        match self.clone() {
            Self::Http(port) => Box::new(move || Who::of(&get(port, "/")?)),
            Self::Http6(port) => Box::new(move || http6(port)),
            Self::Https(port) => {
                let mut client = TlsClient::new(port);
                Box::new(move || client.ask())
            }
            Self::Line(port) => Box::new(move || line(port)),
            Self::Datagram(port) => Box::new(move || datagram(port)),
            Self::Path(path) => Box::new(move || unix(&path)),
        }
    }
}

fn http6(port: u16) -> io::Result<Who> {
    let stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    Who::of(&Connection::over(stream).get("/", true)?)
}

fn unix(path: &Path) -> io::Result<Who> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Who::of(&Connection::over(stream).get("/", true)?)
}

fn line(port: u16) -> io::Result<Who> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"who?\n")?;
    let mut text = String::new();
    if BufReader::new(&stream).read_line(&mut text)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Who::of(&Response::ok(text))
}

fn datagram(port: u16) -> io::Result<Who> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect(("127.0.0.1", port))?;
    socket.send(b"who?")?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer)?;
    Who::of(&Response::ok(String::from_utf8_lossy(&buffer[..length]).into_owned()))
}

/// Python speaks TLS for us: a line in, a line out.
struct TlsClient {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl TlsClient {
    fn new(port: u16) -> Self {
        let script = fixture("matrix/https-client.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(port.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let questions = child.stdin.take().expect("stdin");
        let answers = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, questions, answers }
    }

    fn ask(&mut self) -> io::Result<Who> {
        self.questions.write_all(b"\n")?;
        let mut text = String::new();
        self.answers.read_line(&mut text)?;
        match text.trim().strip_prefix("error ") {
            Some("refused") => Err(io::ErrorKind::ConnectionRefused.into()),
            Some(other) => Err(io::Error::other(other.to_owned())),
            None => Who::of(&Response::ok(text)),
        }
    }
}

impl Drop for TlsClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

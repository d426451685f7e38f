//! A front to talk to, upstreams that say who they are, clients that ask.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rpm_front::{Config, Ended};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    future::Future,
    net::SocketAddr,
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream, UnixStream},
};

/// Whatever is waited for comes long before.
const DEADLINE: Duration = Duration::from_secs(180);

/// Fails a test that hangs.
pub(crate) async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, test).await.expect("the test hangs")
}

/// Where the process of a front finds its configuration.
const CONFIG: &str = "RPM_FRONT_TEST_CONFIG";

/// The front of a test is this very program, which then runs nothing but this.
#[test]
#[ignore = "is the front of the other tests"]
fn front() {
    let Ok(text) = std::env::var(CONFIG) else { return };
    let code = match Config::from_json(&text).and_then(rpm_front::run) {
        Ok(Ended::Drained) => 0,
        Ok(Ended::Cut) => 2,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    };
    std::process::exit(code);
}

/// The command of a front's process; `through` is a program that executes its arguments.
pub(crate) fn command(config: &Value, through: &[&str]) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut words = through.iter().map(OsStr::new).chain([this.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["harness::front", "--exact", "--ignored", "--nocapture"]);
    command.arg("--test-threads=1").env(CONFIG, config.to_string()).stdout(Stdio::null());
    command
}

/// A running front and its control channel.
pub(crate) struct Front {
    pub(crate) child: Child,
    pub(crate) control: BufReader<UnixStream>,
    /// Where it listens, as it says.
    pub(crate) listening: Vec<String>,
}

impl Front {
    /// A front on a free port, with `more` in its configuration.
    pub(crate) async fn start(more: Value) -> Self {
        let mut config = json!({"listen": ["127.0.0.1:0"]});
        let keys = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(keys);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = command(&config, &[]);
        Self::begin(command.stdin(OwnedFd::from(theirs)).spawn().unwrap(), ours).await
    }

    /// A front whose channel's other end is `control`.
    pub(crate) async fn begin(child: Child, control: std::os::unix::net::UnixStream) -> Self {
        control.set_nonblocking(true).unwrap();
        let control = BufReader::new(UnixStream::from_std(control).unwrap());
        let mut front = Self { child, control, listening: Vec::new() };
        let hello = front.line().await;
        assert_eq!(hello["front"], 1);
        front.listening = serde_json::from_value(hello["listening"].clone()).unwrap();
        front
    }

    /// A front of these upstreams, numbered from 0.
    pub(crate) async fn over(upstreams: &[SocketAddr], mut more: Value) -> Self {
        more["upstreams"] = set(upstreams);
        Self::start(more).await
    }

    /// Where it listens first.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listening[0].parse().unwrap()
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.control.get_mut().write_all(bytes).await.unwrap();
    }

    /// The next line of the channel.
    pub(crate) async fn line(&mut self) -> Value {
        let mut line = String::new();
        self.control.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    pub(crate) async fn command(&mut self, command: Value) -> Value {
        self.say(format!("{command}\n").as_bytes()).await;
        self.line().await
    }

    pub(crate) async fn replace(&mut self, upstreams: Value) {
        assert_eq!(self.command(json!({"upstreams": upstreams})).await, json!({"ok": true}));
    }

    pub(crate) async fn stats(&mut self) -> Value {
        self.command(json!({"stats": true})).await["stats"].take()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Who answers one short connection.
    pub(crate) async fn ask(&self) -> String {
        ask(self.connect().await).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for its end, with the control channel open.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap()
    }

    /// The most memory it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A set of healthy upstreams, numbered from 0.
pub(crate) fn set(upstreams: &[SocketAddr]) -> Value {
    let all = upstreams.iter().enumerate();
    all.map(|(id, address)| json!({"id": id, "address": address.to_string()})).collect()
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where nobody listens until this test binds it.
pub(crate) fn nowhere() -> SocketAddr {
    ([127, 0, 0, 1], crate::port::port()).into()
}

/// Answers everything it reads with its name and a newline, until the end.
pub(crate) fn serve(listener: TcpListener, name: usize) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, name));
        }
    });
}

pub(crate) async fn answer(mut stream: TcpStream, name: usize) {
    let mut bytes = [0; 1024];
    while let Ok(1..) = stream.read(&mut bytes).await {
        if stream.write_all(format!("{name}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// So many upstreams that answer with their numbers.
pub(crate) async fn servers(count: usize) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for name in 0..count {
        let (listener, address) = listen().await;
        serve(listener, name);
        addresses.push(address);
    }
    addresses
}

/// Asks who is there; the connection stays.
pub(crate) async fn who(stream: &mut TcpStream) -> String {
    stream.write_all(b"?").await.unwrap();
    let mut answer = String::new();
    loop {
        match stream.read_u8().await.unwrap() {
            b'\n' => return answer,
            byte => answer.push(char::from(byte)),
        }
    }
}

/// Asks who is there and ends the connection in order: when this returns the front has, too.
pub(crate) async fn ask(mut stream: TcpStream) -> String {
    let answer = who(&mut stream).await;
    finish(stream).await;
    answer
}

/// Ends a connection and waits for the other end.
pub(crate) async fn finish(mut stream: TcpStream) {
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// A connection from an address of this machine.
pub(crate) async fn connect_from(ip: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((ip, 0))).unwrap();
    socket.connect(to).await.unwrap()
}

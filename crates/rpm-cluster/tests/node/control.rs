//! The control socket: Node behind a wrapper, and an app that is its own primary.

use crate::{
    harness::{Preload, fixture, within},
    http::Client,
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use rpm_cluster::{
    control::{ACCEPTED, DRAIN, Report},
    message::Bound,
    preload::CONTROL_VARIABLE,
};
use std::{io, net::SocketAddr, path::PathBuf, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    process::{Child, Command},
};

struct Manager {
    directory: tempfile::TempDir,
    listener: Option<UnixListener>,
    preload: Preload,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut manager = Self { directory, listener: None, preload: Preload::new() };
        manager.listen();
        manager
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn listen(&mut self) {
        self.listener = Some(UnixListener::bind(self.path()).unwrap());
    }

    fn gone(&mut self) {
        self.listener = None;
        std::fs::remove_file(self.path()).unwrap();
    }

    /// A shell stands between, as npm would.
    fn start(&self, script: &str) -> Tree {
        let child = Command::new("sh")
            .args(["-c", "node \"$0\"; exit $?"])
            .arg(fixture(script))
            .env("NODE_OPTIONS", self.preload.node_options())
            .env(CONTROL_VARIABLE, self.path())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Tree { group: Pid::from_raw(child.id().unwrap() as i32), child }
    }

    async fn accept(&self) -> Peer {
        let listener = self.listener.as_ref().unwrap();
        let (stream, _) = within("a preload", listener.accept()).await.unwrap();
        let mut peer = Peer(BufReader::new(stream));
        peer.0.write_all(ACCEPTED).await.unwrap();
        peer
    }
}

/// A wrapper with all it started.
struct Tree {
    child: Child,
    group: Pid,
}

impl Tree {
    async fn exit(&mut self) -> Option<i32> {
        within("the exit", self.child.wait()).await.unwrap().code()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Nothing is left of it where the test got to its end.
        killpg(self.group, Signal::SIGKILL).ok();
    }
}

struct Peer(BufReader<UnixStream>);

impl Peer {
    async fn report(&mut self) -> Report {
        let mut line = String::new();
        within("a report", self.0.read_line(&mut line)).await.unwrap();
        Report::parse(line.trim_end().as_bytes()).unwrap_or_else(|_| panic!("{line}"))
    }

    async fn address(&mut self) -> (u32, SocketAddr) {
        let Report::Listening { pid, addresses } = self.report().await else {
            panic!("nothing listens");
        };
        (pid, only(&addresses))
    }

    async fn drain(&mut self) {
        self.0.write_all(DRAIN).await.unwrap();
    }
}

fn only(addresses: &[Bound]) -> SocketAddr {
    let [Bound::Tcp(address, port)] = addresses else { panic!("{addresses:?}") };
    SocketAddr::new(address.parse().unwrap(), *port)
}

#[tokio::test]
async fn a_server_behind_a_wrapper_reports_and_drains() {
    let manager = Manager::new();
    let mut wrapper = manager.start("plain.js");
    let mut peer = manager.accept().await;
    let (pid, address) = peer.address().await;
    assert_ne!(Some(pid), wrapper.child.id());
    let mut client = Client::connect(address).await;
    assert!(!client.ask("/").await.unwrap().close);
    peer.drain().await;
    client.ask_to_the_end().await;
    assert_eq!(peer.report().await, Report::Drained);
    // With nothing left to serve Node ends by itself: the control socket keeps nobody alive.
    assert_eq!(wrapper.exit().await, Some(0));
}

#[tokio::test]
async fn a_preload_comes_back_to_a_restarted_manager() {
    let mut manager = Manager::new();
    let _wrapper = manager.start("plain.js");
    let mut peer = manager.accept().await;
    let (pid, address) = peer.address().await;
    // Gone for a moment, its socket still there: at once.
    drop(peer);
    let mut peer = manager.accept().await;
    assert_eq!(peer.address().await, (pid, address));
    // Gone with its socket: with the next client.
    manager.gone();
    drop(peer);
    let mut before = Client::connect(address).await;
    before.ask("/").await.unwrap();
    manager.listen();
    let mut after = Client::connect(address).await;
    after.ask("/").await.unwrap();
    let mut peer = manager.accept().await;
    assert_eq!(peer.address().await, (pid, address));
    peer.drain().await;
    before.ask_to_the_end().await;
    after.ask_to_the_end().await;
    assert_eq!(peer.report().await, Report::Drained);
}

#[tokio::test]
async fn a_manager_that_refuses_is_not_asked_for_ever() {
    let manager = Manager::new();
    let mut wrapper = manager.start("plain.js");
    let listener = manager.listener.as_ref().unwrap();
    let mut pid = None;
    let mut times = 0;
    // 64 at most, without a timer; then the app serves on and rpm has its signal.
    while times < 64 {
        let (stream, _) = within("a preload", listener.accept()).await.unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        within("a report", reader.read_line(&mut line)).await.unwrap();
        let Ok(Report::Listening { pid: said, .. }) = Report::parse(line.trim_end().as_bytes())
        else {
            panic!("{line}");
        };
        pid = Some(said);
        times += 1;
    }
    kill(Pid::from_raw(pid.unwrap() as i32), Signal::SIGKILL).unwrap();
    wrapper.exit().await;
    // Dead: whoever wanted to connect had his time to.
    let none = std::future::poll_fn(|context| match listener.poll_accept(context) {
        std::task::Poll::Ready(accepted) => std::task::Poll::Ready(accepted.map(|_| ())),
        std::task::Poll::Pending => std::task::Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
    });
    assert_eq!(none.await.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_app_runs_without_any_manager() {
    let mut manager = Manager::new();
    manager.gone();
    let mut child = Command::new("node")
        .arg(fixture("brief.js"))
        .env("NODE_OPTIONS", manager.preload.node_options())
        .env(CONTROL_VARIABLE, manager.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(within("the exit", child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_workers_of_an_app_that_is_its_own_primary_drain() {
    let manager = Manager::new();
    let _wrapper = manager.start("own_primary.js");
    // The primary owns the socket, but serves nobody: nothing to tell, and drained at once.
    let (mut primary, mut worker) = (manager.accept().await, manager.accept().await);
    let mut reports = [primary.report().await, worker.report().await];
    if matches!(&reports[0], Report::Listening { addresses, .. } if !addresses.is_empty()) {
        std::mem::swap(&mut primary, &mut worker);
        reports.reverse();
    }
    let [Report::Listening { addresses: none, .. }, Report::Listening { addresses, .. }] = reports
    else {
        panic!("{reports:?}");
    };
    assert_eq!(none, []);
    let mut client = Client::connect(only(&addresses)).await;
    assert_eq!(client.ask("/").await.unwrap().body, "own");
    primary.drain().await;
    assert_eq!(primary.report().await, Report::Drained);
    worker.drain().await;
    client.ask_to_the_end().await;
    assert_eq!(worker.report().await, Report::Drained);
}

//! A worker of Node with its channel and preload, and a primary that does what the daemon would.

use rpm_cluster::{
    channel::{Channel, SendError},
    endpoint::Endpoint,
    key_data::KeyData,
    preload::{DRAIN_BY_CHANNEL, DRAIN_VARIABLE, PRELOAD},
    reply,
    worker::{Action, Conversation, ListenerRequest},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

/// How long a test waits for an event before it fails; far more than any of them takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Fails instead of waiting for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// A file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The preload as a file, its path with a space as in anybody's home.
pub(crate) struct Preload(tempfile::TempDir);

impl Preload {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("pre load").tempdir().unwrap();
        std::fs::write(directory.path().join("preload.cjs"), PRELOAD).unwrap();
        Self(directory)
    }

    pub(crate) fn node_options(&self) -> String {
        format!("--require=\"{}\"", self.0.path().join("preload.cjs").display())
    }
}

/// One app: what its workers share.
#[derive(Default)]
pub(crate) struct App {
    pub(crate) data: KeyData,
    pub(crate) held: HashMap<String, OwnedFd>,
    /// Bound before by somebody else: refused with EADDRINUSE.
    pub(crate) refuse: bool,
}

impl App {
    fn listener(&mut self, request: &ListenerRequest) -> Result<&OwnedFd, i32> {
        if self.refuse {
            return Err(98);
        }
        let key = request.key.to_string();
        Ok(self.held.entry(key).or_insert_with(|| match &request.endpoint {
            Endpoint::Tcp(address) => TcpListener::bind(address).unwrap().into(),
            Endpoint::Udp(address) => UdpSocket::bind(address).unwrap().into(),
            Endpoint::Unix(path) => UnixListener::bind(path).unwrap().into(),
            Endpoint::Inherited(fd) => panic!("nothing inherited at {fd}"),
        }))
    }
}

pub(crate) struct Worker {
    pub(crate) child: Child,
    pub(crate) channel: Channel,
    conversation: Conversation,
    pending: Vec<Action>,
    _preload: Preload,
}

impl Worker {
    /// A cluster worker.
    pub(crate) fn cluster(script: &str, environment: &[(&str, &str)]) -> Self {
        let mut all = vec![("NODE_UNIQUE_ID", "5")];
        all.extend(environment);
        Self::start(script, &all)
    }

    /// A Node with our channel, and a worker of no cluster.
    pub(crate) fn fork(script: &str, environment: &[(&str, &str)]) -> Self {
        Self::start(script, environment)
    }

    fn start(script: &str, environment: &[(&str, &str)]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let preload = Preload::new();
        // The shell moves the channel from stdin, the one place std can put it, to a number.
        let child = Command::new("sh")
            .args(["-c", "exec 3<&0 </dev/null; exec node \"$0\""])
            .arg(fixture(script))
            .env("NODE_CHANNEL_FD", "3")
            .env("NODE_CHANNEL_SERIALIZATION_MODE", "json")
            .env("NODE_OPTIONS", preload.node_options())
            .env(DRAIN_VARIABLE, DRAIN_BY_CHANNEL)
            .envs(environment.iter().copied())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let channel = Channel::new(ours.into()).unwrap();
        let conversation = Conversation::new(false);
        Self { child, channel, conversation, pending: Vec::new(), _preload: preload }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// The next action that is not the primary's own business.
    pub(crate) async fn next(&mut self, app: &mut App) -> Action {
        loop {
            if !self.pending.is_empty() {
                return self.pending.remove(0);
            }
            let message = within("a message", self.channel.receive()).await.unwrap();
            let message = message.unwrap_or_else(|| panic!("the worker closed its channel"));
            for action in self.conversation.on_message(message, &mut app.data) {
                self.perform(action, app);
            }
            self.channel.consume().unwrap();
        }
    }

    fn perform(&mut self, action: Action, app: &mut App) {
        match action {
            // A worker that says goodbye may not wait for the acknowledgement.
            Action::Send(line) => match self.channel.send(line, None) {
                Ok(()) | Err(SendError::Closed) => {}
                Err(error) => panic!("{error}"),
            },
            Action::NeedListener(request) => {
                let found = app.listener(&request);
                let outcome = found.as_ref().map(|_| ()).map_err(|errno| *errno);
                let reply = self.conversation.on_listener(request.seq, outcome).unwrap();
                let listener = found.ok().filter(|_| reply.with_listener);
                self.channel.send(reply.line, listener.map(AsFd::as_fd)).unwrap();
            }
            other => self.pending.push(other),
        }
    }

    /// The next message of the app's own.
    pub(crate) async fn app_message(&mut self, app: &mut App) -> Value {
        loop {
            if let Action::App(value) = self.next(app).await {
                return value;
            }
        }
    }

    /// Where it listens, once it does.
    pub(crate) async fn listening(&mut self, app: &mut App) -> Endpoint {
        loop {
            if let Action::Listening(endpoint) = self.next(app).await {
                return endpoint;
            }
        }
    }

    /// As [`Self::listening`], for TCP.
    pub(crate) async fn tcp(&mut self, app: &mut App) -> SocketAddr {
        match self.listening(app).await {
            Endpoint::Tcp(address) => address,
            other => panic!("not TCP: {other:?}"),
        }
    }

    pub(crate) fn drain(&mut self) {
        self.channel.send(reply::drain(), None).unwrap();
    }

    /// Waits for the end of the drain.
    pub(crate) async fn drained(&mut self, app: &mut App) {
        while self.next(app).await != Action::Drained {}
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(sent.success());
        self.exit().await
    }

    pub(crate) async fn exit(&mut self) -> Option<i32> {
        within("the exit", self.child.wait()).await.unwrap().code()
    }
}

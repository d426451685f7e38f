//! The channel to a front: lines of JSON both ways, as `rpm-front`'s `command.rs` has them.

use crate::inbox::Message;
use rpm_config::AppName;
use rpm_keeper::ChildId;
use serde::Deserialize;
use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::mpsc,
    task::spawn_local,
};

/// Lines that may wait for a front that does not read; it is told the whole set again later.
const MAX_QUEUED: usize = 32;
/// The longest line of a front: the figures of 1,024 upstreams.
const MAX_LINE_BYTES: u64 = 512 << 10;
/// Accept no more, end with the last connection.
pub(super) const DRAIN: &str = "{\"drain\":true}";

/// Says lines to a front. Dropping it ends the talk, not the front.
pub(super) struct Link {
    lines: mpsc::Sender<String>,
}

/// What a front says.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    /// Which command this answers.
    pub(super) id: Option<u64>,
    /// Slots whose draining upstream has no connection left.
    pub(super) idle: Option<Vec<u32>>,
    /// Why a command was not obeyed.
    pub(super) error: Option<String>,
    /// How it stands.
    pub(super) stats: Option<Stats>,
}

/// How a front stands.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stats {
    pub(super) connections: usize,
    pub(super) waiting: usize,
    pub(super) upstreams: Vec<UpstreamStats>,
}

/// How one of its upstreams stands.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct UpstreamStats {
    pub(super) id: u32,
    pub(super) state: String,
    pub(super) open: u32,
}

impl Link {
    /// Begins to talk over the front's channel.
    pub(super) fn start(
        child: ChildId,
        fd: OwnedFd,
        engine: mpsc::Sender<Message>,
    ) -> io::Result<Self> {
        let stream = StdStream::from(fd);
        stream.set_nonblocking(true)?;
        let (lines, said) = mpsc::channel(MAX_QUEUED);
        spawn_local(talk(child, UnixStream::from_std(stream)?, said, engine));
        Ok(Self { lines })
    }

    /// Says a line; false if the front has not read so many before it.
    pub(super) fn say(&self, line: String) -> bool {
        self.lines.try_send(line).is_ok()
    }
}

async fn talk(
    child: ChildId,
    stream: UnixStream,
    lines: mpsc::Receiver<String>,
    engine: mpsc::Sender<Message>,
) {
    let (read, write) = stream.into_split();
    let hears = spawn_local(hear(child, BufReader::new(read), engine));
    // A front whose channel fails has died, which the keeper tells.
    let _gone = tell(write, lines).await;
    hears.abort();
}

async fn tell(
    mut stream: tokio::net::unix::OwnedWriteHalf,
    mut lines: mpsc::Receiver<String>,
) -> io::Result<()> {
    // Ends what a predecessor may have left half said.
    stream.write_all(b"\n").await?;
    while let Some(line) = lines.recv().await {
        stream.write_all(line.as_bytes()).await?;
        stream.write_all(b"\n").await?;
    }
    // Until the front has gone, or the engine.
    std::future::pending().await
}

async fn hear(
    child: ChildId,
    mut stream: BufReader<tokio::net::unix::OwnedReadHalf>,
    engine: mpsc::Sender<Message>,
) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stream).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        // The rest of a line that a predecessor had begun to read is no message.
        let Ok(said) = serde_json::from_slice::<Said>(&line) else { continue };
        if engine.send(Message::Front { child, said: Box::new(said) }).await.is_err() {
            return;
        }
    }
}

/// The name is for the log only.
pub(super) fn complain(app: &AppName, error: &str) {
    tracing::error!(%app, "its front refused a command: {error}");
}

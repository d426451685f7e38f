//! [`run`]: a front as a process of its own, from its sockets to its end.

use crate::{
    command::{Command, hello},
    config::Config,
    connect::Common,
    control::{self, Wires},
    engine::{Asked, Engine, Parts},
    error::FrontError,
    listener::{self, Listeners},
    pipes::Pipes,
    pool::Pool,
};
use std::{io, os::unix::net::UnixStream as StdStream, time::Duration};
use tokio::{
    net::UnixStream,
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// Descriptors that are not connections: standard streams, listening sockets, tokio's own.
const RESERVED_FILES: u64 = 64;
/// An eighth of the descriptors may be pipes; the rest of the connections copy.
const PIPES_SHARE: u64 = 8;
/// Pipes in use at once. 512 of 64 KiB are half of what one user may have in pipes
/// (fs.pipe-user-pages-soft).
const MAX_PIPES: u64 = 512;
/// A peer that does not read its last answer has lost it.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// How a front ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to drain, and the last connection has ended.
    Drained,
    /// A second signal cut off what was still open.
    Cut,
}

/// Runs a front until it has drained. `{"drain":true}`, SIGINT and SIGTERM have it drain; a second
/// signal ends it at once. To be called first in a process that is nothing else: it takes over
/// inherited descriptors and raises the limit of open files.
///
/// # Errors
/// It cannot start: [`FrontError`].
pub fn run(config: Config) -> Result<Ended, FrontError> {
    config.check()?;
    let mut pool = Pool::new(config.balance, config.connect_timeout());
    pool.replace(config.upstreams.clone())
        .map_err(|error| FrontError::Config(error.to_string()))?;
    let opened = listener::open(&config)?;
    let addresses: Vec<_> = opened.iter().map(|one| one.address().clone()).collect();
    let control = control::open(&config)?;
    let room = Room::new(config.max_connections).map_err(FrontError::System)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(FrontError::System)?;
    runtime.block_on(async {
        let common = Common {
            connect_timeout: config.connect_timeout(),
            proxy_protocol: config.proxy_protocol,
            pipes: Pipes::new(room.pipes),
        };
        let listeners = Listeners::new(opened).map_err(FrontError::System)?;
        let max_connections = room.connections;
        let (idle, watched) = watch::channel(Vec::new());
        let parts = Parts { listeners, pool, common, max_connections, idle };
        let channel = control.map(|control| (control, hello(&addresses), watched));
        serve(&config, parts, channel).await.map_err(FrontError::System)
    })
}

async fn serve(
    config: &Config,
    parts: Parts,
    channel: Option<(StdStream, String, watch::Receiver<Vec<u32>>)>,
) -> io::Result<Ended> {
    let signals = Signals::new()?;
    let (asking, asked) = mpsc::channel(control::MAX_ASKED);
    let channel = match channel {
        Some((control, hello, idle)) => {
            let control = UnixStream::from_std(control)?;
            let wires = Wires { engine: asking.clone(), idle };
            Some(tokio::spawn(control::talk(control, hello, wires)))
        }
        None => None,
    };
    let ended = tokio::select! {
        () = Engine::new(config, parts, asked).run() => Ended::Drained,
        () = signals.twice(asking) => Ended::Cut,
    };
    if let (Some(channel), Ended::Drained) = (channel, ended) {
        let _gone = timeout(LAST_ANSWER, channel).await;
    }
    Ok(ended)
}

/// What the limit of open files leaves room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    connections: usize,
    pipes: usize,
}

impl Room {
    fn new(wanted: u32) -> io::Result<Self> {
        let before = rpm_unix::limits::raise_open_files()?;
        Ok(Self::within(before.hard, wanted))
    }

    fn within(files: u64, wanted: u32) -> Self {
        let files = files.saturating_sub(RESERVED_FILES);
        let pipes = MAX_PIPES.min(files / PIPES_SHARE / 2);
        let connections = (files - pipes * 2) / 2;
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self { connections: size(connections.clamp(1, wanted.into())), pipes: size(pipes) }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Has the engine drain at the first signal and returns at the second.
    async fn twice(mut self, engine: mpsc::Sender<Asked>) {
        self.next().await;
        let (answer, _unheard) = oneshot::channel();
        // An engine that has ended is drained.
        let _ended = engine.send(Asked { command: Command::Drain, answer }).await;
        drop(engine);
        self.next().await;
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_shared_out() {
        let table = [
            (0, 5, 1, 0),
            (64, 5, 1, 0),
            (1_024, 16_384, 420, 60),
            (1_024, 100, 100, 60),
            (524_288, 16_384, 16_384, 512),
            (u64::MAX, 1 << 20, 1 << 20, 512),
        ];
        for (files, wanted, connections, pipes) in table {
            assert_eq!(Room::within(files, wanted), Room { connections, pipes }, "{files}");
        }
    }
}

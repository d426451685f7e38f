//! The control channel: commands in, answers out. A peer that floods it, says nonsense or does not
//! read its answers has only itself to wait for.

use crate::{
    command::{Answer, MAX_LINE_BYTES, Request, idle},
    config::Config,
    engine::Asked,
    error::FrontError,
    lines::{Line, Lines},
};
use rpm_unix::socket::Transport;
use std::{env, io, os::fd::OwnedFd, os::unix::net::UnixStream as StdStream};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
};

/// What is read at once.
const READ_BYTES: usize = 4 << 10;
/// Commands between channel and engine; the channel waits for each answer before it reads on.
pub(crate) const MAX_ASKED: usize = 2;

/// The channel that the configuration, the environment or standard input names.
///
/// # Errors
/// What is named is no connected unix stream socket.
pub(crate) fn open(config: &Config) -> Result<Option<StdStream>, FrontError> {
    let named = config.control.or_else(|| env::var("NODE_CHANNEL_FD").ok()?.parse().ok());
    match named {
        Some(number) => rpm_unix::fd::adopt(number)
            .and_then(stream)
            .map(Some)
            .map_err(|error| FrontError::Control(number, error)),
        // Anything else there is no channel, and none was asked for.
        None => Ok(rpm_unix::fd::duplicate(0).and_then(stream).ok()),
    }
}

fn stream(fd: OwnedFd) -> io::Result<StdStream> {
    let transport = rpm_unix::socket::transport(&fd)?;
    if transport != Some(Transport::Unix) || rpm_unix::socket::is_listening(&fd)? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rpm_unix::fd::set_nonblocking(&fd, true)?;
    Ok(fd.into())
}

/// The engine as the channel sees it.
#[derive(Debug)]
pub(crate) struct Wires {
    /// Takes commands.
    pub(crate) engine: mpsc::Sender<Asked>,
    /// Tells which draining upstreams are idle.
    pub(crate) idle: watch::Receiver<Vec<u32>>,
}

/// Speaks with the peer until it closes or the engine has ended. When this returns, all answers are
/// in the socket.
pub(crate) async fn talk(stream: UnixStream, hello: String, wires: Wires) {
    let Wires { engine, idle } = wires;
    let mut channel = Channel { stream, lines: Lines::default(), engine, idle };
    // A peer that has gone hears no answers; what it said last was heard all the same.
    let _gone = channel.talk(&hello).await;
}

struct Channel {
    stream: UnixStream,
    lines: Lines,
    engine: mpsc::Sender<Asked>,
    idle: watch::Receiver<Vec<u32>>,
}

impl Channel {
    async fn talk(&mut self, hello: &str) -> io::Result<()> {
        self.write(hello).await?;
        let mut bytes = [0; READ_BYTES];
        loop {
            tokio::select! {
                ready = self.stream.readable() => ready?,
                () = self.engine.closed() => return Ok(()),
                Ok(()) = self.idle.changed() => {
                    let line = idle(&self.idle.borrow_and_update().clone());
                    self.write(&line).await?;
                    continue;
                }
            }
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => self.hear(bytes.get(..count).unwrap_or_default()).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        for line in self.lines.push(bytes) {
            let answer = self.answer(line).await;
            self.write(&answer).await?;
        }
        Ok(())
    }

    async fn answer(&self, line: Line) -> String {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong => {
                let error = format!("a line has more than {MAX_LINE_BYTES} bytes");
                return Answer::Refused(error).line(None);
            }
        };
        match Request::parse(&line) {
            Ok(Request { id, command }) => {
                let (answer, answered) = oneshot::channel();
                // If the engine has ended, the answer never comes either.
                let _ended = self.engine.send(Asked { command, answer }).await;
                let ended = |_| Answer::Refused("the front has drained".to_owned());
                answered.await.unwrap_or_else(ended).line(id)
            }
            Err(error) => Answer::Refused(error).line(None),
        }
    }

    async fn write(&self, text: &str) -> io::Result<()> {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

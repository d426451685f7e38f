//! The socket of sd_notify(3), for apps with `ready = "notify"`. One for all workers: whose a
//! message is follows from its sender's pid, which the kernel tells, and the process table.

use crate::{async_fd, engine::Engine, inbox::Message, keeper_link::KeeperLink, store};
use rpm_config::Ready;
use rpm_keeper::Request;
use rpm_unix::notify_socket::{self, MAX_BYTES};
use std::{io, os::fd::OwnedFd, path::Path};
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, oneshot},
    task::spawn_local,
};

/// What a process sent.
pub(crate) struct Said {
    /// Who.
    pid: i32,
    /// `READY=1` was in it. Whatever else may be (`STATUS=`, `EXTEND_TIMEOUT_USEC=`, `MAINPID=`)
    /// asks for nothing that is done here.
    ready: bool,
    /// Dropped when it was looked at: until then the sender may wait to be seen (`BARRIER=1`).
    _seen: oneshot::Sender<()>,
}

/// Serves the socket at `path`, a predecessor's (`held`) or a new one, which the keeper then holds:
/// what is sent while no daemon lives waits in it.
pub(crate) fn start(
    path: &Path,
    held: Option<OwnedFd>,
    engine: mpsc::Sender<Message>,
    keeper: &mut KeeperLink,
) -> io::Result<()> {
    let socket = match held {
        Some(fd) => fd,
        None => {
            let made = notify_socket::open(path)?;
            keeper.send(Request::Hold { name: store::NOTIFY.to_owned(), fd: made.try_clone()? });
            made
        }
    };
    spawn_local(serve(async_fd::register(socket)?, engine));
    Ok(())
}

async fn serve(socket: AsyncFd<OwnedFd>, engine: mpsc::Sender<Message>) {
    let mut buffer = vec![0; MAX_BYTES];
    while let Ok(mut readable) = socket.readable().await {
        let received =
            readable.try_io(|socket| notify_socket::receive(socket.get_ref(), &mut buffer));
        let Ok(Ok((length, Some(pid)))) = received else { continue };
        let ready = is_ready(buffer.get(..length).unwrap_or_default());
        let (seen, until_seen) = oneshot::channel();
        if engine.send(Message::Notified(Said { pid, ready, _seen: seen })).await.is_err() {
            return;
        }
        // A sender that waits until its message was taken (sd_notify_barrier(3)) may exit after
        // that, and then nobody can tell any more whose it was.
        let _dropped = until_seen.await;
    }
}

/// Lines of `NAME=value`.
fn is_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

impl Engine {
    /// Takes what a process told of itself; one that is of no worker's tree tells nothing.
    pub(crate) fn on_notified(&mut self, said: Said) {
        if !said.ready {
            return;
        }
        match self.worker_of_process(said.pid) {
            Some(worker) => self.on_proof(worker, Ready::Notify),
            None => tracing::debug!(pid = said.pid, "READY=1 of a process of no app"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_ready;

    #[test]
    fn ready_is_a_line_of_its_own() {
        for ready in ["READY=1", "STATUS=up\nREADY=1\n", "READY=1\nMAINPID=3"] {
            assert!(is_ready(ready.as_bytes()), "{ready}");
        }
        for other in ["", "READY=0", "READY=10", "XREADY=1", "EXTEND_TIMEOUT_USEC=1", "\0\u{ff}"] {
            assert!(!is_ready(other.as_bytes()), "{other}");
        }
    }
}

//! The daemon's end: [`Server`] accepts clients of its own user from a socket that is already
//! listening, and never more at once than it can afford.

use crate::{Connection, RpcError, rpc};
use interprocess::{
    local_socket::traits::{StreamCommon, tokio::Listener as _},
    os::unix::uds_local_socket::{
        Stream as BlockingStream,
        tokio::{Listener, Stream},
    },
};
use std::{
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many clients are served at once; further ones wait in the socket's queue.
pub const MAX_CLIENTS: usize = 64;
/// The first and the longest pause after accept(2) failed, as with no descriptor left.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// The user who may everything anyway.
const ROOT: u32 = 0;

/// A listening `rpm.sock`.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    clients: Arc<Semaphore>,
    /// The only user, beside root, who is served.
    user: u32,
}

impl Server {
    /// Serves `socket`, a listening Unix stream socket. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// It is no such socket, or cannot be registered.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let user = own_user()?;
        let listener = Listener::try_from(socket)?;
        Ok(Self { listener, clients: Arc::new(Semaphore::new(MAX_CLIENTS)), user })
    }

    /// The next client. Clients of other users are told so and not returned. May be cancelled.
    pub async fn accept(&self) -> Connection {
        let mut pause = BACK_OFF.0;
        loop {
            let permit = self.permit().await;
            match self.listener.accept().await {
                Ok(stream) => match self.judge(&stream) {
                    Ok(()) => return Connection::new(stream, permit),
                    Err(error) => turn_away(stream, error),
                },
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(BACK_OFF.1);
                }
            }
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // An error would mean a closed semaphore; nobody closes it.
        Arc::clone(&self.clients).acquire_owned().await.ok()
    }

    fn judge(&self, stream: &Stream) -> Result<(), RpcError> {
        let peer = stream.peer_creds().map_err(|error| {
            RpcError::new(RpcError::PERMISSION, format!("the client's user is unknown: {error}"))
        })?;
        may_use(peer.euid(), self.user)
    }
}

/// Whether a client of user `theirs` is served by a daemon of user `ours`.
fn may_use(theirs: Option<u32>, ours: u32) -> Result<(), RpcError> {
    let message = match theirs {
        Some(theirs) if theirs == ours || theirs == ROOT => return Ok(()),
        Some(theirs) => format!("user {theirs} may not use the daemon of user {ours}"),
        None => "the system does not tell whose this client is".into(),
    };
    let hint = "run rpm as the user who started the daemon, or with an RPM_HOME of your own";
    Err(RpcError::new(RpcError::PERMISSION, message).hint(hint))
}

/// The effective user of this process, as the kernel tells it to the other end of a socket.
fn own_user() -> io::Result<u32> {
    let (end, _other) = UnixStream::pair()?;
    let user = BlockingStream::from(end).peer_creds()?.euid();
    user.ok_or_else(|| io::Error::other("the system does not tell the user of a socket's peer"))
}

/// Says why and closes. A new socket has room for one line, so that nobody waits here.
fn turn_away(stream: Stream, error: RpcError) {
    let line = rpc::answer_line(&rpc::Id::Null, &Err::<(), _>(error));
    let Ok(stream) = OwnedFd::try_from(stream) else { return };
    // A client that is gone already need not be told.
    let _ = UnixStream::from(stream).write(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_user_and_root_are_served() {
        assert_eq!(may_use(Some(1000), 1000), Ok(()));
        assert_eq!(may_use(Some(ROOT), 1000), Ok(()));
        let error = may_use(Some(1001), 1000).unwrap_err();
        assert_eq!(error.code, RpcError::PERMISSION);
        assert_eq!(error.message, "user 1001 may not use the daemon of user 1000");
        assert!(may_use(Some(1000), ROOT).is_err());
        assert!(may_use(None, ROOT).is_err());
    }
}

//! The two listening sockets: made, checked for their clients' user, and removed.

use rpm_unix::{peer, process::effective_uid};
use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener as StdListener, UnixStream as StdStream},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::{UnixListener, UnixStream};

/// The first and the longest pause after accept(2) failed, as with no descriptor left.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// The user who may everything anyway.
const ROOT: u32 = 0;

/// PM2's sockets of a home, listening.
#[derive(Debug)]
pub struct Sockets {
    /// `rpc.sock`: calls.
    pub calls: OwnedFd,
    /// `pub.sock`: the bus.
    pub bus: OwnedFd,
}

impl Sockets {
    /// Makes both in `home`, 0600. What nobody listens on any more is replaced.
    ///
    /// # Errors
    /// Somebody listens there, as a PM2 with this home would; or they cannot be made.
    pub fn bind(home: &Path) -> io::Result<Self> {
        let [calls, bus] = Self::paths(home);
        Ok(Self { calls: bind(&calls)?, bus: bind(&bus)? })
    }

    /// Removes both; what is not there is removed already.
    pub fn remove(home: &Path) {
        for path in Self::paths(home) {
            let _ = fs::remove_file(path);
        }
    }

    /// Where they are in `home`: `rpc.sock`, `pub.sock`.
    pub fn paths(home: &Path) -> [PathBuf; 2] {
        ["rpc.sock", "pub.sock"].map(|name| home.join(name))
    }
}

fn bind(path: &Path) -> io::Result<OwnedFd> {
    if StdStream::connect(path).is_ok() {
        let message = format!("somebody listens on {} already: a PM2?", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = StdListener::bind(path)?;
    // The home is 0700: nobody comes in between.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener.into())
}

/// Serves a listening socket.
pub(crate) fn adopt(socket: OwnedFd) -> io::Result<UnixListener> {
    let listener = StdListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// The next client of our own user or root, with its process. Others are hung up on.
pub(crate) async fn accept(listener: &UnixListener) -> (UnixStream, Option<i32>) {
    let mut pause = BACK_OFF.0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match peer::of(&stream) {
                Ok(peer) if peer.uid == effective_uid() || peer.uid == ROOT => {
                    return (stream, Some(peer.pid).filter(|pid| *pid > 0));
                }
                Ok(peer) => tracing::warn!("a PM2 client of user {} was refused", peer.uid),
                Err(error) => tracing::warn!("a PM2 client of an unknown user: {error}"),
            },
            Err(_) => {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(BACK_OFF.1);
            }
        }
    }
}

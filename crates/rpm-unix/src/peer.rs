//! Who is at the other end of a Unix socket.

use nix::sys::socket::{getsockopt, sockopt};
use std::{io, os::fd::AsFd};

/// The credentials a peer had when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Asks the kernel (SO_PEERCRED).
pub fn of(socket: impl AsFd) -> io::Result<Peer> {
    let peer = getsockopt(&socket, sockopt::PeerCredentials)?;
    Ok(Peer { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn our_own_pair_is_us() {
        let (one, _other) = UnixStream::pair().unwrap();
        let us = Peer {
            pid: std::process::id() as i32,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        };
        assert_eq!(of(&one).unwrap(), us);
    }
}

//! The socket of sd_notify(3): datagrams, each with the pid of who sent it, which the kernel
//! vouches
//! for. What they say is for others to read.

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials,
    bind, recvmsg, setsockopt, socket, sockopt,
};
use std::{
    fs::{self, Permissions},
    io::{self, IoSliceMut},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

/// Longer messages are cut short; systemd's own limit is 4096.
pub const MAX_BYTES: usize = 4096;

/// Makes the socket at `path`, in place of one that is there. Every user may write to it: who does
/// is told by [`receive`], so an app that runs as another one reaches it too (traps A10).
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    // Before anybody can send: a message without credentials would be from nobody.
    setsockopt(&made, sockopt::PassCred, &true)?;
    bind(made.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(made)
}

/// Takes one message into `buffer`: how long it is, and the pid of its sender; `None` where the
/// kernel does not say, or descriptors came with it, which are closed: nothing is asked of us then
/// that we could do. Never waits.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<i32>)> {
    // Room for credentials alone: the kernel closes descriptors that do not fit.
    let mut control = nix::cmsg_space!(UnixCredentials);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let number = socket.as_fd().as_raw_fd();
    let message = recvmsg::<UnixAddr>(number, &mut parts, Some(&mut control), flags)?;
    let pid = message.cmsgs().ok().and_then(|mut all| {
        all.find_map(|one| match one {
            ControlMessageOwned::ScmCredentials(sender) => Some(sender.pid()),
            _ => None,
        })
    });
    Ok((message.bytes, pid.filter(|pid| *pid > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_message_comes_with_the_pid_of_its_sender() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify.sock");
        let socket = open(&path).unwrap();
        let mut buffer = [0; MAX_BYTES];
        let nothing = receive(&socket, &mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        UnixDatagram::unbound().unwrap().send_to(b"READY=1", &path).unwrap();
        let (length, pid) = receive(&socket, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        assert_eq!(pid, i32::try_from(std::process::id()).ok());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
    }
}

//! [`Source`]: a child whose binds and listens we answer, and what one call of it is about.

use super::key::Key;
use crate::message::{Address, ChildId, Owner};
use rpm_unix::{
    caller,
    procfd::{self, Place},
    seccomp::{Answer, Call, Listener, Notification},
    socket::{self, SocketName, Transport},
};
use std::{
    ffi::OsStr,
    fs, io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    time::Instant,
};

/// A child with a filter.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) owner: Owner,
    /// The leader of its session.
    pub(super) leader: i32,
    /// `None` once nobody is left who could call.
    pub(super) listener: Option<Listener>,
    /// It lives, but nobody has its calls since all managers died.
    pub(super) unheard: bool,
    /// Its leader has.
    pub(super) exited: bool,
    /// The daemon has forgotten it; what is left of its tree is answered still.
    pub(super) forgotten: bool,
    /// It binds nothing more that a predecessor had.
    pub(super) settled: bool,
    /// When it counts as settled without being told.
    pub(super) settles: Option<Instant>,
}

/// The socket a call is about.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) child: ChildId,
    pub(super) owner: Owner,
    pub(super) note: Notification,
    pub(super) place: Place,
    pub(super) socket: OwnedFd,
    pub(super) transport: Transport,
    pub(super) cookie: u64,
    pub(super) inode: u64,
}

/// A bind that could be shared: who wants what.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) caller: Caller,
    /// What the program wrote.
    pub(super) name: SocketName,
    pub(super) key: Key,
    /// It set SO_REUSEPORT itself.
    pub(super) wants: bool,
}

impl Source {
    /// Whether anybody of its tree may be left; of one that nobody hears, its leader.
    pub(super) fn lives(&self) -> bool {
        self.listener.is_some() || (self.unheard && !self.exited)
    }

    /// Answers. An error means that the caller is gone or calls again, and both are dealt with when
    /// they are seen.
    pub(super) fn answer(&self, note: &Notification, answer: Answer) {
        if let Some(listener) = &self.listener {
            let _ = listener.answer(note, answer);
        }
    }

    /// The socket of a call; `None`: not of a kind that is shared. Whether the caller is still the
    /// same is to be asked afterwards.
    pub(super) fn caller(&self, child: ChildId, note: Notification) -> io::Result<Option<Caller>> {
        let place = Place { pid: caller::thread_group(note.thread)?, fd: note.fd };
        let socket = caller::take_fd(place.pid, place.fd)?;
        let Ok(Some(transport)) = socket::transport(&socket) else { return Ok(None) };
        Ok(Some(Caller {
            child,
            owner: self.owner.clone(),
            note,
            place,
            transport,
            cookie: socket::cookie(&socket)?,
            inode: procfd::inode(&socket)?,
            socket,
        }))
    }

    pub(super) fn is_valid(&self, note: &Notification) -> bool {
        self.listener.as_ref().is_some_and(|listener| listener.is_valid(note))
    }
}

/// The address a bind asks for, if it is one that could be shared: port 0 is any port, multicast is
/// everybody's.
///
/// # Errors
/// The caller may not be looked into. What cannot be read for another reason is no address.
pub(super) fn wanted_name(note: &Notification) -> io::Result<Option<SocketName>> {
    let Call::Bind { address, length } = note.call else { return Ok(None) };
    let bytes = match caller::read_memory(note.thread, address, length) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Err(_) => return Ok(None),
    };
    Ok(match SocketName::parse(&bytes) {
        SocketName::Inet(address) if address.port() == 0 || address.ip().is_multicast() => None,
        SocketName::Other => None,
        name @ (SocketName::Inet(_) | SocketName::Path(_)) => Some(name),
    })
}

impl Caller {
    /// The claim that binding this socket to this name makes; `None` if the kernel will refuse it,
    /// or its path cannot be told.
    pub(super) fn claim(self, name: SocketName) -> Option<Claim> {
        let key = self.key(&name)?;
        let wants = socket::reuse_port(&self.socket).unwrap_or(false);
        Some(Claim { caller: self, name, key, wants })
    }

    fn key(&self, name: &SocketName) -> Option<Key> {
        key_of(self.transport, &self.socket, self.note.thread, name)
    }

    /// The file a path names in the caller's view: device and inode.
    pub(super) fn file(&self, key: &Key) -> Option<(u64, u64)> {
        file_of_address(self.note.thread, &key.address)
    }
}

/// What a socket of this thread claims that is, or is to be, bound to a name.
pub(super) fn key_of(
    transport: Transport,
    socket: &OwnedFd,
    thread: i32,
    name: &SocketName,
) -> Option<Key> {
    let address = match (transport, name) {
        (Transport::Tcp, SocketName::Inet(address)) => Address::Tcp(plain(*address)),
        (Transport::Udp, SocketName::Inet(address)) => Address::Udp(plain(*address)),
        (Transport::Unix, SocketName::Path(path)) => {
            let address = Address::Unix(absolute(thread, path)?);
            let namespace = mount_namespace(thread)?;
            return Some(Key { address, namespace, only_v6: false, device: Vec::new() });
        }
        (Transport::Tcp | Transport::Udp | Transport::Unix, _) => return None,
    };
    Some(Key {
        address,
        namespace: socket::namespace(socket),
        only_v6: socket::only_v6(socket),
        device: socket::device(socket),
    })
}

/// The file an address names in a process's view, if it is a path.
pub(super) fn file_of_address(pid: i32, address: &Address) -> Option<(u64, u64)> {
    match address {
        Address::Unix(path) => file_of(pid, path),
        Address::Tcp(_) | Address::Udp(_) => None,
    }
}

/// The file a path names in a process's view.
pub(super) fn file_of(pid: i32, path: &Path) -> Option<(u64, u64)> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let metadata =
        fs::symlink_metadata(Path::new(&format!("/proc/{pid}/root")).join(inside)).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The mount namespace of a process, by its inode.
pub(super) fn mount_namespace(pid: i32) -> Option<u64> {
    Some(fs::metadata(format!("/proc/{pid}/ns/mnt")).ok()?.ino())
}

/// Without the flow label, which is no part of where a socket is bound.
fn plain(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(address) = &mut address {
        address.set_flowinfo(0);
    }
    address
}

fn absolute(thread: i32, path: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path));
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    Some(fs::read_link(format!("/proc/{thread}/cwd")).ok()?.join(path))
}

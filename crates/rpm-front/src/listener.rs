//! [`Listeners`]: the listening sockets, inherited or bound here.

use crate::{
    address::Address,
    config::Config,
    error::FrontError,
    stream::{Stream, keep_alive},
};
use nix::sys::socket::{setsockopt, sockopt};
use rpm_unix::socket::{Endpoint, Fresh, SocketName, Transport};
use std::{
    env,
    ffi::OsStr,
    fs,
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileTypeExt},
    },
    path::Path,
    task::{Context, Poll},
};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The first inherited socket, as sd_listen_fds(3) has it.
const FIRST_INHERITED: i32 = 3;

/// A listening socket that nobody has waited on yet.
#[derive(Debug)]
pub(crate) struct Opened {
    fd: OwnedFd,
    address: Address,
    /// Bound here: nobody else has it, and it goes with us.
    own: bool,
}

/// The inherited sockets, then those that the configuration names.
///
/// # Errors
/// One of them is not to be had, or there is none at all.
pub(crate) fn open(config: &Config) -> Result<Vec<Opened>, FrontError> {
    let count = config.inherited.or_else(announced).unwrap_or(0);
    let end = FIRST_INHERITED.saturating_add_unsigned(count);
    let inherited = (FIRST_INHERITED..end).map(inherit);
    let all: Vec<_> = inherited.chain(config.listen.iter().map(bind)).collect::<Result<_, _>>()?;
    if all.is_empty() {
        return Err(FrontError::NothingToListenOn);
    }
    Ok(all)
}

/// How many sockets whoever started us says that we inherited.
fn announced() -> Option<u32> {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    (number("LISTEN_PID")? == std::process::id()).then(|| number("LISTEN_FDS"))?
}

fn inherit(number: i32) -> Result<Opened, FrontError> {
    let opened = || {
        let fd = rpm_unix::fd::adopt(number)?;
        if !rpm_unix::socket::is_listening(&fd)? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Opened::new(fd, false)
    };
    opened().map_err(|error| FrontError::Inherited(number, error))
}

fn bind(address: &Address) -> Result<Opened, FrontError> {
    let endpoint = match address {
        Address::Tcp(address) => Endpoint::Tcp(*address),
        Address::Local(port) => Endpoint::Tcp((Ipv4Addr::LOCALHOST, *port).into()),
        Address::Unix(path) => {
            remove_dead(path);
            Endpoint::Unix(path.to_path_buf())
        }
    };
    rpm_unix::socket::open_listener(&endpoint, &Fresh::default())
        .and_then(|fd| Opened::new(fd, true))
        .map_err(|error| FrontError::Listen(address.clone(), error))
}

/// What a killed predecessor left; where it cannot be removed, `bind` says why.
fn remove_dead(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && rpm_unix::socket::is_dead_path(path) {
        let _told_by_bind = fs::remove_file(path);
    }
}

impl Opened {
    fn new(fd: OwnedFd, own: bool) -> io::Result<Self> {
        rpm_unix::fd::set_nonblocking(&fd, true)?;
        let address = match rpm_unix::socket::local_name(&fd)? {
            SocketName::Inet(address) => Address::Tcp(address),
            SocketName::Path(path) => Address::Unix(Path::new(OsStr::from_bytes(&path)).into()),
            SocketName::Other => return Err(io::ErrorKind::Unsupported.into()),
        };
        if let Address::Tcp(_) = address {
            set_options(&fd)?;
        }
        Ok(Self { fd, address, own })
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

/// Accepted sockets have the options of the listening one, so each is set once.
fn set_options(fd: impl AsFd) -> io::Result<()> {
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    keep_alive(fd)
}

/// A client.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    /// Its address, over TCP.
    pub(crate) peer: Option<SocketAddr>,
    /// Which socket it came to, counted from 0.
    pub(crate) listener: usize,
}

/// The same before it is known which socket it was.
type Client = (Stream, Option<SocketAddr>);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

#[derive(Debug)]
struct Listener {
    socket: Socket,
    address: Address,
    own: bool,
}

/// Listening sockets that are waited on.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    all: Vec<Listener>,
    /// Which one is asked first; another one each time, so that none starves the others.
    first: usize,
}

impl Listeners {
    /// Must be called inside a runtime.
    pub(crate) fn new(opened: Vec<Opened>) -> io::Result<Self> {
        let all = opened.into_iter().map(Listener::new).collect::<io::Result<_>>()?;
        Ok(Self { all, first: 0 })
    }

    /// Waits for a client. Dropping the future loses none.
    pub(crate) async fn accept(&mut self) -> io::Result<Accepted> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let count = self.all.len();
        self.first = (self.first + 1) % count.max(1);
        let indices = (0..count).cycle().skip(self.first).take(count);
        for listener in indices {
            let Some(one) = self.all.get(listener) else { continue };
            if let Poll::Ready(accepted) = one.socket.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, peer)| Accepted {
                    stream,
                    peer,
                    listener,
                }));
            }
        }
        Poll::Pending
    }

    /// Closes all, and gives the clients in the queues of those that close with us: they would be
    /// reset. An inherited socket lives on with whoever gave it, and so does its queue.
    pub(crate) fn close(&mut self) -> Vec<Accepted> {
        let all = std::mem::take(&mut self.all).into_iter().enumerate();
        let closed = all.map(|(listener, one)| (listener, one.close()));
        let accepted = closed.flat_map(|(listener, clients)| {
            clients.into_iter().map(move |(stream, peer)| Accepted { stream, peer, listener })
        });
        accepted.collect()
    }
}

impl Listener {
    fn new(opened: Opened) -> io::Result<Self> {
        let Opened { fd, address, own } = opened;
        let socket = match rpm_unix::socket::transport(&fd)? {
            Some(Transport::Tcp) => Socket::Tcp(TcpListener::from_std(fd.into())?),
            Some(Transport::Unix) => Socket::Unix(UnixListener::from_std(fd.into())?),
            Some(Transport::Udp) | None => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self { socket, address, own })
    }

    fn close(self) -> Vec<Client> {
        if !self.own {
            return Vec::new();
        }
        if let Address::Unix(path) = &self.address {
            // Clients that come now are told that nobody is here, which is so.
            let _gone_already = fs::remove_file(path);
        }
        self.socket.rest()
    }
}

impl Socket {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Client>> {
        match self {
            Self::Tcp(socket) => {
                socket.poll_accept(context).map_ok(|(stream, peer)| (stream.into(), Some(peer)))
            }
            Self::Unix(socket) => {
                socket.poll_accept(context).map_ok(|(stream, _)| (stream.into(), None))
            }
        }
    }

    /// What waits in the kernel's queue, whose length is bounded (net.core.somaxconn).
    fn rest(self) -> Vec<Client> {
        match self {
            Self::Tcp(socket) => {
                let Ok(socket) = socket.into_std() else { return Vec::new() };
                let accepted = std::iter::from_fn(|| socket.accept().ok());
                accepted
                    .filter_map(|(stream, peer)| Some((tcp(stream).ok()?, Some(peer))))
                    .collect()
            }
            Self::Unix(socket) => {
                let Ok(socket) = socket.into_std() else { return Vec::new() };
                let accepted = std::iter::from_fn(|| socket.accept().ok());
                accepted.filter_map(|(stream, _)| Some((unix(stream).ok()?, None))).collect()
            }
        }
    }
}

fn tcp(stream: std::net::TcpStream) -> io::Result<Stream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream).map(Stream::from)
}

fn unix(stream: std::os::unix::net::UnixStream) -> io::Result<Stream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream).map(Stream::from)
}

//! [`Stream`]: a TCP or unix connection, and its two sides.

use crate::address::Address;
use nix::sys::socket::{setsockopt, sockopt};
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, Interest, ReadBuf},
    net::{TcpStream, UnixStream, tcp, unix},
};

/// What is read at once. Half the smallest receive buffer that is common, and what the kernel
/// copies about as fast as it moves pages.
pub(crate) const COPY_BYTES: usize = 16 << 10;

/// Seconds of silence after which a peer is asked whether it is still there. How often it is asked
/// before it counts as gone is the system's (net.ipv4.tcp_keepalive_probes, 9 in 11 minutes).
const KEEP_ALIVE_IDLE: u32 = 60;

thread_local! {
    /// Where reads land. It is used only while no task can be switched, so one is enough for all
    /// connections, and an idle one has no buffer at all.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; COPY_BYTES]);
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    /// A write has met a reset. The kernel tells it once, and whoever reads next would take it for
    /// an end: the reading side must know.
    reset: AtomicBool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self { socket: Socket::Tcp(stream), reset: AtomicBool::new(false) }
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self { socket: Socket::Unix(stream), reset: AtomicBool::new(false) }
    }
}

impl Stream {
    /// A connection to an upstream.
    pub(crate) async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => tcp(address).await,
            Address::Local(port) => {
                match tcp(&SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).await {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        // Whatever ::1 says, on a machine without it too, the refusal is the news.
                        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, *port));
                        tcp(&six).await.map_err(|_| error)
                    }
                    connected => connected,
                }
            }
            Address::Unix(path) => Ok(UnixStream::connect(path).await?.into()),
        }
    }

    /// The reading and the writing side.
    pub(crate) fn split(&mut self) -> (ReadSide<'_>, WriteSide<'_>) {
        let reset = &self.reset;
        match &mut self.socket {
            Socket::Tcp(stream) => {
                let (read, write) = stream.split();
                let (read, write) = (ReadHalf::Tcp(read), WriteHalf::Tcp(write));
                (ReadSide { half: read, reset }, WriteSide { half: write, reset })
            }
            Socket::Unix(stream) => {
                let (read, write) = stream.split();
                let (read, write) = (ReadHalf::Unix(read), WriteHalf::Unix(write));
                (ReadSide { half: read, reset }, WriteSide { half: write, reset })
            }
        }
    }

    /// Where the client connected to; `None`: over a unix socket.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(stream) => stream.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Ends the connection so that the peer sees a reset and takes nothing cut off for whole. Unix
    /// sockets have no resets.
    pub(crate) fn reset(self) {
        match self.socket {
            // On a socket that is dead already there is nothing left to say.
            Socket::Tcp(stream) => drop(stream.set_zero_linger()),
            Socket::Unix(_) => {}
        }
    }
}

async fn tcp(address: &SocketAddr) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    // Bytes go on as they come; waiting for more is the sender's decision.
    stream.set_nodelay(true)?;
    // On this machine the kernel itself tells when a peer is gone.
    if !address.ip().is_loopback() {
        keep_alive(&stream)?;
    }
    Ok(stream.into())
}

/// Has the kernel ask a silent peer of a TCP connection whether it is still there.
pub(crate) fn keep_alive(fd: impl AsFd) -> io::Result<()> {
    setsockopt(&fd, sockopt::KeepAlive, &true)?;
    Ok(setsockopt(&fd, sockopt::TcpKeepIdle, &KEEP_ALIVE_IDLE)?)
}

#[derive(Debug)]
enum ReadHalf<'a> {
    Tcp(tcp::ReadHalf<'a>),
    Unix(unix::ReadHalf<'a>),
}

/// The side that is read.
#[derive(Debug)]
pub(crate) struct ReadSide<'a> {
    half: ReadHalf<'a>,
    reset: &'a AtomicBool,
}

impl ReadSide<'_> {
    /// Reads once, at most `limit` bytes and [`COPY_BYTES`], and hands them to `take`; none: end.
    /// Dropping the future loses nothing.
    pub(crate) async fn read<T>(
        &mut self,
        limit: usize,
        mut take: impl FnMut(&[u8]) -> T,
    ) -> io::Result<T> {
        poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let limit = limit.min(scratch.len());
                let mut buffer = ReadBuf::new(scratch.get_mut(..limit).unwrap_or_default());
                ready!(self.poll_read(context, &mut buffer))?;
                self.judge(buffer.filled().len())?;
                Poll::Ready(Ok(take(buffer.filled())))
            })
        })
        .await
    }

    // Not `try_read`: this one knows after a short read that there is no more, and saves a call.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.half {
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            ReadHalf::Unix(half) => Pin::new(half).poll_read(context, buffer),
        }
    }

    /// Waits until there is something to read, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match &self.half {
            ReadHalf::Tcp(half) => half.readable().await,
            ReadHalf::Unix(half) => half.readable().await,
        }
    }

    /// Calls `read` if there is something to read; where that says `WouldBlock`, [`Self::readable`]
    /// waits again.
    pub(crate) fn try_io(&self, read: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let count = match &self.half {
            ReadHalf::Tcp(half) => half.as_ref().try_io(Interest::READABLE, read),
            ReadHalf::Unix(half) => half.as_ref().try_io(Interest::READABLE, read),
        }?;
        self.judge(count)
    }

    /// What came, unless it is an end that is none.
    fn judge(&self, count: usize) -> io::Result<usize> {
        if count == 0 && self.reset.load(Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(count)
    }

    /// Waits until the connection is reset.
    pub(crate) async fn failed(&self) {
        // An error of the wait itself is no less an end.
        let _ready = match &self.half {
            ReadHalf::Tcp(half) => half.ready(Interest::ERROR).await,
            ReadHalf::Unix(half) => half.ready(Interest::ERROR).await,
        };
    }
}

impl AsFd for ReadSide<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.half {
            ReadHalf::Tcp(half) => half.as_ref().as_fd(),
            ReadHalf::Unix(half) => half.as_ref().as_fd(),
        }
    }
}

#[derive(Debug)]
enum WriteHalf<'a> {
    Tcp(tcp::WriteHalf<'a>),
    Unix(unix::WriteHalf<'a>),
}

/// The side that is written.
#[derive(Debug)]
pub(crate) struct WriteSide<'a> {
    half: WriteHalf<'a>,
    reset: &'a AtomicBool,
}

impl WriteSide<'_> {
    /// Writes what fits.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.judge(match &self.half {
            WriteHalf::Tcp(half) => half.try_write(bytes),
            WriteHalf::Unix(half) => half.try_write(bytes),
        })
    }

    /// Writes all, waiting as long as the reader lets it.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until something may be written, or nothing ever will.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match &self.half {
            WriteHalf::Tcp(half) => half.writable().await,
            WriteHalf::Unix(half) => half.writable().await,
        }
    }

    /// As [`ReadSide::try_io`], for writing.
    pub(crate) fn try_io(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        self.judge(match &self.half {
            WriteHalf::Tcp(half) => half.as_ref().try_io(Interest::WRITABLE, write),
            WriteHalf::Unix(half) => half.as_ref().try_io(Interest::WRITABLE, write),
        })
    }

    /// What was written. A connection that ended before its reset says EPIPE, and its end counts.
    fn judge(&self, written: io::Result<usize>) -> io::Result<usize> {
        written.inspect_err(|error| {
            if error.kind() == io::ErrorKind::ConnectionReset {
                self.reset.store(true, Relaxed);
            }
        })
    }

    /// Says to the peer that no more bytes come.
    pub(crate) fn shutdown(&self) {
        use std::os::fd::AsRawFd;
        let number = self.as_fd().as_raw_fd();
        // Where it fails the connection is gone, which its reader learns.
        let _gone = nix::sys::socket::shutdown(number, nix::sys::socket::Shutdown::Write);
    }

    /// Waits until the connection is reset.
    pub(crate) async fn failed(&self) {
        let _ready = match &self.half {
            WriteHalf::Tcp(half) => half.ready(Interest::ERROR).await,
            WriteHalf::Unix(half) => half.ready(Interest::ERROR).await,
        };
    }
}

impl AsFd for WriteSide<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.half {
            WriteHalf::Tcp(half) => half.as_ref().as_fd(),
            WriteHalf::Unix(half) => half.as_ref().as_fd(),
        }
    }
}

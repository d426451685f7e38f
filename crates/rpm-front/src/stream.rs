//! [`Stream`]: a TCP or unix connection, and its two sides.

use crate::address::Address;
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, Interest, ReadBuf},
    net::{TcpStream, UnixStream, tcp, unix},
};

/// What is read at once. Half the smallest receive buffer that is common, and what the kernel
/// copies about as fast as it moves pages.
pub(crate) const COPY_BYTES: usize = 16 << 10;

thread_local! {
    /// Where reads land. It is used only while no task can be switched, so one is enough for all
    /// connections, and an idle one has no buffer at all.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; COPY_BYTES]);
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// A connection to an upstream.
    pub(crate) async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // Bytes go on as they come; waiting for more is the sender's decision.
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Address::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    /// The reading and the writing side.
    pub(crate) fn split(&mut self) -> (ReadSide<'_>, WriteSide<'_>) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.split();
                (ReadSide::Tcp(read), WriteSide::Tcp(write))
            }
            Self::Unix(stream) => {
                let (read, write) = stream.split();
                (ReadSide::Unix(read), WriteSide::Unix(write))
            }
        }
    }

    /// Ends the connection so that the peer sees a reset and takes nothing cut off for whole. Unix
    /// sockets have no resets.
    pub(crate) fn reset(self) {
        match self {
            // On a socket that is dead already there is nothing left to say.
            Self::Tcp(stream) => drop(stream.set_zero_linger()),
            Self::Unix(_) => {}
        }
    }
}

/// The side that is read.
#[derive(Debug)]
pub(crate) enum ReadSide<'a> {
    Tcp(tcp::ReadHalf<'a>),
    Unix(unix::ReadHalf<'a>),
}

impl ReadSide<'_> {
    /// Reads once, at most `limit` bytes and [`COPY_BYTES`], and hands them to `take`; none: the end.
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
        match self {
            Self::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            Self::Unix(half) => Pin::new(half).poll_read(context, buffer),
        }
    }

    /// Waits until there is something to read, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(half) => half.readable().await,
            Self::Unix(half) => half.readable().await,
        }
    }

    /// Calls `read` if there is something to read; where that says `WouldBlock`, [`Self::readable`]
    /// waits again.
    pub(crate) fn try_io<T>(&self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(half) => half.as_ref().try_io(Interest::READABLE, read),
            Self::Unix(half) => half.as_ref().try_io(Interest::READABLE, read),
        }
    }

    /// Waits until the connection is reset.
    pub(crate) async fn failed(&self) {
        // An error of the wait itself is no less an end.
        let _ready = match self {
            Self::Tcp(half) => half.ready(Interest::ERROR).await,
            Self::Unix(half) => half.ready(Interest::ERROR).await,
        };
    }
}

impl AsFd for ReadSide<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(half) => half.as_ref().as_fd(),
            Self::Unix(half) => half.as_ref().as_fd(),
        }
    }
}

/// The side that is written.
#[derive(Debug)]
pub(crate) enum WriteSide<'a> {
    Tcp(tcp::WriteHalf<'a>),
    Unix(unix::WriteHalf<'a>),
}

impl WriteSide<'_> {
    /// Writes what fits.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            Self::Unix(half) => half.try_write(bytes),
        }
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
        match self {
            Self::Tcp(half) => half.writable().await,
            Self::Unix(half) => half.writable().await,
        }
    }

    /// As [`ReadSide::try_io`], for writing.
    pub(crate) fn try_io<T>(&self, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(half) => half.as_ref().try_io(Interest::WRITABLE, write),
            Self::Unix(half) => half.as_ref().try_io(Interest::WRITABLE, write),
        }
    }

    /// Says to the peer that no more bytes come.
    pub(crate) fn shutdown(&self) {
        use std::os::fd::AsRawFd;
        let number = self.as_fd().as_raw_fd();
        // Where it fails the connection is gone, which its reader learns.
        let _gone = nix::sys::socket::shutdown(number, nix::sys::socket::Shutdown::Write);
    }

    /// As [`ReadSide::failed`].
    pub(crate) async fn failed(&self) {
        let _ready = match self {
            Self::Tcp(half) => half.ready(Interest::ERROR).await,
            Self::Unix(half) => half.ready(Interest::ERROR).await,
        };
    }
}

impl AsFd for WriteSide<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(half) => half.as_ref().as_fd(),
            Self::Unix(half) => half.as_ref().as_fd(),
        }
    }
}

//! How full the queue of a listening TCP socket is: the health of a slot without asking its worker.

use super::raw::get_option;
use std::{io, os::fd::AsFd};

/// Connections that were made and not yet accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptQueue {
    /// How many wait.
    pub length: u32,
    /// How many may wait; one more is taken before connections are dropped.
    pub limit: u32,
}

/// Where linux/tcp.h has `tcpi_unacked` and, after it, `tcpi_sacked`, in bytes from the start of
/// `tcp_info`. For a listening socket they are the queue's length and limit.
const UNACKED_AT: usize = 24;

/// The queue of a listening TCP socket.
pub fn accept_queue(fd: impl AsFd) -> io::Result<AcceptQueue> {
    let mut bytes = [0; UNACKED_AT + 8];
    let length = get_option(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut bytes)?;
    let value = |at: usize| {
        let chunk = bytes.get(at..length)?.first_chunk()?;
        Some(u32::from_ne_bytes(*chunk))
    };
    match (value(UNACKED_AT), value(UNACKED_AT + 4)) {
        (Some(length), Some(limit)) => Ok(AcceptQueue { length, limit }),
        (None, _) | (_, None) => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_that_nobody_accepted_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        crate::socket::listen(&listener, 7).unwrap();
        let empty = AcceptQueue { length: 0, limit: 7 };
        assert_eq!(accept_queue(&listener).unwrap(), empty);
        let address = listener.local_addr().unwrap();
        let _waiting = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        let two = AcceptQueue { length: 2, limit: 7 };
        // The kernel may queue them somewhat after the clients have connected.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while accept_queue(&listener).unwrap() != two && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(accept_queue(&listener).unwrap(), two);
        listener.accept().unwrap();
        assert_eq!(accept_queue(&listener).unwrap().length, 1);
    }
}

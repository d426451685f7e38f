//! The other side of the ports: free ports to use, and requests that tell which process answered.

use rpm_unix::{procfd::is_taken, socket::Endpoint};
use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Long enough for any machine; a request that takes it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port nobody has, by the counter that the end-to-end tests share.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = crate::port::port();
        let anywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        if !is_taken(&Endpoint::Tcp(anywhere)) && !is_taken(&Endpoint::Udp(anywhere)) {
            return port;
        }
    }
}

/// While this is held no other test forks, and every fork has executed its program: nobody has
/// copies of our descriptors, so what we close is closed.
pub(crate) fn no_forks() -> MutexGuard<'static, ()> {
    static FORKS: Mutex<()> = Mutex::new(());
    FORKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the port refuses connections.
pub(crate) fn is_refused(port: u16) -> bool {
    let _guard = no_forks();
    let result = TcpStream::connect(local(port));
    result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Connects and sends a request.
pub(crate) fn request(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&local(port), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    stream
}

/// The pid in the body of the answer.
pub(crate) fn answer(mut stream: impl Read) -> i32 {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let body = text.rsplit("\n").next().unwrap();
    body.trim().parse().unwrap_or_else(|_| panic!("{text:?}"))
}

pub(crate) fn ask(port: u16) -> i32 {
    answer(request(port))
}

/// How often each process answered.
pub(crate) fn ask_often(port: u16, times: usize) -> BTreeMap<i32, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts.entry(ask(port)).or_default() += 1;
    }
    counts
}

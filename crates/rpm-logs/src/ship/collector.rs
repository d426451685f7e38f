//! The task that talks to one collector: connects, sends, and connects again when it was away.

use super::Address;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket, UnixDatagram},
    sync::mpsc,
    time::sleep,
};

/// From one attempt to connect to the next: nothing tells that a collector is back.
const RETRY: Duration = Duration::from_secs(1);

enum Connection {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// Sends what comes until nobody sends any more.
pub(super) async fn run(
    address: Address,
    mut waiting: mpsc::Receiver<Vec<u8>>,
    dropped: Arc<AtomicU64>,
) {
    let mut connection = None;
    while let Some(message) = waiting.recv().await {
        // Twice: a collector that was restarted is only noticed when it is spoken to.
        for _ in 0..2 {
            let open = match connection.take() {
                Some(open) => open,
                None => match patient_connect(&address, &waiting).await {
                    Some(open) => open,
                    None => break,
                },
            };
            if let Ok(open) = send(open, &message).await {
                connection = Some(open);
                break;
            }
        }
        if connection.is_none() {
            dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Connects, however long it takes; `None`: nobody sends any more.
async fn patient_connect(
    address: &Address,
    waiting: &mpsc::Receiver<Vec<u8>>,
) -> Option<Connection> {
    loop {
        if let Ok(connection) = connect(address).await {
            return Some(connection);
        }
        if waiting.is_closed() {
            return None;
        }
        sleep(RETRY).await;
    }
}

async fn connect(address: &Address) -> io::Result<Connection> {
    Ok(match address {
        Address::Journald(path) | Address::SyslogUnix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Connection::Unix(socket)
        }
        Address::SyslogUdp(host) => {
            let there = tokio::net::lookup_host(host).await?.next();
            let there = there.ok_or(io::ErrorKind::NotFound)?;
            let here = if there.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(here).await?;
            socket.connect(there).await?;
            Connection::Udp(socket)
        }
        Address::SyslogTcp(host) => Connection::Tcp(TcpStream::connect(host).await?),
    })
}

async fn send(mut connection: Connection, message: &[u8]) -> io::Result<Connection> {
    match &mut connection {
        Connection::Unix(socket) => drop(socket.send(message).await?),
        Connection::Udp(socket) => drop(socket.send(message).await?),
        Connection::Tcp(stream) => stream.write_all(message).await?,
    }
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Shipper};
    use super::*;
    use tokio::{io::AsyncReadExt, net::TcpListener, task::LocalSet, time::timeout};

    const SOON: Duration = Duration::from_secs(20);

    fn shipper(address: Address) -> (Shipper, Arc<AtomicU64>) {
        let dropped = Arc::<AtomicU64>::default();
        let origin = Origin { app: "api".into(), id: 7, is_error: false };
        (Shipper::start(address, origin, dropped.clone()), dropped)
    }

    async fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 1000];
        let count = timeout(SOON, socket.recv(&mut bytes)).await.unwrap().unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[tokio::test]
    async fn a_local_collector_that_comes_late_and_is_restarted_gets_every_line() {
        let tasks = async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            let (mut shipper, dropped) = shipper(Address::SyslogUnix(path.clone()));
            shipper.send(b"early\n", 0);
            tokio::task::yield_now().await;
            let socket = UnixDatagram::bind(&path).unwrap();
            assert!(received(&socket).await.ends_with("api 7 out - early"));
            drop(socket);
            std::fs::remove_file(&path).unwrap();
            let socket = UnixDatagram::bind(&path).unwrap();
            shipper.send(b"late\n", 0);
            assert!(received(&socket).await.ends_with("api 7 out - late"));
            assert_eq!(dropped.load(Relaxed), 0);
        };
        LocalSet::new().run_until(tasks).await;
    }

    #[tokio::test]
    async fn a_collector_that_is_away_costs_a_bounded_queue_and_is_counted() {
        let tasks = async {
            let (mut shipper, dropped) = shipper(Address::Journald("/nowhere/socket".into()));
            for _ in 0..super::super::MAX_WAITING + 10 {
                shipper.send(b"line\n", 0);
            }
            assert_eq!(dropped.load(Relaxed), 10);
        };
        LocalSet::new().run_until(tasks).await;
    }

    #[tokio::test]
    async fn udp_and_tcp() {
        let tasks = async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap().to_string();
            let (mut udp, _) = shipper(Address::SyslogUdp(address));
            udp.send(b"one\n", 0);
            let mut bytes = [0; 1000];
            let count = timeout(SOON, socket.recv(&mut bytes)).await.unwrap().unwrap();
            let datagram = String::from_utf8_lossy(&bytes[..count]).into_owned();
            assert!(datagram.starts_with("<30>1 1970-01-01T00:00:00.000Z "), "{datagram}");
            assert!(datagram.ends_with(" api 7 out - one"), "{datagram}");
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let (mut tcp, _) = shipper(Address::SyslogTcp(address));
            tcp.send(b"one\n", 0);
            tcp.send(b"two\n", 0);
            let (mut stream, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
            let mut text = String::new();
            while !text.ends_with("two") {
                let count = timeout(SOON, stream.read(&mut bytes)).await.unwrap().unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            let (length, rest) = text.split_once(' ').unwrap();
            let (one, two) = rest.split_at(length.parse().unwrap());
            assert!(one.ends_with(" api 7 out - one"), "{text}");
            assert!(two.starts_with(length) && two.ends_with(" api 7 out - two"), "{text}");
        };
        LocalSet::new().run_until(tasks).await;
    }
}

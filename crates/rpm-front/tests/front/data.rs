//! Bytes on their way: all of them, in both directions, ends and resets included.

use crate::harness::{Front, answer, finish, listen, serve, servers, set, within};
use nix::sys::signal::Signal;
use serde_json::json;
use std::{io::ErrorKind, net::SocketAddr};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream},
};

/// A front over one listener, a client of it, and that client's connection at the upstream.
async fn joined(settings: serde_json::Value) -> (Front, TcpStream, TcpStream) {
    let (listener, address) = listen().await;
    let front = Front::over(&[address], settings).await;
    let client = front.connect().await;
    let (upstream, _) = listener.accept().await.unwrap();
    (front, client, upstream)
}

/// The byte at a place of an endless stream without a short period.
fn byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Writes so many bytes of the stream in pieces of changing size, and the end.
async fn produce(mut to: impl AsyncWrite + Unpin, bytes: u64) {
    let mut at = 0;
    while at < bytes {
        let end = bytes.min(at + 1 + at % 100_003);
        let piece: Vec<_> = (at..end).map(byte).collect();
        to.write_all(&piece).await.unwrap();
        at = end;
    }
    to.shutdown().await.unwrap();
}

/// Reads to the end and says how many bytes of the stream it was.
async fn consume(mut from: impl AsyncRead + Unpin) -> u64 {
    let mut at = 0;
    let mut piece = vec![0; 70_000];
    loop {
        let count = from.read(&mut piece).await.unwrap();
        if count == 0 {
            return at;
        }
        let same = piece[..count].iter().zip(at..).all(|(read, at)| *read == byte(at));
        assert!(same, "wrong bytes after {at}");
        at += count as u64;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_each_way_at_once() {
    within(async {
        const BYTES: u64 = 100_000_000;
        let (_front, client, upstream) = joined(json!({})).await;
        let (from_front, to_front) = client.into_split();
        let (from_client, to_client) = upstream.into_split();
        let up = tokio::spawn(produce(to_front, BYTES));
        let down = tokio::spawn(produce(to_client, BYTES));
        let got =
            tokio::join!(tokio::spawn(consume(from_client)), tokio::spawn(consume(from_front)));
        assert_eq!((got.0.unwrap(), got.1.unwrap()), (BYTES, BYTES));
        up.await.unwrap();
        down.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_end_is_passed_on_and_the_other_direction_goes_on() {
    within(async {
        let (mut front, mut client, mut upstream) = joined(json!({})).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        upstream.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");
        upstream.write_all(b"long ").await.unwrap();
        let mut first = [0; 5];
        client.read_exact(&mut first).await.unwrap();
        upstream.write_all(b"answer").await.unwrap();
        upstream.shutdown().await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "answer");
        assert_eq!(front.stats().await["connections"], 0);

        // The upstream ends first.
        let (_front, mut client, mut upstream) = joined(json!({})).await;
        upstream.write_all(b"banner").await.unwrap();
        upstream.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "banner");
        client.write_all(b"bye").await.unwrap();
        client.shutdown().await.unwrap();
        let mut rest = String::new();
        upstream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "bye");
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_holds_up_its_writer_and_costs_no_memory() {
    within(async {
        const BYTES: u64 = 200 << 20;
        /// Buffers of the kernel at both sockets and the pipe; Linux lets each grow to 6 MiB.
        const UNDER_WAY: u64 = 30 << 20;
        let (listener, address) = listen().await;
        let front = Front::over(&[address], json!({})).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut client = socket.connect(front.address()).await.unwrap();
        let (mut upstream, _) = listener.accept().await.unwrap();
        let before = front.peak_memory();
        let (mut written, mut read) = (0_u64, 0_u64);
        let (piece, mut place) = (vec![7; 1 << 20], vec![0; 64 << 10]);
        while read < BYTES {
            tokio::select! {
                // As long as the writer may write, the reader does not read.
                biased;
                wrote = upstream.write(&piece), if written < BYTES => {
                    written += wrote.unwrap() as u64;
                }
                got = client.read(&mut place) => read += got.unwrap() as u64,
            }
            assert!(written - read < UNDER_WAY, "{written} written, {read} read");
        }
        let grown = front.peak_memory() - before;
        assert!(grown < 4 << 20, "{grown} bytes more");
    })
    .await;
}

#[tokio::test]
async fn a_long_connection_outlives_its_upstreams_place_in_the_set() {
    within(async {
        let (mut front, mut client, mut upstream) = joined(json!({})).await;
        client.write_all(b"upgrade").await.unwrap();
        upstream.read_exact(&mut [0; 7]).await.unwrap();
        front.replace(set(&servers(2).await)).await;
        for round in 0..50_u8 {
            // Either side may speak first, in any order.
            upstream.write_all(&[round, 1]).await.unwrap();
            assert_eq!(client.read_u16().await.unwrap(), u16::from_be_bytes([round, 1]));
            client.write_all(&[round]).await.unwrap();
            client.write_all(&[2]).await.unwrap();
            assert_eq!(upstream.read_u16().await.unwrap(), u16::from_be_bytes([round, 2]));
        }
        front.replace(json!([])).await;
        drop(upstream);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    within(async {
        // Answered or not, the upstream learns that its client was cut off.
        for answered in [false, true] {
            let (_front, mut client, mut upstream) = joined(json!({})).await;
            client.write_all(b"half a requ").await.unwrap();
            upstream.read_exact(&mut [0; 11]).await.unwrap();
            if answered {
                upstream.write_all(b"?").await.unwrap();
                client.read_exact(&mut [0]).await.unwrap();
            }
            client.set_zero_linger().unwrap();
            drop(client);
            let error = upstream.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{answered}");
        }
    })
    .await;
}

/// A write takes the reset away from the read beside it: the kernel tells it once.
#[tokio::test]
async fn an_answer_that_is_cut_off_under_an_upload_is_never_taken_for_whole() {
    within(async {
        let (listener, address) = listen().await;
        let front = Front::over(&[address], json!({})).await;
        for _ in 0..50 {
            let mut client = front.connect().await;
            let (mut upstream, _) = listener.accept().await.unwrap();
            upstream.write_all(b"half an ans").await.unwrap();
            client.read_exact(&mut [0; 11]).await.unwrap();
            // The front finds both at once, and begins with either.
            front.signal(Signal::SIGSTOP);
            client.write_all(b"more").await.unwrap();
            upstream.set_zero_linger().unwrap();
            drop(upstream);
            front.signal(Signal::SIGCONT);
            let error = client.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ended_and_is_then_reset_frees_its_upstream() {
    within(async {
        for answered in [false, true] {
            let (mut front, mut client, mut upstream) = joined(json!({})).await;
            client.write_all(b"?").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            upstream.read_to_end(&mut heard).await.unwrap();
            if answered {
                upstream.write_all(b"!").await.unwrap();
                client.read_exact(&mut [0]).await.unwrap();
            }
            client.set_zero_linger().unwrap();
            drop(client);
            // The upstream says nothing, and still the front notices.
            upstream.ready(tokio::io::Interest::ERROR).await.unwrap();
            let written = upstream.write(b"x").await;
            assert!(written.is_err(), "{answered} {written:?}");
            assert_eq!(front.stats().await["connections"], 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_hundred_clients_that_are_reset_leave_nothing_behind() {
    within(async {
        let mut front = Front::over(&servers(3).await, json!({})).await;
        for round in 0..100 {
            let mut client = front.connect().await;
            if round % 2 == 0 {
                client.write_all(b"?").await.unwrap();
            }
            if round % 3 == 0 {
                client.set_zero_linger().unwrap();
            }
        }
        assert_eq!(front.command(json!({"drain": true})).await, json!({"ok": true}));
        // It would not end if one of them were still counted.
        assert!(front.ended().await.success());
    })
    .await;
}

#[tokio::test]
async fn unix_sockets_on_both_sides() {
    within(async {
        let directory = tempfile::tempdir().unwrap();
        let [ours, theirs] = ["front", "app"].map(|name| directory.path().join(name));
        // What a killed front left behind is in nobody's way.
        drop(std::os::unix::net::UnixListener::bind(&ours).unwrap());
        let app = UnixListener::bind(&theirs).unwrap();
        let settings = json!({
            "listen": [format!("unix:{}", ours.display())],
            "upstreams": [{"id": 0, "address": format!("unix:{}", theirs.display())}],
        });
        let mut front = Front::start(settings).await;
        let client = UnixStream::connect(&ours).await.unwrap();
        let (upstream, _) = app.accept().await.unwrap();
        let (from_front, to_front) = client.into_split();
        let (from_client, to_client) = upstream.into_split();
        let all = tokio::join!(
            produce(to_front, 3_000_000),
            produce(to_client, 3_000_000),
            consume(from_client),
            consume(from_front),
        );
        assert_eq!((all.2, all.3), (3_000_000, 3_000_000));
        front.command(json!({"drain": true})).await;
        assert!(front.ended().await.success());
        assert!(!ours.exists());
    })
    .await;
}

#[tokio::test]
async fn the_upstream_is_told_who_the_client_is() {
    within(async {
        let (front, mut client, mut upstream) = joined(json!({"proxy_protocol": "v1"})).await;
        let (from, to) = (client.local_addr().unwrap(), front.address());
        let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n?", from.port(), to.port());
        client.write_all(b"?").await.unwrap();
        let mut heard = vec![0; line.len()];
        upstream.read_exact(&mut heard).await.unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), line);

        let (_front, client, mut upstream) = joined(json!({"proxy_protocol": "v2"})).await;
        let mut heard = [0; 28];
        upstream.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard[24..26], client.local_addr().unwrap().port().to_be_bytes());
        tokio::spawn(answer(upstream, 3));
        assert_eq!(crate::harness::ask(client).await, "3");
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_answers_early_and_closes_is_heard() {
    within(async {
        let (_front, mut client, mut upstream) = joined(json!({})).await;
        client.write_all(&[b'x'; 10_000]).await.unwrap();
        upstream.read_exact(&mut [0; 100]).await.unwrap();
        upstream.write_all(b"too large").await.unwrap();
        // With bytes unread this is a reset; the answer comes before it.
        drop(upstream);
        let mut answer = [0; 9];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"too large");
    })
    .await;
}

#[tokio::test]
async fn ipv6_and_several_listeners() {
    within(async {
        let settings = json!({"listen": ["[::1]:0", "127.0.0.1:0"]});
        let front = Front::over(&servers(1).await, settings).await;
        for address in &front.listening {
            let address: SocketAddr = address.parse().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            assert_eq!(crate::harness::ask(client).await, "0");
        }
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(taken.local_addr().unwrap()).await.unwrap();
        drop(taken.accept().await.unwrap());
        finish(client).await;
    })
    .await;
}

#[tokio::test]
async fn localhost_is_either_family() {
    within(async {
        // One that nobody has in the other family either.
        let port = crate::port::port();
        let listener = TcpListener::bind(("::1", port)).await.unwrap();
        serve(listener, 6);
        let upstreams = json!([{"id": 0, "address": format!("localhost:{port}")}]);
        let front = Front::start(json!({"upstreams": upstreams})).await;
        assert_eq!(front.ask().await, "6");
    })
    .await;
}

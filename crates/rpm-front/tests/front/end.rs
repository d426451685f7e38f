//! How a front ends, and what becomes of those who are still there.

use crate::harness::{Front, command, finish, listen, servers, set, who, within};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    io::ErrorKind,
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixStream},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn is_draining(front: &mut Front) {
    // A signal says nothing when it has come.
    while front.stats().await["draining"] != true {}
}

#[tokio::test]
async fn a_long_download_ends_before_the_front_does() {
    within(async {
        for how in [None, Some(Signal::SIGTERM), Some(Signal::SIGINT)] {
            let (listener, address) = listen().await;
            let mut front = Front::over(&[address], json!({})).await;
            let mut client = front.connect().await;
            let (mut upstream, _) = listener.accept().await.unwrap();
            upstream.write_all(&[1; 1000]).await.unwrap();
            client.read_exact(&mut [0; 1000]).await.unwrap();
            match how {
                None => {
                    assert_eq!(front.command(json!({"drain": true})).await, json!({"ok": true}))
                }
                Some(signal) => front.signal(signal),
            }
            is_draining(&mut front).await;
            let refused = TcpStream::connect(front.address()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let rest = vec![2; 3_000_000];
            let (sent, got) = tokio::join!(
                async {
                    upstream.write_all(&rest).await.unwrap();
                    upstream.shutdown().await.unwrap();
                },
                async {
                    let mut got = Vec::new();
                    client.read_to_end(&mut got).await.unwrap();
                    got
                }
            );
            assert_eq!((sent, got.len()), ((), rest.len()));
            assert_eq!(front.stats().await["connections"], 1);
            drop(client);
            assert_eq!(front.ended().await.code(), Some(0));
        }
    })
    .await;
}

#[tokio::test]
async fn the_second_signal_ends_at_once() {
    within(async {
        let mut front = Front::over(&servers(1).await, json!({})).await;
        let mut client = front.connect().await;
        assert_eq!(who(&mut client).await, "0");
        front.signal(Signal::SIGTERM);
        is_draining(&mut front).await;
        assert_eq!(who(&mut client).await, "0");
        front.signal(Signal::SIGINT);
        assert_eq!(front.ended().await.code(), Some(2));
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    })
    .await;
}

#[tokio::test]
async fn clients_in_the_queue_of_an_own_socket_are_served_before_the_end() {
    within(async {
        let settings = json!({"max_connections": 1});
        let mut front = Front::over(&servers(1).await, settings).await;
        let mut held = front.connect().await;
        assert_eq!(who(&mut held).await, "0");
        let mut queued = Vec::new();
        for _ in 0..3 {
            queued.push(front.connect().await);
        }
        assert_eq!(front.stats().await["accepted"], 1);
        front.command(json!({"drain": true})).await;
        for mut client in queued {
            assert_eq!(who(&mut client).await, "0");
            finish(client).await;
        }
        finish(held).await;
        assert_eq!(front.ended().await.code(), Some(0));
    })
    .await;
}

/// A front on this socket as descriptor 3, with its channel as descriptor 4.
async fn heir(socket: &TcpListener, config: Value) -> Front {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let script = r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
    let mut command = command(&config, &["sh", "-c", script]);
    command.stdin(OwnedFd::from(socket.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
    Front::begin(command.spawn().unwrap(), ours).await
}

#[tokio::test]
async fn the_queue_of_an_inherited_socket_is_left_to_the_next_front() {
    within(async {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let servers = servers(2).await;
        let config = |id: usize| {
            let upstreams = set(&servers[id..=id]);
            json!({"control": 4, "max_connections": 1, "upstreams": upstreams})
        };
        let mut first = heir(&socket, config(0)).await;
        assert_eq!(first.address(), socket.local_addr().unwrap());
        let mut held = first.connect().await;
        assert_eq!(who(&mut held).await, "0");
        let mut queued = first.connect().await;
        first.command(json!({"drain": true})).await;
        let _second = heir(&socket, config(1)).await;
        assert_eq!(who(&mut queued).await, "1");
        assert_eq!(who(&mut held).await, "0");
        finish(held).await;
        assert_eq!(first.ended().await.code(), Some(0));
    })
    .await;
}

#[test]
fn what_cannot_start_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let table = [
        (json!({}), "there is nothing to listen on: no address and no inherited socket".to_owned()),
        (
            json!({"listen": [address]}),
            format!("cannot listen on {address}: Address already in use (os error 98)"),
        ),
        (
            json!({"inherited": 50}),
            "descriptor 3 is no listening socket: Bad file descriptor (os error 9)".to_owned(),
        ),
        (
            json!({"listen": ["127.0.0.1:0"], "control": 9}),
            "descriptor 9 cannot be the control channel: Bad file descriptor (os error 9)"
                .to_owned(),
        ),
        (
            json!({"resends": 99}),
            "the front's configuration cannot be used: resends is 99, which is not from 0 to 16"
                .to_owned(),
        ),
        (
            json!({"listen": ["127.0.0.1:0"], "upstreams": [
                {"id": 0, "address": "unix:/a"}, {"id": 0, "address": "unix:/b"}]}),
            "the front's configuration cannot be used: upstream 0 is named twice".to_owned(),
        ),
    ];
    for (config, error) in table {
        let output = command(&config, &[]).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("error: {error}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
}

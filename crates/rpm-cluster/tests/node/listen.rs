//! Listening through the primary: shared sockets of all kinds, refusals.

use crate::{
    harness::{App, Worker, fixture, within},
    http::Client,
};
use rpm_cluster::{endpoint::Endpoint, message::Bound, worker::Action};
use serde_json::json;
use std::{collections::BTreeSet, net::SocketAddr};
use tokio::{io::AsyncReadExt, net::UdpSocket, process::Command};

async fn http_pids(address: SocketAddr, want: usize) -> BTreeSet<String> {
    let mut pids = BTreeSet::new();
    while pids.len() < want {
        pids.insert(Client::connect(address).await.ask("/").await.unwrap().body);
    }
    pids
}

#[tokio::test]
async fn two_workers_answer_on_one_held_socket() {
    let mut app = App::default();
    let mut first = Worker::cluster("hello.js", &[]);
    assert_eq!(first.next(&mut app).await, Action::Online);
    let said = first.app_message(&mut app).await;
    let environment = ["NODE_OPTIONS"];
    assert_eq!(
        said,
        json!({ "isWorker": true, "id": 5, "main": true, "environment": environment })
    );
    let address = first.tcp(&mut app).await;
    let mut second = Worker::cluster("hello.js", &[]);
    assert_eq!(second.tcp(&mut app).await, address);
    let pids = BTreeSet::from([first.pid().to_string(), second.pid().to_string()]);
    assert_eq!(within("both pids", http_pids(address, 2)).await, pids);
    drop(first);
    assert_eq!(http_pids(address, 1).await, BTreeSet::from([second.pid().to_string()]));
}

#[tokio::test]
async fn https_workers_get_their_ticket_keys() {
    let mut app = App::default();
    let mut workers = [Worker::cluster("secure.js", &[]), Worker::cluster("secure.js", &[])];
    let mut pids = BTreeSet::new();
    for worker in &mut workers {
        worker.tcp(&mut app).await;
        pids.insert(worker.pid().to_string());
    }
    let held = app.held.into_values().next().unwrap();
    let port = std::net::TcpListener::from(held).local_addr().unwrap().port();
    let client = fixture("secure_client.js");
    let asked = Command::new("node").arg(client).arg(port.to_string()).output().await.unwrap();
    let body = String::from_utf8(asked.stdout).unwrap();
    assert!(pids.contains(&body), "{body} of {pids:?}");
}

#[tokio::test]
async fn a_path_and_a_datagram_socket_are_shared_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let mut app = App::default();
    for _ in 0..2 {
        let mut worker = Worker::cluster("hello.js", &[("LISTEN_PATH", path.to_str().unwrap())]);
        assert_eq!(worker.listening(&mut app).await, Endpoint::Unix(path.clone()));
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = b"GET / HTTP/1.0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
        let mut answer = String::new();
        within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.ends_with(&worker.pid().to_string()), "{answer}");
    }
    let mut worker = Worker::cluster("datagram.js", &[]);
    let Endpoint::Udp(address) = worker.listening(&mut app).await else { panic!("not UDP") };
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"who", address).await.unwrap();
    let mut answer = [0; 16];
    let length = within("a datagram", socket.recv(&mut answer)).await.unwrap();
    assert_eq!(answer[..length], *worker.pid().to_string().as_bytes());
}

#[tokio::test]
async fn an_address_in_use_is_the_apps_own_error() {
    let mut app = App { refuse: true, ..App::default() };
    let mut worker = Worker::cluster("hello.js", &[("LISTEN_PORT", "4321")]);
    worker.app_message(&mut app).await;
    let said = worker.app_message(&mut app).await;
    assert_eq!(said, json!({ "error": "EADDRINUSE", "syscall": "bind" }));
}

#[tokio::test]
async fn an_esm_app_is_a_worker_like_any_other() {
    let mut app = App::default();
    let mut worker = Worker::cluster("modern.mjs", &[]);
    assert_eq!(worker.app_message(&mut app).await, json!({ "isWorker": true }));
    let address = worker.tcp(&mut app).await;
    let answer = Client::connect(address).await.ask("/").await.unwrap();
    assert_eq!(answer.body, worker.pid().to_string());
}

#[tokio::test]
async fn a_closed_listener_is_told_and_a_disconnect_ends_the_worker() {
    let mut app = App::default();
    let mut worker = Worker::cluster("modern.mjs", &[]);
    let address = worker.tcp(&mut app).await;
    // The preload: it is there to stay.
    let stays = Bound::Tcp(address.ip().to_string(), address.port());
    assert_eq!(worker.next(&mut app).await, Action::Serves(Some(stays)));
    worker.channel.send(rpm_cluster::reply::disconnect(), None).unwrap();
    let closed = worker.next(&mut app).await;
    // The place that was asked for: any port.
    assert_eq!(closed, Action::Closed(Endpoint::Tcp(SocketAddr::new(address.ip(), 0))));
    assert_eq!(worker.exit().await, Some(0));
}

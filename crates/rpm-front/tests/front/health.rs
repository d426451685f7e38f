//! Upstreams that refuse, block and come back, and clients that wait for them.

use crate::harness::{Front, ask, finish, listen, nowhere, serve, servers, set, who, within};
use rpm_front::MAX_WAITING;
use rpm_unix::socket::{Endpoint, Fresh, open_listener};
use serde_json::json;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn a_refusing_upstream_is_skipped_and_given_back() {
    within(async {
        let (dead, live) = (nowhere(), servers(1).await[0]);
        let mut front = Front::over(&[live, dead], json!({"balance": "round_robin"})).await;
        for _ in 0..20 {
            assert_eq!(front.ask().await, "0");
        }
        let stats = front.stats().await;
        let down = &stats["upstreams"][1];
        assert_eq!(
            (&down["state"], &down["error"]),
            (&json!("down"), &json!("connection refused"))
        );
        assert_eq!((&down["open"], &stats["given_up"]), (&json!(0), &json!(0)));
        serve(TcpListener::bind(dead).await.unwrap(), 1);
        // Sooner or later one of the next connections tries it.
        while front.ask().await != "1" {}
        assert_eq!(front.stats().await["upstreams"][1]["state"], "up");
        assert_eq!([front.ask().await, front.ask().await], ["0", "1"]);
    })
    .await;
}

#[tokio::test]
async fn a_wish_gives_a_down_upstream_back_at_once() {
    within(async {
        let dead = nowhere();
        let mut front = Front::over(&[dead], json!({"queue_timeout_ms": 0})).await;
        for _ in 0..3 {
            let mut refused = front.connect().await;
            assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0);
        }
        serve(TcpListener::bind(dead).await.unwrap(), 0);
        front.replace(json!([])).await;
        front.replace(set(&[dead])).await;
        assert_eq!(front.ask().await, "0");
    })
    .await;
}

/// A listening socket whose queue is full: connecting to it never ends.
async fn blocked() -> (std::os::fd::OwnedFd, SocketAddr, Vec<TcpStream>) {
    let address = nowhere();
    let fresh = Fresh { backlog: 1, ..Fresh::default() };
    let listener = open_listener(&Endpoint::Tcp(address), &fresh).unwrap();
    // One more than the backlog is taken.
    let queued = [TcpStream::connect(address).await, TcpStream::connect(address).await];
    (listener, address, queued.into_iter().collect::<Result<_, _>>().unwrap())
}

#[tokio::test]
async fn an_upstream_that_accepts_nothing_is_down_after_the_timeout() {
    within(async {
        let (_listener, stuck, _queued) = blocked().await;
        let live = servers(1).await[0];
        let settings = json!({"balance": "round_robin", "connect_timeout_ms": 100});
        let mut front = Front::over(&[live, stuck], settings).await;
        for _ in 0..10 {
            assert_eq!(front.ask().await, "0");
        }
        let down = front.stats().await["upstreams"][1].take();
        assert_eq!((&down["state"], &down["error"]), (&json!("down"), &json!("timed out")));
    })
    .await;
}

#[tokio::test]
async fn clients_wait_for_an_upstream_that_boots() {
    within(async {
        let booting = nowhere();
        let front = Front::over(&[booting], json!({})).await;
        let mut clients = Vec::new();
        for _ in 0..50 {
            let mut client = front.connect().await;
            client.write_all(b"?").await.unwrap();
            clients.push(client);
        }
        serve(TcpListener::bind(booting).await.unwrap(), 7);
        for mut client in clients {
            let mut answer = [0; 2];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"7\n");
            finish(client).await;
        }
    })
    .await;
}

#[tokio::test]
async fn clients_wait_for_the_first_upstream_to_be_named() {
    within(async {
        let mut front = Front::start(json!({})).await;
        let mut early = front.connect().await;
        early.write_all(b"?").await.unwrap();
        assert_eq!(front.stats().await["upstreams"], json!([]));
        front.replace(set(&servers(1).await)).await;
        let mut answer = [0; 2];
        early.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"0\n");
    })
    .await;
}

#[tokio::test]
async fn a_client_does_not_wait_for_ever() {
    within(async {
        let mut front = Front::over(&[nowhere()], json!({"queue_timeout_ms": 150})).await;
        let mut client = front.connect().await;
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        let stats = front.stats().await;
        assert_eq!((&stats["given_up"], &stats["connections"]), (&json!(1), &json!(0)));
    })
    .await;
}

#[tokio::test]
async fn the_queue_is_bounded() {
    within(async {
        rpm_unix::limits::raise_open_files().unwrap();
        // A thousand connections at once may lose packets, which are sent again after seconds.
        let patient = json!({"queue_timeout_ms": 3_600_000, "connect_timeout_ms": 60_000});
        let mut front = Front::start(patient).await;
        let mut waiting = Vec::new();
        for _ in 0..MAX_WAITING {
            waiting.push(front.connect().await);
        }
        let mut last = front.connect().await;
        assert_eq!(last.read(&mut [0]).await.unwrap(), 0);
        let stats = front.stats().await;
        assert_eq!((&stats["waiting"], &stats["given_up"]), (&json!(MAX_WAITING), &json!(1)));
        front.replace(set(&servers(1).await)).await;
        for client in waiting {
            assert_eq!(ask(client).await, "0");
        }
    })
    .await;
}

#[tokio::test]
async fn draining_gets_nothing_new_and_keeps_what_it_has() {
    within(async {
        let servers = servers(2).await;
        let mut front = Front::over(&servers, json!({"balance": "round_robin"})).await;
        let mut held = front.connect().await;
        assert_eq!(who(&mut held).await, "0");
        let mut wishes = set(&servers);
        wishes[0]["state"] = json!("draining");
        front.replace(wishes).await;
        for _ in 0..5 {
            assert_eq!(front.ask().await, "1");
        }
        assert_eq!(who(&mut held).await, "0");
        front.replace(json!([{"id": 1, "address": servers[1].to_string()}])).await;
        assert_eq!(who(&mut held).await, "0");
        let stats = front.stats().await;
        let removed = &stats["upstreams"][1];
        assert_eq!((&removed["id"], &removed["state"]), (&json!(0), &json!("removed")));
        assert_eq!(removed["open"], 1);
        finish(held).await;
        assert_eq!(front.stats().await["upstreams"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_full_front_lets_clients_wait_in_the_kernel() {
    within(async {
        let servers = servers(1).await;
        let mut front = Front::over(&servers, json!({"max_connections": 2})).await;
        let (mut one, mut two) = (front.connect().await, front.connect().await);
        assert_eq!([who(&mut one).await, who(&mut two).await], ["0", "0"]);
        let mut third = front.connect().await;
        third.write_all(b"?").await.unwrap();
        let stats = front.stats().await;
        assert_eq!((&stats["connections"], &stats["accepted"]), (&json!(2), &json!(2)));
        finish(one).await;
        let mut answer = [0; 2];
        third.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"0\n");
    })
    .await;
}

/// Gives the front the right to so many descriptors more than it has.
fn allow_files(front: &Front, more: usize) {
    let pid = front.child.id().to_string();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let numbers = open.map(|entry| entry.file_name().into_string().unwrap().parse().unwrap());
    let soft = numbers.max().unwrap_or(0) + 1 + more;
    let limit = format!("--nofile={soft}:");
    let status = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn a_front_without_descriptors_lets_clients_wait_and_blames_nobody() {
    within(async {
        let mut front = Front::over(&servers(1).await, json!({})).await;
        let mut held = front.connect().await;
        assert_eq!(who(&mut held).await, "0");
        // None for the client, or one for the client and none for the upstream.
        for more in [0, 1] {
            allow_files(&front, more);
            let mut client = front.connect().await;
            client.write_all(b"?").await.unwrap();
            // Those who are there do not notice.
            assert_eq!(who(&mut held).await, "0");
            let upstream = front.stats().await["upstreams"][0].take();
            assert_eq!((&upstream["state"], &upstream["failures"]), (&json!("up"), &json!(0)));
            allow_files(&front, 100);
            let mut answer = [0; 2];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"0\n");
            finish(client).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_moves_is_found_at_its_new_address() {
    within(async {
        let (old, old_address) = listen().await;
        let mut front = Front::over(&[old_address], json!({})).await;
        let mut held = front.connect().await;
        let (accepted, ()) = tokio::join!(old.accept(), async {
            held.write_all(b"?").await.unwrap();
        });
        drop(old);
        front.replace(set(&servers(1).await)).await;
        assert_eq!(front.ask().await, "0");
        // The old one still answers whom it had.
        tokio::spawn(crate::harness::answer(accepted.unwrap().0, 9));
        let mut answer = [0; 2];
        held.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"9\n");
    })
    .await;
}

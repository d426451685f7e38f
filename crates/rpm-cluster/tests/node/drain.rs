//! Draining: no client may notice.

use crate::{
    harness::{App, Worker, fixture, within},
    http::{Answer, Client},
};
use serde_json::json;
use std::{net::SocketAddr, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
    sync::watch,
    task::JoinSet,
};

/// Asks without a pause, over one connection as long as the server allows, until told to stop:
/// how many answers it got, and from how many it learned that the server closes.
async fn customer(address: SocketAddr, stop: watch::Receiver<bool>) -> (u64, u64) {
    let (mut answers, mut closes) = (0, 0);
    let mut client = Client::connect(address).await;
    while !*stop.borrow() {
        let answer = client.ask("/proxy").await.unwrap();
        answers += 1;
        if answer.close {
            closes += 1;
            assert!(client.at_end().await);
            client = Client::connect(address).await;
        }
    }
    (answers, closes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_under_load_leaves_without_a_failed_request() {
    let mut app = App::default();
    let mut old = Worker::cluster("hello.js", &[]);
    let address = old.tcp(&mut app).await;
    let (stop, stopped) = watch::channel(false);
    let mut customers = JoinSet::new();
    for _ in 0..20 {
        customers.spawn(customer(address, stopped.clone()));
    }
    for _ in 0..5 {
        let mut new = Worker::cluster("hello.js", &[]);
        assert_eq!(new.tcp(&mut app).await, address);
        old.drain();
        old.drained(&mut app).await;
        assert_eq!(old.terminate().await, Some(7), "its own handler ends it");
        old = new;
    }
    stop.send(true).unwrap();
    let counts = within("the customers", customers.join_all()).await;
    let (answers, closes) = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(answers >= 100 && closes >= 20, "{answers} answers, {closes} closes");
}

#[tokio::test]
async fn the_app_sees_nothing_of_a_drain_but_its_own_signal() {
    let mut app = App::default();
    let mut worker = Worker::cluster("hello.js", &[]);
    worker.app_message(&mut app).await;
    worker.tcp(&mut app).await;
    worker.drain();
    worker.drained(&mut app).await;
    worker.channel.send(rpm_cluster::reply::app(&json!("last")), None).unwrap();
    // No 'message' event for the drain before this one.
    assert_eq!(worker.app_message(&mut app).await, json!({ "message": "last" }));
    assert_eq!(worker.terminate().await, Some(7));
    assert_eq!(worker.app_message(&mut app).await, json!({ "sigterm": true }));
}

#[tokio::test]
async fn an_idle_connection_is_served_once_more_and_a_slow_answer_finished() {
    let mut app = App::default();
    let mut worker = Worker::cluster("hello.js", &[]);
    let address = worker.tcp(&mut app).await;
    let body = worker.pid().to_string();
    let (mut idle, mut slow) = (Client::connect(address).await, Client::connect(address).await);
    for client in [&mut idle, &mut slow] {
        assert_eq!(client.ask("/").await.unwrap(), Answer { body: body.clone(), close: false });
    }
    let last = Answer { body, close: true };
    worker.drain();
    assert_eq!(slow.ask("/slow").await.unwrap(), last);
    assert!(slow.at_end().await);
    assert_eq!(idle.ask("/proxy").await.unwrap(), last);
    assert!(idle.at_end().await);
    worker.drained(&mut app).await;
}

#[tokio::test]
async fn an_upgraded_connection_lives_until_its_client_leaves() {
    let mut app = App::default();
    let mut worker = Worker::cluster("hello.js", &[]);
    let address = worker.tcp(&mut app).await;
    let mut client = Client::connect(address).await;
    client.upgrade().await;
    worker.drain();
    for _ in 0..3 {
        assert_eq!(client.echo("still here").await.unwrap(), "still here");
    }
    drop(client);
    worker.drained(&mut app).await;
}

#[tokio::test]
async fn an_http2_stream_ends_before_its_session() {
    let mut app = App::default();
    let mut worker = Worker::cluster("two.js", &[]);
    let port = worker.tcp(&mut app).await.port().to_string();
    let mut client = Command::new("node")
        .args([fixture("two_client.js"), port.into()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(client.stdout.take().unwrap());
    let mut text = String::new();
    within("the first half", output.read_line(&mut text)).await.unwrap();
    worker.drain();
    worker.channel.send(rpm_cluster::reply::app(&json!("end")), None).unwrap();
    within("the second half", output.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "begun\nended\n");
    assert_eq!(within("the client", client.wait()).await.unwrap().code(), Some(0));
    worker.drained(&mut app).await;
}

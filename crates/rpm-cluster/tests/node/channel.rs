//! The channel beside listening: messages, rudeness, threads, exits.

use crate::harness::{App, Worker, within};
use rpm_cluster::{channel::Thrown, message::Bound, reply, worker::Action};
use serde_json::json;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn any_json_goes_there_and_back() {
    let mut app = App::default();
    let mut worker = Worker::cluster("hello.js", &[]);
    worker.tcp(&mut app).await;
    let long = "x".repeat(60_000);
    for value in [
        json!("ready"),
        json!(null),
        json!([1, 2.5, -3, true]),
        json!({ "type": "axm:action", "data": { "a": [{}] } }),
        json!("line\nbreak \u{2028} ü \u{0} end"),
        json!(long),
    ] {
        worker.channel.send(reply::app(&value), None).unwrap();
        assert_eq!(worker.app_message(&mut app).await, json!({ "message": value }));
    }
}

#[tokio::test]
async fn rubbish_from_an_app_is_counted_and_the_rest_heard() {
    let mut app = App::default();
    let mut worker = Worker::cluster("rude.js", &[("RAW_FD", "3")]);
    assert_eq!(worker.app_message(&mut app).await, json!({ "half": 1 }));
    assert_eq!(worker.app_message(&mut app).await, json!("after"));
    assert_eq!(worker.channel.thrown(), Thrown { garbage: 2, overlong: 0 });
}

#[tokio::test]
async fn a_worker_thread_is_left_alone() {
    let mut app = App::default();
    let mut worker = Worker::fork("threads.js", &[]);
    assert_eq!(worker.app_message(&mut app).await, json!({ "message": "thread listens" }));
}

#[tokio::test]
async fn a_server_with_nothing_else_to_do_is_told_of() {
    let mut worker = Worker::fork("idle.js", &[]);
    let action = worker.next(&mut App::default()).await;
    assert!(matches!(action, Action::Serves(Some(Bound::Tcp(_, _)))), "{action:?}");
}

#[tokio::test]
async fn in_fork_mode_readiness_is_told_and_nothing_kept_alive() {
    let mut app = App::default();
    let mut worker = Worker::fork("hello.js", &[]);
    let said = worker.app_message(&mut app).await;
    let environment = ["NODE_OPTIONS"];
    assert_eq!(
        said,
        json!({ "isWorker": false, "id": null, "main": true, "environment": environment })
    );
    let Action::Serves(Some(Bound::Tcp(address, port))) = worker.next(&mut app).await else {
        panic!("it does not say where it listens");
    };
    assert_eq!(address, "127.0.0.1");
    assert_ne!(port, 0);

    let mut worker = Worker::fork("brief.js", &[]);
    let mut text = String::new();
    let mut stdout = worker.child.stdout.take().unwrap();
    within("its output", stdout.read_to_string(&mut text)).await.unwrap();
    assert_eq!((text.as_str(), worker.exit().await), ("done\n", Some(0)));
}

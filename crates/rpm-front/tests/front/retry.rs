//! Clients that no upstream has answered yet are given to another one, and others are not.

use crate::harness::{Front, listen, servers, set, within};
use rpm_front::MAX_REPLAY_BYTES;
use serde_json::json;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

/// What a bad upstream does once it has read so many bytes.
#[derive(Clone, Copy)]
enum After {
    Closes,
    Resets,
    AnswersAndResets,
}

/// An upstream that reads `count` bytes of each connection and then fails; it tells what it read.
async fn failing(count: usize, after: After) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (listener, address) = listen().await;
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; count];
            stream.read_exact(&mut bytes).await.unwrap();
            match after {
                After::Closes => {}
                After::Resets => stream.set_zero_linger().unwrap(),
                After::AnswersAndResets => {
                    stream.write_all(b"x").await.unwrap();
                    // Until the client has it, the reset would throw it away.
                    stream.read_exact(&mut [0]).await.unwrap();
                    stream.set_zero_linger().unwrap();
                }
            }
            drop(stream);
            tell.send(bytes).unwrap();
        }
    });
    (address, told)
}

/// An upstream that reads to the end and answers how many bytes that were.
async fn counting() -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            stream.write_all(bytes.len().to_string().as_bytes()).await.unwrap();
        }
    });
    address
}

fn in_turn() -> serde_json::Value {
    json!({"balance": "round_robin"})
}

async fn send(front: &Front, bytes: &[u8]) -> TcpStream {
    let mut client = front.connect().await;
    client.write_all(bytes).await.unwrap();
    client
}

async fn rest(client: &mut TcpStream) -> std::io::Result<String> {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn an_unanswered_request_is_sent_to_another_upstream() {
    within(async {
        for after in [After::Closes, After::Resets] {
            let (bad, mut read) = failing(5, after).await;
            let good = counting().await;
            let mut front = Front::over(&[bad, good], in_turn()).await;
            let mut client = send(&front, b"hello").await;
            assert_eq!(read.recv().await.unwrap(), b"hello");
            client.write_all(b", world").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(rest(&mut client).await.unwrap(), "12");
            let stats = front.stats().await;
            let [bad, good] = [0, 1].map(|id| stats["upstreams"][id].clone());
            // It took the connection, so it is not down.
            assert_eq!((&bad["failures"], &bad["state"]), (&json!(1), &json!("up")));
            assert_eq!((&good["failures"], &good["total"]), (&json!(0), &json!(1)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_said_all_and_ended_is_served_elsewhere_after_a_reset() {
    within(async {
        let (bad, _read) = failing(5, After::Resets).await;
        let front = Front::over(&[bad, counting().await], in_turn()).await;
        let mut client = send(&front, b"hello").await;
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await.unwrap(), "5");
    })
    .await;
}

#[tokio::test]
async fn as_much_as_is_kept_is_sent_again_and_no_more() {
    within(async {
        for (more, again) in [(0, true), (1, false)] {
            let size = MAX_REPLAY_BYTES + more;
            let (bad, mut read) = failing(size, After::Resets).await;
            let front = Front::over(&[bad, counting().await], in_turn()).await;
            let mut client = send(&front, &vec![b'x'; size]).await;
            assert_eq!(read.recv().await.unwrap().len(), size);
            let _reset_already = client.shutdown().await;
            match rest(&mut client).await {
                Ok(answer) => assert!(again && answer == size.to_string(), "{answer:?} {again}"),
                Err(error) => assert!(!again, "{error}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn after_the_first_byte_of_an_answer_nothing_is_sent_again() {
    within(async {
        let (bad, _read) = failing(5, After::AnswersAndResets).await;
        let mut front = Front::over(&[bad, counting().await], in_turn()).await;
        let mut client = send(&front, b"hello").await;
        assert_eq!(client.read_u8().await.unwrap(), b'x');
        client.write_all(b"!").await.unwrap();
        // A reset, not an end: what came is not the whole answer.
        let error = rest(&mut client).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(front.stats().await["upstreams"][1]["total"], 0);
    })
    .await;
}

#[tokio::test]
async fn every_upstream_is_tried_once() {
    within(async {
        let mut all = Vec::new();
        let mut heard = Vec::new();
        for _ in 0..3 {
            let (address, read) = failing(5, After::Closes).await;
            all.push(address);
            heard.push(read);
        }
        let mut front = Front::over(&all, json!({"resends": 16})).await;
        let mut client = send(&front, b"hello").await;
        for read in &mut heard {
            assert_eq!(read.recv().await.unwrap(), b"hello");
        }
        assert_eq!(rest(&mut client).await.unwrap(), "");
        let stats = front.stats().await;
        assert_eq!((&stats["given_up"], &stats["connections"]), (&json!(1), &json!(0)));
        let totals = [0, 1, 2].map(|id| stats["upstreams"][id]["total"].clone());
        assert_eq!(totals, [1, 1, 1].map(|total| json!(total)));
    })
    .await;
}

#[tokio::test]
async fn a_request_that_kills_its_readers_meets_only_so_many() {
    within(async {
        for (resends, killed) in [(0, 1), (1, 2)] {
            let (bad, mut read) = failing(5, After::Resets).await;
            let (worse, mut too) = failing(5, After::Resets).await;
            let good = counting().await;
            let settings = json!({"balance": "round_robin", "resends": resends});
            let mut front = Front::over(&[bad, worse, good], settings).await;
            let mut client = send(&front, b"hello").await;
            assert_eq!(rest(&mut client).await.unwrap(), "");
            read.recv().await.unwrap();
            if killed == 2 {
                too.recv().await.unwrap();
            }
            assert_eq!(front.stats().await["upstreams"][2]["total"], 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_has_said_nothing_costs_no_resend() {
    within(async {
        let (bad, mut read) = failing(0, After::Closes).await;
        let settings = json!({"balance": "round_robin", "resends": 0});
        let front = Front::over(&[bad, servers(1).await[0]], settings).await;
        let client = front.connect().await;
        read.recv().await.unwrap();
        assert_eq!(crate::harness::ask(client).await, "0");
    })
    .await;
}

#[tokio::test]
async fn a_message_without_an_answer_is_delivered_once() {
    within(async {
        let (listener, sink) = listen().await;
        let mut front = Front::over(&[sink, counting().await], in_turn()).await;
        let mut client = send(&front, b"log line\n").await;
        client.shutdown().await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"log line\n");
        drop(stream);
        assert_eq!(rest(&mut client).await.unwrap(), "");
        let stats = front.stats().await;
        assert_eq!(stats["upstreams"][1]["total"], 0);
        assert_eq!(stats["upstreams"][0]["failures"], 0);
    })
    .await;
}

#[tokio::test]
async fn nobody_is_left_for_one_client_and_the_next_one_waits_for_a_new_worker() {
    within(async {
        let (bad, mut read) = failing(5, After::Resets).await;
        let mut front = Front::over(&[bad], json!({})).await;
        let mut client = send(&front, b"hello").await;
        read.recv().await.unwrap();
        assert_eq!(rest(&mut client).await.unwrap(), "");
        front.replace(json!([])).await;
        let mut client = send(&front, b"?").await;
        front.replace(set(&servers(1).await)).await;
        assert_eq!(client.read_u8().await.unwrap(), b'0');
    })
    .await;
}

#[tokio::test]
async fn what_may_be_done_twice_is_not_said_twice() {
    within(async {
        let (bad, mut told) = failing(4, After::Closes).await;
        let good = counting().await;
        let front = Front::over(&[bad, good], in_turn()).await;
        for (request, repeated) in [("POST / HTTP/1.1\r\n", false), ("PUT / HTTP/1.1\r\n", true)] {
            let mut answers = Vec::new();
            for _ in 0..2 {
                let mut client = front.connect().await;
                client.write_all(request.as_bytes()).await.unwrap();
                client.shutdown().await.unwrap();
                let mut answer = String::new();
                // A client that is given up may see an end or a reset.
                let _reset = client.read_to_string(&mut answer).await;
                answers.push(answer);
            }
            assert_eq!(told.recv().await.unwrap(), request.as_bytes()[..4]);
            answers.sort();
            let count = request.len().to_string();
            let first = if repeated { count.clone() } else { String::new() };
            assert_eq!(answers, [first, count], "{request}");
        }
    })
    .await;
}

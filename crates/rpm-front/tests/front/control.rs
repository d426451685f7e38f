//! The control channel, its bad peers included.

use crate::harness::{Front, finish, servers, set, who, within};
use rpm_front::MAX_LINE_BYTES;
use serde_json::json;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn nonsense_is_answered_and_changes_nothing() {
    within(async {
        let mut front = Front::over(&servers(1).await, json!({})).await;
        let table: [(&[u8], &str); 7] = [
            (b"hello\n", "expected value at line 1 column 1"),
            (b"\xff\xfe\0\n", "expected value at line 1 column 1"),
            (b"{}\n", "wants one of upstreams, drain: true, stats: true"),
            (b"{\"stats\":true\n", "EOF while parsing an object at line 1 column 13"),
            (b"{\"upstreams\":[{\"id\":1}]}\n", "missing field `address` at line 1 column 22"),
            (
                b"{\"upstreams\":[{\"id\":1,\"address\":\"1.1.1.1:1\",\"weight\":0}]}\n",
                "upstream 1 has weight 0, which is not from 1 to 1000",
            ),
            (b"\n\n\r\n", "EOF while parsing a value at line 1 column 1"),
        ];
        for (line, error) in table {
            front.say(line).await;
            assert_eq!(front.line().await, json!({"error": error}));
        }
        assert_eq!(front.ask().await, "0");
    })
    .await;
}

#[tokio::test]
async fn a_line_without_an_end_is_bounded() {
    within(async {
        let mut front = Front::over(&servers(1).await, json!({})).await;
        let before = front.peak_memory();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            front.say(&piece).await;
        }
        front.say(b"\n{\"id\":1,\"stats\":true}\n").await;
        let error = format!("a line has more than {MAX_LINE_BYTES} bytes");
        assert_eq!(front.line().await, json!({"error": error}));
        assert_eq!(front.line().await["id"], 1);
        assert!(front.peak_memory() - before < 2 << 20);
    })
    .await;
}

#[tokio::test]
async fn a_channel_whose_answers_nobody_reads_holds_up_nobody_else() {
    within(async {
        let mut front = Front::over(&servers(1).await, json!({})).await;
        // Until the front reads no more, because its answers are not read.
        let flood = async {
            loop {
                front.control.get_mut().write_all(b"{\"stats\":true}\n").await.unwrap();
            }
        };
        let address: std::net::SocketAddr = front.listening[0].parse().unwrap();
        let clients = async {
            for _ in 0..200 {
                let client = tokio::net::TcpStream::connect(address).await.unwrap();
                assert_eq!(crate::harness::ask(client).await, "0");
            }
        };
        tokio::select! {
            () = flood => {}
            () = clients => {}
        }
    })
    .await;
}

#[tokio::test]
async fn without_its_daemon_a_front_goes_on() {
    within(async {
        let mut front = Front::over(&servers(2).await, json!({})).await;
        let mut held = front.connect().await;
        assert_eq!(who(&mut held).await, "0");
        let (other, _) = tokio::net::UnixStream::pair().unwrap();
        front.control = tokio::io::BufReader::new(other);
        assert_eq!(who(&mut held).await, "0");
        assert_eq!(front.ask().await, "1");
    })
    .await;
}

#[tokio::test]
async fn a_new_daemon_on_the_old_channel_is_understood() {
    within(async {
        let mut front = Front::over(&servers(1).await, json!({})).await;
        // One was killed in the middle of a line.
        front.say(b"{\"id\":4,\"upstre").await;
        front.say(b"\n{\"id\":5,\"stats\":true}\n").await;
        assert!(front.line().await["error"].is_string());
        assert_eq!(front.line().await["id"], 5);
    })
    .await;
}

#[tokio::test]
async fn a_set_is_replaced_as_a_whole_under_load() {
    within(async {
        let servers = servers(4).await;
        let mut front = Front::over(&servers[..2], json!({})).await;
        let address = front.address();
        let load = tokio::spawn(async move {
            for _ in 0..400 {
                let client = tokio::net::TcpStream::connect(address).await.unwrap();
                crate::harness::ask(client).await;
            }
        });
        while !load.is_finished() {
            front.replace(set(&servers[2..])).await;
            front.replace(set(&servers[..2])).await;
        }
        load.await.unwrap();
        assert_eq!(front.stats().await["given_up"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_draining_upstream_is_told_when_its_last_connection_ends() {
    within(async {
        let servers = servers(2).await;
        let mut front = Front::over(&servers, json!({"balance": "round_robin"})).await;
        let mut kept = front.connect().await;
        let name: usize = who(&mut kept).await.parse().unwrap();
        let mut upstreams = set(&servers);
        upstreams[name]["state"] = json!("draining");
        front.replace(upstreams.clone()).await;
        assert_ne!(front.ask().await, name.to_string());
        finish(kept).await;
        assert_eq!(front.line().await, json!({"idle": [name]}));
        // A new daemon on the old channel sets what is set, and is told again.
        front.replace(upstreams).await;
        assert_eq!(front.line().await, json!({"idle": [name]}));
    })
    .await;
}

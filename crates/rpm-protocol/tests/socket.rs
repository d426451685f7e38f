//! Server and client over a real socket: framing, garbage, clients that misbehave.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, helpers included"
)]

use rpm_protocol::{
    Client, ClientError, Connection, EventView, Incoming, MAX_CLIENTS, MAX_PIPELINED,
    MAX_QUEUED_BYTES, MAX_REQUEST, MAX_STARTS, Request, RpcError, Server, StartOrigin, Targets,
    VERSION, Welcome, parse_answer, request_line,
};
use serde_json::{Value, json};
use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

/// A server on a socket of its own.
struct Stage {
    path: PathBuf,
    server: Server,
    _directory: TempDir,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rpm.sock");
        let socket = OwnedFd::from(UnixListener::bind(&path).unwrap());
        Self { path, server: Server::new(socket).unwrap(), _directory: directory }
    }

    async fn raw(&self) -> (UnixStream, Connection) {
        let (client, connection) =
            tokio::join!(UnixStream::connect(&self.path), self.server.accept());
        (client.unwrap(), connection)
    }

    async fn client(&self) -> (Client, Connection) {
        let (client, connection) = tokio::join!(Client::connect(&self.path), self.server.accept());
        (client.unwrap(), connection)
    }
}

/// Answers every request by its method's name, until the client hangs up.
async fn echo(mut connection: Connection) {
    while let Some(received) = connection.receive().await {
        let Ok((id, request)) = received else { continue };
        connection.reply(id, Ok(json!(request.method())));
    }
}

async fn line(reader: &mut BufReader<UnixStream>) -> Option<Incoming> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).await.unwrap();
    (read > 0).then(|| parse_answer(line.as_bytes()).unwrap())
}

fn refusal() -> RpcError {
    RpcError::failed("no", Some("try".into()))
}

fn event(cursor: u64) -> EventView {
    let app = rpm_config::AppName::new("api").unwrap();
    EventView { cursor, at: 0, app, instance: 0, event: json!("x".repeat(1000)) }
}

fn everything() -> Targets {
    Targets { words: vec![], cwd: "/".into() }
}

#[tokio::test]
async fn hello_and_a_call() {
    let stage = Stage::new();
    let (mut client, mut connection) = stage.client().await;
    let serve = async {
        let (id, request) = connection.receive().await.unwrap().unwrap();
        assert_eq!(request, Request::Hello { version: VERSION });
        let welcome = Welcome { version: VERSION, program: "0.1.0".into(), pid: 7, notice: None };
        connection.reply(id, Ok(serde_json::to_value(welcome).unwrap()));
    };
    let (welcome, ()) = tokio::join!(client.hello(), serve);
    assert_eq!(welcome.unwrap().pid, 7);
}

#[tokio::test]
async fn answers_may_come_in_any_order() {
    let stage = Stage::new();
    let (mut client, mut connection) = stage.client().await;
    let serve = async {
        let mut received = Vec::new();
        for _ in 0..3 {
            received.push(connection.receive().await.unwrap().unwrap());
        }
        for (id, request) in received.into_iter().rev() {
            let answer = match request {
                Request::List => Err(refusal()),
                other => Ok(json!(other.method())),
            };
            connection.reply(id, answer);
        }
    };
    let requests = vec![Request::Ping, Request::List, Request::Kill];
    let (answers, ()) = tokio::join!(client.call_many::<String>(requests), serve);
    let want = vec![Ok("ping".into()), Err(refusal()), Ok("kill".to_owned())];
    assert_eq!(answers.unwrap(), want);
}

#[tokio::test]
async fn more_requests_than_may_be_under_way_are_all_answered() {
    let stage = Stage::new();
    let (mut client, connection) = stage.client().await;
    let count = MAX_PIPELINED * 5;
    let requests = vec![Request::List; count];
    let serve = tokio::spawn(echo(connection));
    let answers = client.call_many::<String>(requests).await.unwrap();
    assert_eq!(answers, vec![Ok("list".to_owned()); count]);
    drop(client);
    serve.await.unwrap();
}

#[tokio::test]
async fn requests_beyond_the_pipeline_wait_for_an_answer() {
    let stage = Stage::new();
    let (mut client, mut connection) = stage.raw().await;
    let one = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    client.write_all(&one.repeat(MAX_PIPELINED + 1)).await.unwrap();
    answers_make_room(&mut connection, MAX_PIPELINED).await;
}

/// `count` requests come and no more, until one is answered.
async fn answers_make_room(connection: &mut Connection, count: usize) {
    let mut under_way = Vec::new();
    for _ in 0..count {
        under_way.push(connection.receive().await.unwrap().unwrap().0);
    }
    let sender = connection.sender();
    let waiting = connection.receive();
    tokio::pin!(waiting);
    assert!(futures_poll(waiting.as_mut()).await.is_none());
    sender.reply(under_way.pop().unwrap(), Ok(Value::Null));
    assert!(waiting.await.unwrap().is_ok());
}

/// `count` requests to start an app that only has to stay up, of `length` bytes with their end.
fn starts(count: usize, length: usize) -> Vec<u8> {
    let specs = include_bytes!("../../../tests/corpus/specs/specs-1.json");
    let mut app = serde_json::from_slice::<Vec<rpm_config::AppSpec>>(specs).unwrap().remove(0);
    let mut line = |filling: usize| {
        app.env.insert("FILLING".into(), "x".repeat(filling));
        let app = Box::new(app.clone());
        ask(&Request::Start { app, origin: StartOrigin::File, wait_ms: None })
    };
    let filling = length - line(0).len();
    line(filling).repeat(count)
}

fn ask(request: &Request) -> Vec<u8> {
    request_line(1, request).unwrap()
}

#[tokio::test]
async fn starts_are_under_way_by_the_thousand_and_as_far_as_their_bytes_have_room() {
    // The line's end is not counted; the next request may be the longest one.
    let room = (MAX_PIPELINED - 1) * MAX_REQUEST;
    let fits = |length: usize| 1 + room / (MAX_PIPELINED * MAX_REQUEST / MAX_STARTS + length - 1);
    for (length, at_least) in [(2 << 10, 1_700), (64 << 10, 390), (1 << 20, MAX_PIPELINED)] {
        let count = fits(length).max(MAX_PIPELINED);
        assert!(at_least <= count && count <= MAX_STARTS, "{count} of {length} bytes");
        let stage = Stage::new();
        let (mut client, mut connection) = stage.raw().await;
        let lines = starts(count + 1, length);
        let write = async { client.write_all(&lines).await.unwrap() };
        tokio::join!(write, answers_make_room(&mut connection, count));
    }
}

#[tokio::test]
async fn hundreds_of_starts_that_fail_at_once_all_tell_why() {
    let stage = Stage::new();
    let (client, mut connection) = stage.raw().await;
    let (read, mut write) = client.into_split();
    let lines = starts(600, 2 << 10);
    let ask = async { write.write_all(&lines).await.unwrap() };
    let receive = async {
        let mut under_way = Vec::new();
        for _ in 0..600 {
            under_way.push(connection.receive().await.unwrap().unwrap().0);
        }
        under_way
    };
    let ((), under_way) = tokio::join!(ask, receive);
    let why = json!("x".repeat(16 << 10));
    const { assert!(600 * (16 << 10) > 2 * MAX_QUEUED_BYTES) };
    for asked in under_way {
        connection.reply(asked, Ok(&why));
    }
    let mut answers = BufReader::new(read).lines();
    for _ in 0..600 {
        let line = answers.next_line().await.unwrap().unwrap();
        let want = Incoming::Answer(1.into(), Ok(why.clone()));
        assert_eq!(parse_answer::<Value>(line.as_bytes()).unwrap(), want);
    }
}

/// One look at a future: what it has, if it is ready.
async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        let poll = std::pin::Pin::new(&mut future).poll(cx);
        std::task::Poll::Ready(match poll {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn garbage_is_answered_and_the_next_request_works() {
    let stage = Stage::new();
    let (mut client, connection) = stage.raw().await;
    tokio::spawn(echo(connection));
    client.write_all(b"\x00\xff\x1b[31m\n{\"jsonrpc\":\"2.0\",\"id\":\"a\",").await.unwrap();
    let mut client = BufReader::new(client);
    let Some(Incoming::Answer(_, Err(error))) = line(&mut client).await else { panic!() };
    assert_eq!(error.code, RpcError::PARSE);
    client.write_all(b"\"method\":\"ping\"}\n").await.unwrap();
    let answer = line(&mut client).await;
    let id = rpm_protocol::Id::Text("a".into());
    assert_eq!(answer, Some(Incoming::Answer(id, Ok(json!("ping")))));
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_has_closed_its_writing_side() {
    let stage = Stage::new();
    let (mut client, connection) = stage.raw().await;
    client.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}\n").await.unwrap();
    client.shutdown().await.unwrap();
    echo(connection).await;
    let mut client = BufReader::new(client);
    let want = Incoming::Answer(1.into(), Ok(json!("list")));
    assert_eq!(line(&mut client).await, Some(want));
    assert_eq!(line(&mut client).await, None);
}

#[tokio::test]
async fn half_a_line_ends_the_connection() {
    let stage = Stage::new();
    let (mut client, mut connection) = stage.raw().await;
    client.write_all(b"{\"jsonrpc\"").await.unwrap();
    drop(client);
    assert!(connection.receive().await.is_none());
}

#[tokio::test]
async fn a_hundred_megabytes_without_a_line_end_are_refused_early() {
    let stage = Stage::new();
    let (client, connection) = stage.raw().await;
    let (read, mut write) = client.into_split();
    let send = async {
        let piece = vec![b'x'; 1 << 20];
        for sent in 0..100 {
            if write.write_all(&piece).await.is_err() {
                return sent;
            }
        }
        100
    };
    let (sent, ()) = tokio::join!(send, echo(connection));
    assert!(sent < 5, "{sent} MB were taken");
    let mut refusal = String::new();
    BufReader::new(read).read_line(&mut refusal).await.unwrap();
    let Incoming::Answer(_, Err(error)) = parse_answer::<Value>(refusal.as_bytes()).unwrap() else {
        panic!("{refusal}")
    };
    assert_eq!(error.message, format!("a request may have at most {MAX_REQUEST} bytes"));
}

#[tokio::test]
async fn events_are_told_until_the_client_hangs_up() {
    let stage = Stage::new();
    let (client, mut connection) = stage.client().await;
    let serve = async {
        let (id, _) = connection.receive().await.unwrap().unwrap();
        connection.reply(id, Ok(Value::Null));
        for cursor in 0..3 {
            connection.notify(&event(cursor)).unwrap();
        }
        connection
    };
    let (events, connection) = tokio::join!(client.events(None, everything()), serve);
    let mut events = events.unwrap();
    for cursor in 0..3 {
        assert_eq!(events.next().await.unwrap(), Some(event(cursor)));
    }
    let sender = connection.sender();
    let served = tokio::spawn(echo(connection));
    drop(events);
    sender.hung_up().await;
    served.await.unwrap();
    assert!(sender.notify(&event(4)).is_err());
}

#[tokio::test]
async fn a_reader_that_sleeps_is_disconnected_and_costs_a_bounded_queue() {
    let stage = Stage::new();
    let (client, mut connection) = stage.raw().await;
    let told = (0..1_000_000).take_while(|cursor| connection.notify(&event(*cursor)).is_ok());
    assert!(told.count() <= rpm_protocol::MAX_QUEUED + 1);
    assert!(connection.receive().await.is_none());
    drop(connection);
    // The client, awake again, sees whole lines and then the end.
    let mut client = BufReader::new(client);
    while let Some(incoming) = line_or_cut(&mut client).await {
        assert!(matches!(incoming, Incoming::Event(_)));
    }
}

async fn line_or_cut(reader: &mut BufReader<UnixStream>) -> Option<Incoming> {
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    line.ends_with('\n').then(|| parse_answer(line.as_bytes()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_write_that_makes_no_progress_ends_the_connection() {
    let stage = Stage::new();
    let (mut client, mut connection) = stage.raw().await;
    client.write_all(&ask(&Request::List)).await.unwrap();
    let (asked, _) = connection.receive().await.unwrap().unwrap();
    connection.reply(asked, Ok(json!("x".repeat(8 << 20))));
    let began = tokio::time::Instant::now();
    assert!(connection.receive().await.is_none());
    assert!(began.elapsed() >= rpm_protocol::STALL);
}

#[tokio::test]
async fn more_clients_than_are_served_wait() {
    let stage = Stage::new();
    let mut served = Vec::new();
    for _ in 0..MAX_CLIENTS {
        served.push(stage.client().await);
    }
    let mut late = Client::connect(&stage.path).await.unwrap();
    let accept = stage.server.accept();
    tokio::pin!(accept);
    assert!(futures_poll(accept.as_mut()).await.is_none());
    served.pop();
    let (answer, ()) =
        tokio::join!(late.call::<String>(Request::Ping), async { one(accept.await).await });
    assert_eq!(answer.unwrap(), "ping");
}

async fn one(mut connection: Connection) {
    let (id, request) = connection.receive().await.unwrap().unwrap();
    connection.reply(id, Ok(json!(request.method())));
    connection.sender().flushed().await;
}

#[tokio::test]
async fn clients_learn_what_is_wrong_with_the_daemon() {
    let stage = Stage::new();
    let nowhere = stage.path.with_file_name("other.sock");
    let error = Client::connect(&nowhere).await.unwrap_err();
    assert!(matches!(error, ClientError::NobodyListens), "{error}");

    let (mut client, connection) = stage.client().await;
    drop(connection);
    let error = client.call::<Value>(Request::Resurrect).await.unwrap_err();
    assert!(matches!(error, ClientError::Closed), "{error}");

    let (mut client, connection) = stage.client().await;
    drop((connection, stage.server));
    let error = client.call::<Value>(Request::List).await.unwrap_err();
    assert!(matches!(error, ClientError::Closed), "{error}");
    let error = Client::connect(&stage.path).await.unwrap_err();
    assert!(matches!(error, ClientError::NobodyListens), "{error}");
}

#[tokio::test]
async fn a_question_that_only_looks_is_asked_again_when_the_daemon_dies() {
    let stage = Stage::new();
    let (mut client, connection) = stage.client().await;
    drop(connection);
    let answering = async { echo(stage.server.accept().await).await };
    tokio::select! {
        answer = client.call::<Value>(Request::List) => assert_eq!(answer.unwrap(), json!("list")),
        () = answering => panic!("the client hung up"),
    }
}

#[tokio::test]
async fn a_request_that_is_too_long_is_not_sent() {
    let stage = Stage::new();
    let (mut client, _connection) = stage.client().await;
    let words = vec!["x".repeat(MAX_REQUEST)];
    let request = Request::Describe { targets: Targets { words, cwd: "/".into() }, secrets: true };
    let error = client.call::<Value>(request).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLong(_)), "{error}");
}

#[tokio::test]
async fn a_client_that_asks_without_reading_and_goes_is_gone() {
    let stage = Stage::new();
    let (mut client, mut connection) = stage.raw().await;
    let one = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    client.write_all(&one.repeat(MAX_PIPELINED + 1)).await.unwrap();
    // More than the socket holds, so that answers wait.
    let answer = Value::from("x".repeat(100_000));
    for _ in 0..MAX_PIPELINED {
        let (id, _) = connection.receive().await.unwrap().unwrap();
        connection.reply(id, Ok(answer.clone()));
    }
    drop(client);
    // One more may have been read; then it is over, though most answers were never written.
    while connection.receive().await.is_some() {}
}

#[tokio::test]
async fn a_daemon_that_talks_nonsense_is_an_error() {
    let stage = Stage::new();
    let listener = UnixListener::bind(stage.path.with_file_name("fake.sock")).unwrap();
    let path = stage.path.with_file_name("fake.sock");
    let mut client = Client::connect(&path).await.unwrap();
    let (mut fake, _) = listener.accept().unwrap();
    io::Write::write_all(&mut fake, b"SSH-2.0-OpenSSH_9\n").unwrap();
    let error = client.call::<Value>(Request::List).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed(_)), "{error}");
}

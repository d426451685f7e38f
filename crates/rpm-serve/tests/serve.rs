//! The server over real sockets: whole answers, and the end no client notices.

#![allow(clippy::unwrap_used)]

use rpm_serve::{Options, bind, serve};
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running server over a site of its own.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<std::io::Result<()>>,
    _site: TempDir,
}

/// One answer as read from the wire.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    fs::create_dir(site.path().join("sub")).unwrap();
    for (path, text) in [
        ("index.html", "<h1>root</h1>"),
        ("style.css", "body{}"),
        ("sub/index.html", "<h1>sub</h1>"),
        ("sub/a b.txt", "spaced"),
    ] {
        fs::write(site.path().join(path), text).unwrap();
    }
    site
}

fn options(root: &Path) -> Options {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let instance = Some("3".to_owned());
    Options { host, port: 0, share_port: false, instance, ..Options::new(root) }
}

fn start_with(site: TempDir, change: impl FnOnce(&mut Options)) -> Running {
    let mut options = options(site.path());
    change(&mut options);
    let listener = bind(&options).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(serve(options, listener, stopped));
    Running { address, stop, done, _site: site }
}

fn start() -> Running {
    start_with(site(), |_| {})
}

impl Running {
    /// Sends `request` on a connection of its own and reads until the server closes it.
    async fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{request}Host: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        parse(&text)
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n")).await
    }

    async fn end(self) {
        drop(self.stop);
        self.done.await.unwrap().unwrap();
    }
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Answer { status, headers, body: body.to_owned() }
}

/// Sends one request on a kept connection and reads the answer by its length.
async fn exchange(stream: &mut TcpStream, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"</h1>") {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "closed in an answer");
    }
    parse(std::str::from_utf8(&bytes).unwrap())
}

#[tokio::test]
async fn paths_and_what_they_answer() {
    let server = start();
    for (path, status, kind, body) in [
        ("/", 200, "text/html", "<h1>root</h1>"),
        ("/index.html?x=1", 200, "text/html", "<h1>root</h1>"),
        ("/style.css", 200, "text/css", "body{}"),
        ("/sub/", 200, "text/html", "<h1>sub</h1>"),
        ("/sub/a%20b.txt", 200, "text/plain", "spaced"),
        ("/nothing", 404, "text/plain; charset=utf-8", "404 Not Found\n"),
        ("/style.css/below", 404, "text/plain; charset=utf-8", "404 Not Found\n"),
        ("/../Cargo.toml", 403, "text/plain; charset=utf-8", "403 Forbidden\n"),
        ("/sub/%2e%2e/%2e%2e/x", 403, "text/plain; charset=utf-8", "403 Forbidden\n"),
        ("/a%00b", 403, "text/plain; charset=utf-8", "403 Forbidden\n"),
    ] {
        let answer = server.get(path).await;
        let found = (answer.status, answer.headers["content-type"].as_str(), answer.body.as_str());
        assert_eq!(found, (status, kind, body), "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn every_answer_says_who_gave_it() {
    let server = start();
    for path in ["/", "/nothing", "/..", "/sub"] {
        let answer = server.get(path).await;
        assert_eq!(answer.headers["x-rpm-instance"], "3", "{path}");
        assert_eq!(answer.headers["x-rpm-pid"], std::process::id().to_string(), "{path}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn outside_of_a_fleet_the_instance_is_a_dash() {
    for instance in [None, Some("two\nlines".to_owned())] {
        let server = start_with(site(), |options| options.instance = instance);
        assert_eq!(server.get("/").await.headers["x-rpm-instance"], "-");
        server.end().await;
    }
}

#[tokio::test]
async fn a_directory_without_its_slash_redirects() {
    let server = start();
    let answer = server.get("/sub?x=1").await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (307, "/sub/?x=1"));
    server.end().await;
}

#[tokio::test]
async fn head_has_the_headers_and_no_body() {
    let server = start();
    let answer = server.ask("HEAD /style.css HTTP/1.1\r\n").await;
    let found = (answer.status, answer.headers["content-length"].as_str(), answer.body.as_str());
    assert_eq!(found, (200, "6", ""));
    server.end().await;
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let server = start();
    for method in ["POST", "PUT", "DELETE"] {
        let answer = server.ask(&format!("{method} /style.css HTTP/1.1\r\n")).await;
        let found = (answer.status, answer.headers["allow"].as_str(), answer.body.as_str());
        assert_eq!(found, (405, "GET,HEAD", "405 Method Not Allowed\n"), "{method}");
    }
    server.end().await;
}

#[tokio::test]
async fn an_unchanged_file_answers_304_and_a_range_206() {
    let server = start();
    let changed = server.get("/style.css").await.headers["last-modified"].clone();
    let again = format!("GET /style.css HTTP/1.1\r\nIf-Modified-Since: {changed}\r\n");
    let answer = server.ask(&again).await;
    assert_eq!((answer.status, answer.body.as_str()), (304, ""));
    let part = server.ask("GET /style.css HTTP/1.1\r\nRange: bytes=4-5\r\n").await;
    assert_eq!((part.status, part.body.as_str()), (206, "{}"));
    server.end().await;
}

#[tokio::test]
async fn a_page_for_missing_files_keeps_the_status() {
    let site = site();
    fs::write(site.path().join("404.html"), "<h1>lost</h1>").unwrap();
    let server = start_with(site, |_| {});
    let answer = server.ask("GET /nothing HTTP/1.1\r\nIf-None-Match: *\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (404, "<h1>lost</h1>"));
    server.end().await;
}

#[tokio::test]
async fn a_single_page_app_answers_its_entry_page() {
    let server = start_with(site(), |options| options.spa = true);
    for (path, body) in [
        ("/users/7", "<h1>root</h1>"),
        ("/users/style.css", "body{}"),
        ("/style.css", "body{}"),
        ("/", "<h1>root</h1>"),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
    }
    assert_eq!(server.get("/../etc/passwd").await.status, 403);
    server.end().await;
}

#[tokio::test]
async fn a_directory_without_a_page_is_listed_where_that_is_wanted() {
    let site = site();
    fs::create_dir_all(site.path().join("plain/below")).unwrap();
    fs::write(site.path().join("plain/.secret"), "x").unwrap();
    fs::write(site.path().join("plain/a&b.txt"), "12345").unwrap();
    let server = start_with(site, |options| options.listing = true);
    let listed = server.get("/plain/").await;
    let kind = listed.headers["content-type"].as_str();
    assert_eq!((listed.status, kind), (200, "text/html; charset=utf-8"));
    for part in ["Index of /plain/", "\"./below/\"", "\"./a%26b.txt\">a&amp;b.txt<", ">5<"] {
        assert!(listed.body.contains(part), "no {part} in {}", listed.body);
    }
    assert!(!listed.body.contains("secret"), "{}", listed.body);
    let head = server.ask("HEAD /plain/ HTTP/1.1\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for (path, status) in [("/", 200), ("/sub/", 200), ("/none/", 404), ("/plain/../", 403)] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.body.contains("Index of"), "{path}");
    }
    server.end().await;
    let server = start();
    assert_eq!(server.get("/plain/").await.status, 404);
    server.end().await;
}

#[tokio::test]
async fn who_does_not_know_the_password_gets_nothing() {
    let [username, password] = ["ann", "secret"].map(str::to_owned);
    let credentials = Some(rpm_serve::Credentials { username, password });
    let server = start_with(site(), |options| options.credentials = credentials);
    for header in ["", "Authorization: Basic YW5uOndyb25n\r\n"] {
        for path in ["/", "/none", "/../x"] {
            let answer = server.ask(&format!("GET {path} HTTP/1.1\r\n{header}")).await;
            assert_eq!((answer.status, answer.body.as_str()), (401, "401 Unauthorized\n"));
            let challenge = answer.headers["www-authenticate"].as_str();
            assert_eq!(challenge, "Basic realm=\"Authentication service\"");
        }
    }
    let header = "Authorization: Basic YW5uOnNlY3JldA==\r\n";
    let answer = server.ask(&format!("GET /style.css HTTP/1.1\r\n{header}")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "body{}"));
    server.end().await;
}

#[tokio::test]
async fn a_probe_ends_its_connection_and_is_not_cached() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let kept = exchange(&mut stream, "/").await;
    assert_eq!(kept.headers.get("connection"), None);
    let probed = exchange(&mut stream, "/?probe=1").await;
    assert_eq!(probed.headers["connection"], "close");
    assert_eq!(probed.headers["cache-control"], "no-store");
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    server.end().await;
}

#[tokio::test]
async fn a_root_that_is_no_directory_is_named() {
    let site = site();
    for (path, reason) in
        [("style.css", "not a directory"), ("missing", "No such file or directory (os error 2)")]
    {
        let root = site.path().join(path);
        let options = options(&root);
        let listener = bind(&options).unwrap();
        let error = serve(options, listener, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot serve {}: {reason}", root.display()));
    }
}

#[tokio::test]
async fn a_kept_connection_may_ask_once_more_after_shutdown() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    exchange(&mut stream, "/").await;
    drop(server.stop);
    // Refused connections tell that the listener is gone, so the shutdown was seen.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let last = exchange(&mut stream, "/").await;
    assert_eq!((last.status, last.headers["connection"].as_str()), (200, "close"));
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    server.done.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_in_the_queue_at_shutdown_is_answered() {
    let server = start();
    // The runtime has one thread: until the first await the server cannot accept.
    let early = std::net::TcpStream::connect(server.address).unwrap();
    drop(server.stop);
    early.set_nonblocking(true).unwrap();
    let mut early = TcpStream::from_std(early).unwrap();
    assert_eq!(exchange(&mut early, "/").await.headers["connection"], "close");
    server.done.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_connection_holds_the_end_for_the_grace_only() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    exchange(&mut stream, "/").await;
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    drop(server.stop);
    server.done.await.unwrap().unwrap();
    let waited = before.elapsed();
    assert!(waited >= rpm_serve::KEEP_ALIVE_GRACE, "{waited:?}");
    assert!(waited < rpm_serve::KEEP_ALIVE_GRACE * 2, "{waited:?}");
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let server = start();
    let mut held = Vec::new();
    for _ in 0..rpm_serve::MAX_CONNECTIONS {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    for stream in &mut held {
        exchange(stream, "/").await;
    }
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // One more round of every held connection: the server had its chance to answer the other.
    for stream in &mut held {
        exchange(stream, "/").await;
    }
    let refused = waiting.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
    held.pop();
    assert_eq!(waiting.read(&mut [0; 1]).await.unwrap(), 1);
    drop((held, waiting));
    server.end().await;
}

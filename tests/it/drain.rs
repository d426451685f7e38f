//! What drains: WebSockets and downloads that are older than the reload, visible while they last.

use crate::harness::{App, Home, LIMIT, Process, WebSocket, ask, get, port};
use serde_json::Value;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long an app may drain whose drain ends earlier.
const DRAIN: Duration = Duration::from_secs(120);

/// As long as complaint A6's and ten seconds more, in which all is looked at that shall be seen.
const LONG_DRAIN: Duration = Duration::from_secs(20);

/// One instance of a fixture whose old workers may drain for so long.
fn start(fixture: &str, drain: Duration, download: Duration) -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.copy(fixture);
    home.modules();
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"web\"\nscript = \"{fixture}\"\ninstances = 1\n\
             drain_timeout = {}\nlisten_timeout = 30000\n[apps.env]\nPORT = {port}\n\
             DOWNLOAD_MS = {}\n",
            drain.as_millis(),
            download.as_millis()
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    (home, port)
}

fn download(port: u16) -> JoinHandle<String> {
    std::thread::spawn(move || get(port, "/download").expect("a whole download").body)
}

fn parts() -> String {
    (1..=10).map(|part| format!("part {part}\n")).collect()
}

/// Of the only former worker, a field of `jlist`.
fn leaving<'a>(apps: &'a [App], field: &str) -> &'a Value {
    &apps[0].env("leaving")[0][field]
}

#[test]
fn a_websocket_lives_until_the_drain_ends() {
    let (home, port) = start("realtime.js", LONG_DRAIN, Duration::ZERO);
    let old = home.single("web").pid();
    let mut socket = WebSocket::open(port).expect("a WebSocket");
    assert_eq!(socket.ask("a").expect("an echo"), format!("{old} heard a"));
    let begun = Instant::now();
    let reload = home.rpm(["reload", "web"]).spawn();
    let apps = home.wait_until("one connection drains", |apps| *leaving(apps, "connections") == 1);
    assert_eq!(leaving(&apps, "phase"), "draining");
    assert_eq!(leaving(&apps, "pid"), old);
    assert_ne!(ask(port).pid, old, "new connections go to the new worker");
    assert_eq!(socket.ask("b").expect("an echo"), format!("{old} heard b"));
    for word in ["ls", "show"] {
        let words = if word == "ls" { vec!["ls"] } else { vec!["show", "web"] };
        let shown = home.rpm_under(&[], &words).success().stdout;
        let found = shown.contains("draining (1 connection, ") && shown.contains(" s left)");
        assert!(found && shown.contains(&format!("pid {old}")), "{shown}");
    }
    socket.ends();
    assert!(begun.elapsed() >= LONG_DRAIN, "{:?}", begun.elapsed());
    let output = reload.finish(LIMIT);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(!Process(old).is_alive());
    assert_eq!(*home.single("web").env("leaving"), Value::Null);
}

#[test]
fn a_download_is_finished_and_ends_the_drain() {
    for fixture in ["realtime.js", "download.py"] {
        // Longer than kill_timeout, much shorter than the drain may take.
        let length = Duration::from_secs(3);
        let (home, port) = start(fixture, DRAIN, length);
        let old = home.single("web").pid();
        let download = download(port);
        home.wait_for_line(&home.single("web").out_log(), "download\n");
        let begun = Instant::now();
        let reload = home.rpm(["reload", "web"]).spawn();
        assert_eq!(download.join().expect("the download"), parts(), "{fixture}");
        let output = reload.finish(LIMIT);
        assert_eq!(output.code, 0, "{fixture}: {output:?}");
        assert!(begun.elapsed() < DRAIN / 2, "{fixture}: {:?}", begun.elapsed());
        assert_ne!(ask(port).pid, old, "{fixture}");
        home.rpm(["delete", "web"]).success();
    }
}

#[test]
fn a_drain_tells_its_watchers() {
    let (home, port) = start("realtime.js", DRAIN, Duration::ZERO);
    let mut socket = WebSocket::open(port).expect("a WebSocket");
    socket.ask("a").expect("an echo");
    let events = home.rpm(["events", "web", "--json", "--since", "0"]).spawn();
    let reload = home.rpm(["reload", "web"]).spawn();
    let text = events.until("a counted drain", |text| text.contains("\"connections\":1"));
    assert!(text.contains(r#"{"draining":{"connections":1,"left_ms":"#), "{text}");
    drop(socket);
    events.until("the end", |text| text.contains("\"reloaded\""));
    assert_eq!(reload.finish(LIMIT).code, 0);
    events.interrupt();
}

#[test]
fn a_terminal_shows_how_far_a_reload_is() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let shown = home.on_terminal(80, &["reload", "web"]).success().stdout;
    shows_both_workers(&shown);
    assert!(shown.ends_with("\r\u{1b}[Kreloaded web (0, 1)\r\n"), "{shown:?}");
    home.rpm(["reload", "web"]).stdout("reloaded web (0, 1)\n").stderr("").success();
}

#[test]
fn a_reload_of_a_file_or_with_options_shows_how_far_it_is() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    let text = format!(
        "[[apps]]\nname = \"web\"\nscript = \"hello.js\"\ninstances = 2\n[apps.env]\n\
         PORT = {port}\n"
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    let ways: [&[&str]; 3] = [
        &["reload", "ecosystem.toml"],
        &["startOrReload", "ecosystem.toml"],
        &["reload", "web", "--kill-timeout", "3s"],
    ];
    for words in ways {
        let shown = home.on_terminal(80, words).success().stdout;
        shows_both_workers(&shown);
    }
}

/// How far the reload is, of each worker, and how many seconds this one takes.
fn shows_both_workers(shown: &str) {
    let (_, first) = shown.split_once("web: worker 1 of 2 starting, ").expect(shown);
    let (seconds, _) = first.split_once(" s").expect(shown);
    assert!(seconds.parse::<u32>().is_ok(), "{seconds:?} in {shown:?}");
    assert!(first.contains("web: worker 2 of 2 "), "{shown:?}");
}

//! `kill -9` of the keeper: the daemon starts another and hands everything over.

use super::{essence, is_complete, kill_daemon, kill_keeper, start_patient};
use crate::harness::{App, Home, LIMIT, Load, Process, pids_answering, port};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

#[test]
fn a_keeper_killed_under_load_costs_nothing_and_then_the_daemon_and_a_keeper_again() {
    let (home, port) = (Home::new(), port());
    home.start_web("slow.js", "2", port);
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "ticker"]).success();
    let (before, first) = (home.jlist(), home.keeper());
    let load = Load::on(port).fresh(4).keep_alive(4).slow(2);
    load.more(50);
    kill_keeper(&home);
    assert_eq!(essence(&home.jlist()), essence(&before));
    load.more(50);
    kill_daemon(&home);
    assert_eq!(essence(&home.jlist()), essence(&before));
    assert_eq!(home.daemon().parent(), home.keeper());
    load.more(50);
    kill_keeper(&home);
    kill_keeper(&home);
    assert_eq!(essence(&home.jlist()), essence(&before));
    load.more(50);
    load.stop().is_clean(200);
    assert_ne!(home.keeper(), first);
    home.rpm(["stop", "ticker"]).success();
    is_complete(&fs::read_to_string(before[2].out_log()).unwrap());
}

#[test]
fn everything_works_with_the_next_keeper() {
    for program in ["slow.js", "server.py"] {
        let (home, port) = (Home::new(), port());
        home.start_web(program, "2", port);
        kill_keeper(&home);
        let before = home.pids("web");
        let load = Load::on(port).fresh(2);
        load.more(20);
        home.rpm(["reload", "web"]).success();
        home.rpm(["scale", "web", "3"]).success();
        load.more(20);
        let now = pids_answering(port, 3);
        assert!(before.iter().all(|pid| !now.contains(pid)), "{before:?} {now:?}");
        for pid in home.pids("web") {
            assert_eq!(Process(pid).parent(), home.keeper());
        }
        kill_keeper(&home);
        home.rpm(["reload", "web"]).success();
        load.more(20);
        load.stop().is_clean(60);
        home.rpm(["stop", "web"]).success();
        home.apps_end();
        home.rpm(["start", "web"]).success();
        assert_eq!(pids_answering(port, 3), home.pids("web").into_iter().collect());
    }
}

/// A keeper sends new clients to a replacement, and says when the program before it has accepted
/// all that had come to it; the next one has to go on with that.
#[test]
fn a_reload_goes_on_with_the_next_keeper() {
    let (home, port) = (Home::new(), port());
    start_patient(&home, port);
    let before = home.pids("web");
    let load = Load::on(port).fresh(4);
    load.more(20);
    let reload = home.rpm(["reload", "web"]).spawn();
    for drains in 1..=2 {
        home.wait_for_log(|log| log.matches("Draining").count() >= drains);
        kill_keeper(&home);
    }
    assert_eq!(reload.finish(LIMIT).code, 0);
    load.more(20);
    load.stop().is_clean(60);
    let now = home.pids("web");
    assert!(before.iter().all(|pid| !now.contains(pid)), "{before:?} {now:?}");
    assert_eq!(pids_answering(port, 2), now.into_iter().collect());
}

/// For a list the keeper is asked how long its queues are. A daemon that waited for a dead one
/// never answered this list, nor any later one; nor did it say that an update had come to nothing.
#[test]
fn what_a_keeper_was_asked_when_it_died_is_answered() {
    let (home, port) = (Home::with_own_binary(), port());
    home.start_web("hello.js", "2", port);
    // Of new workers nothing is known that would be young enough.
    let targets = json!({"words": ["web"], "cwd": "/"});
    let restarted = home.ask("act", &json!({"action": "restart", "targets": targets}));
    assert_eq!(restarted["result"]["instances"].as_array().map(Vec::len), Some(2), "{restarted}");
    let keeper = home.keeper();
    keeper.freeze();
    let list = asked(&home, "list", &json!({}));
    let update = asked(&home, "update", &json!({"program": home.root().join("rpm")}));
    // What came before this is with the keeper by now.
    home.rpm(["ping"]).success();
    keeper.kill();
    let list = answer(list);
    assert_eq!(list["result"].as_array().map(Vec::len), Some(2), "{list}");
    let said = answer(update)["error"]["message"].to_string();
    assert!(said.contains("the keeper died meanwhile"), "{said}");
    home.rpm(["update"]).success();
}

/// A question to the daemon.
fn asked(home: &Home, method: &str, params: &Value) -> UnixStream {
    let mut stream = UnixStream::connect(home.path().join("rpm.sock")).unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn answer(stream: UnixStream) -> Value {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// What is between pipe and file is in memory that keeper and daemon both hold.
#[test]
fn framed_lines_have_no_gap_when_keeper_and_daemon_are_killed_in_turn() {
    let home = Home::new();
    home.copy("ticker.js");
    let table = "[[apps]]\nname = \"app\"\nscript = \"ticker.js\"\nlog_type = \"json\"\n";
    home.write("ecosystem.toml", table);
    home.rpm(["start", "ecosystem.toml"]).success();
    let log = home.single("app").out_log();
    for _ in 0..3 {
        let now = fs::read_to_string(&log).unwrap_or_default().lines().count();
        home.wait_for_line(&log, &format!("\"message\":\"tick {}\"", now + 20));
        kill_keeper(&home);
        kill_daemon(&home);
        home.jlist();
    }
    home.rpm(["stop", "app"]).success();
    home.rpm(["kill"]).success();
    let text = fs::read_to_string(&log).unwrap();
    for (number, line) in text.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!(line["message"], format!("tick {}", number + 1));
    }
}

#[test]
fn a_worker_that_dies_later_is_replaced_and_its_code_unknown() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    kill_keeper(&home);
    let before = home.pids("web");
    Process(before[0]).signal(Signal::KILL);
    let apps = home.wait_until("a replacement", |apps| {
        apps.len() == 2 && apps[0].pid() != before[0] && apps.iter().all(App::is_online)
    });
    assert_eq!((apps[0].restarts(), apps[0].exit_code()), (1, None));
    assert_eq!(pids_answering(port, 2), apps.iter().map(App::pid).collect());
    // The next one is the new keeper's own child.
    Process(apps[0].pid()).signal(Signal::KILL);
    home.wait_until("a replacement", |now| now[0].is_online() && now[0].pid() != apps[0].pid());
}

#[test]
fn binds_are_answered_by_one_keeper_after_the_other() {
    let home = Home::new();
    home.copy("binds.py");
    home.rpm(["start", "binds.py", "--name", "binds", "-i", "2"]).success();
    let before = essence(&home.jlist());
    let log = home.app("binds")[0].out_log();
    let count = |text: &str| text.lines().count();
    for _ in 0..8 {
        kill_keeper(&home);
        let now = count(&fs::read_to_string(&log).unwrap());
        home.wait_for_line(&log, &format!("\ntick {}\n", now + 50));
    }
    assert_eq!(essence(&home.jlist()), before);
    home.rpm(["stop", "binds"]).success();
    is_complete(&fs::read_to_string(&log).unwrap());
}

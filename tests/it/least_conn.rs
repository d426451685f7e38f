//! `balance = "least_conn"` for instances that share a port: a front accepts at the address they
//! bind, for Node, Python and a native program.

use crate::harness::{
    AT_EASE, App, Connection, Home, Load, Process, Rpm, Who, ask, compiled, get, pids_answering,
    port, ports,
};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::Command;

/// Starts workers behind a front, and waits for as long as they need to listen.
fn started(home: &Home, script: &str, name: &str, count: &str) -> Rpm {
    let words = ["start", script, "--name", name, "-i", count, "--balance", "least_conn"];
    home.rpm_under(&[], &[&words[..], &["--merge-logs"], &AT_EASE].concat())
}

/// Four workers on one port.
struct Four {
    home: Home,
    port: u16,
}

impl Four {
    /// Of a fixture, or of the compiled server.
    fn of(program: &str) -> Self {
        let (home, port) = (Home::new(), port());
        let script = match program {
            "native" => compiled(),
            fixture => home.copy(fixture),
        };
        let script = script.to_str().expect("utf-8");
        started(&home, script, "web", "4").env("PORT", port).success();
        Self { home, port }
    }

    fn all(&self) -> Vec<App> {
        self.home
            .wait_until("four online", |apps| apps.len() == 4 && apps.iter().all(App::is_online))
    }

    fn front(&self) -> Process {
        let front = self.home.app("web").remove(0).env("front")["pid"].as_u64();
        Process(u32::try_from(front.expect("a front")).expect("a pid"))
    }
}

#[test]
fn kept_connections_are_level_to_one() {
    for fixture in ["balanced.js", "balanced.py"] {
        let four = Four::of(fixture);
        let mut kept = Vec::new();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for _ in 0..64 {
            let mut connection = Connection::open(four.port).expect("a connection");
            let who = Who::of(&connection.get("/", false).expect("an answer")).expect("a worker");
            *counts.entry(who.pid).or_default() += 1;
            kept.push(connection);
        }
        assert_eq!(counts.values().collect::<Vec<_>>(), [&16; 4], "{fixture}");
        let shown = four.home.rpm(["show", "0"]).success().stdout;
        let (port, front) = (four.port, four.front().0);
        let bound = if fixture == "balanced.js" { "[::]" } else { "0.0.0.0" };
        let want = format!("{bound}:{port} (least_conn), pid {front}");
        assert!(shown.contains(&want), "no {want:?} in {shown}");
        assert_eq!(four.home.app("web")[0].env("balance"), "least_conn");
        assert_eq!(four.home.app("web")[3].env("front")["instance_connections"], 16);
    }
}

#[test]
fn nobody_waits_behind_a_blocked_worker() {
    for fixture in ["balanced.js", "balanced.py"] {
        let four = Four::of(fixture);
        let gate = four.home.work().join("gate");
        assert!(Command::new("mkfifo").arg(&gate).status().expect("mkfifo").success());
        let mut blocking = Connection::open(four.port).expect("a connection");
        blocking.send("/gate", true).expect("a request");
        let out = four.home.app("web")[0].out_log();
        four.home.wait_for_line(&out, "blocking\n");
        // It does nothing until it is let go, so nobody of these waits for it.
        for _ in 0..200 {
            get(four.port, "/").expect("an answer");
        }
        fs::write(&gate, "go").expect("the worker waits for it");
        assert_eq!(blocking.read_response().expect("an answer").status, 200, "{fixture}");
    }
}

#[test]
fn reload_restart_and_a_killed_worker_refuse_nothing() {
    for program in ["balanced.js", "balanced.py", "native"] {
        let four = Four::of(program);
        let load = Load::on(four.port).fresh(4);
        load.more(50);
        let before = four.home.pids("web");
        four.home.rpm(["reload", "web"]).success();
        load.more(50);
        assert!(four.home.pids("web").iter().all(|pid| !before.contains(pid)), "{program}");
        Process(four.home.pids("web")[0]).kill();
        load.more(50);
        four.all();
        load.stop().is_clean(150);
        assert!(four.home.pids("web").contains(&ask(four.port).pid));
        four.home.rpm(["stop", "web"]).success();
        TcpListener::bind(("0.0.0.0", four.port)).expect("the port is free");
    }
}

#[test]
fn the_daemons_death_changes_nothing_and_its_successor_goes_on() {
    let four = Four::of("balanced.js");
    let (front, before) = (four.front().0, four.home.pids("web"));
    let load = Load::on(four.port).fresh(2).keep_alive(2);
    load.more(50);
    four.home.daemon().kill();
    load.more(50);
    four.all();
    assert_eq!((four.front().0, four.home.pids("web")), (front, before));
    four.home.rpm(["scale", "web", "2"]).success();
    load.more(50);
    four.home.rpm(["scale", "web", "3"]).success();
    load.more(50);
    load.stop().is_clean(200);
    assert_eq!(four.front().0, front);
}

#[test]
fn several_ports_and_a_look_whether_one_is_free() {
    let home = Home::new();
    let first = ports(3);
    for (fixture, own) in [("matrix/two-ports.js", first), ("probe.js", first + 2)] {
        let script = home.copy(fixture);
        let script = script.to_str().expect("utf-8");
        started(&home, script, fixture, "2").env("PORT", own).success();
    }
    for port in [first, first + 1, first + 2] {
        pids_answering(port, 2);
    }
}

#[test]
fn a_dead_front_is_replaced_and_clients_wait() {
    let four = Four::of("balanced.py");
    let front = four.front();
    front.kill();
    assert!(four.home.pids("web").contains(&ask(four.port).pid));
    assert_ne!(four.front().0, front.0);
}

#[test]
fn an_address_that_a_stranger_has_is_told() {
    for fixture in ["balanced.js", "balanced.py"] {
        let (home, stranger) = (Home::new(), TcpListener::bind("0.0.0.0:0").expect("a port"));
        let port = stranger.local_addr().expect("an address").port();
        let script = home.copy(fixture);
        let script = script.to_str().expect("utf-8");
        let told = format!("port {port} is in use by");
        started(&home, script, "web", "2").env("PORT", port).refused(&[&told]);
    }
}

/// Its workers have private sockets behind a front, others have public ones: after a change of one
/// into the other nobody served the port any more.
#[test]
fn a_change_from_or_to_least_conn_while_it_runs_is_refused_and_harms_nobody() {
    let (home, port) = (Home::new(), port());
    home.copy("balanced.js");
    started(&home, "balanced.js", "web", "2").env("PORT", port).success();
    for (from, to) in [("least_conn", "even"), ("even", "least_conn")] {
        let before = home.pids("web");
        for verb in ["restart", "reload"] {
            home.rpm([verb, "web", "--balance", to])
                .refused(&["`balance` can become or cease to be least_conn", "rpm stop web"]);
        }
        assert_eq!(home.app("web")[0].env("balance"), from);
        assert_eq!(pids_answering(port, 2), before.iter().copied().collect());
        home.rpm(["stop", "web"]).success();
        home.rpm(["start", "web", "--balance", to]).success();
        assert_eq!(home.app("web")[0].env("balance"), to);
        assert_eq!(pids_answering(port, 2), home.pids("web").into_iter().collect());
    }
}

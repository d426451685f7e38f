//! Who gets a connection: each balance, for Node, whose workers get their sockets over IPC, and
//! for Python, whose binds are answered by the keeper.

use crate::harness::{
    AT_EASE, App, Connection, Home, Load, Process, Who, get, pids_answering, port,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::{fs, thread};

const FIXTURES: [&str; 2] = ["balanced.js", "balanced.py"];

/// `count` workers of a fixture on one port, once all of them answer.
fn start(fixture: &str, count: usize, balance: &str) -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.copy(fixture);
    fifo(&home.work().join("gate"));
    let instances = count.to_string();
    let words =
        ["start", fixture, "--name", "web", "-i", &instances, "--balance", balance, "--merge-logs"];
    home.rpm_under(&[], &[&words[..], &AT_EASE].concat()).env("PORT", port).success();
    (home, port)
}

fn fifo(path: &std::path::Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a fifo");
}

/// So often a measurement is repeated, see [`in_one_round`].
const ROUNDS: usize = 5;

/// Measures until it is as wanted. From a worker that stands still new connections are kept away,
/// as they should; on a busy machine any worker may stand still for a moment, and then those of
/// that round are not spread as they are else.
fn in_one_round<T: std::fmt::Debug>(measure: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let mut found = Vec::new();
    for _ in 0..ROUNDS {
        let measured = measure();
        if wanted(&measured) {
            return measured;
        }
        found.push(measured);
    }
    panic!("in no round as wanted: {found:#?}");
}

/// How many of so many new connections each worker of the app got.
fn counts(home: &Home, port: u16, connections: usize) -> BTreeMap<u32, usize> {
    let mut counts: BTreeMap<u32, usize> =
        home.pids("web").into_iter().map(|pid| (pid, 0)).collect();
    for _ in 0..connections {
        let who = Who::of(&get(port, "/").expect("an answer")).expect("a worker");
        *counts.get_mut(&who.pid).expect("a worker of the app") += 1;
    }
    counts
}

fn spread(counts: &BTreeMap<u32, usize>) -> (usize, usize) {
    let all = || counts.values().copied();
    (all().min().expect("workers"), all().max().expect("workers"))
}

/// Exact turns need a privilege, which the tests have as root only.
fn has_turns(home: &Home) -> bool {
    balance_shown(home) == "round_robin"
}

fn balance_shown(home: &Home) -> String {
    home.app("web")[0].env("balance").as_str().expect("a balance").to_owned()
}

#[test]
fn round_robin_is_exact_and_falls_back_to_even() {
    for fixture in FIXTURES {
        let (home, port) = start(fixture, 4, "round_robin");
        if !has_turns(&home) {
            let shown = balance_shown(&home);
            assert_eq!(shown, "even (round_robin needs CAP_BPF and CAP_NET_ADMIN)");
            continue;
        }
        // A hash gives this once in three hundred rounds.
        in_one_round(
            || counts(&home, port, 1000),
            |counts| {
                let (least, most) = spread(counts);
                least >= 248 && most <= 252
            },
        );
    }
}

#[test]
fn even_is_even() {
    for fixture in FIXTURES {
        let (home, port) = start(fixture, 4, "even");
        assert_eq!(balance_shown(&home), "even");
        in_one_round(
            || counts(&home, port, 4000),
            |counts| {
                let (least, most) = spread(counts);
                most * 100 <= least * 120
            },
        );
    }
}

#[test]
fn random_is_fair() {
    let (home, port) = start("balanced.js", 4, "random");
    in_one_round(
        || counts(&home, port, 2000),
        |counts| {
            let (least, most) = spread(counts);
            // Eight standard deviations.
            least > 340 && most < 660
        },
    );
}

#[test]
fn kept_connections_are_shared_evenly() {
    for (fixture, balance) in [
        ("balanced.js", "even"),
        ("balanced.py", "even"),
        ("balanced.js", "round_robin"),
        ("balanced.py", "round_robin"),
    ] {
        let (home, port) = start(fixture, 2, balance);
        // A hash gives 24 or more in 98 of 100 runs, so it is measured by what no unfair one gives.
        let wanted = if has_turns(&home) { 31 } else { 16 };
        in_one_round(
            || kept_counts(port),
            |counts| counts.len() == 2 && spread(counts).0 >= wanted,
        );
    }
}

/// How many of 64 connections that stay open each worker has.
fn kept_counts(port: u16) -> BTreeMap<u32, usize> {
    let mut kept = Vec::new();
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for _ in 0..64 {
        let mut connection = Connection::open(port).expect("a connection");
        let who = Who::of(&connection.get("/", false).expect("an answer")).expect("a worker");
        *counts.entry(who.pid).or_default() += 1;
        kept.push(connection);
    }
    counts
}

/// Who answers each of 20 addresses, by slot; twice the same, since at another time a worker may
/// have stood still.
fn settled_slots(port: u16) -> Vec<String> {
    let twice = || (slots_of_addresses(port), slots_of_addresses(port));
    in_one_round(twice, |(first, second)| first == second).0
}

/// Who answers each of 20 addresses, by slot.
fn slots_of_addresses(port: u16) -> Vec<String> {
    let slot = |host: u8| {
        let mut connection = Connection::open_from(host, port).expect("a connection");
        let who = Who::of(&connection.get("/", true).expect("an answer")).expect("a worker");
        who.instance.expect("a slot")
    };
    (10..30).map(slot).collect()
}

#[test]
fn an_address_always_meets_the_same_slot() {
    for fixture in FIXTURES {
        let (home, port) = start(fixture, 4, "ip_hash");
        let first = settled_slots(port);
        let different: BTreeSet<_> = first.iter().collect();
        assert!(different.len() > 1, "{first:?}");
        for _ in 0..3 {
            assert_eq!(settled_slots(port), first, "{fixture}");
        }
        home.rpm(["reload", "web"]).success();
        assert_eq!(settled_slots(port), first, "{fixture}, after a reload");
        home.rpm(["scale", "web", "5"]).success();
        let moved = settled_slots(port);
        let elsewhere = moved.iter().zip(&first).filter(|(now, before)| now != before);
        assert!(elsewhere.into_iter().all(|(now, _)| now == "4"), "{first:?} {moved:?}");
        home.rpm(["scale", "web", "4"]).success();
        assert_eq!(settled_slots(port), first, "{fixture}, after scaling there and back");
    }
}

/// A worker that does nothing until it is let go.
struct Blocked {
    gate: PathBuf,
    client: JoinHandle<u16>,
}

impl Blocked {
    /// Blocks one of them, whichever takes the connection.
    fn one(home: &Home, port: u16) -> Self {
        let mut connection = Connection::open(port).expect("a connection");
        connection.send("/gate", true).expect("a request");
        let client = thread::spawn(move || connection.read_response().expect("an answer").status);
        home.wait_for_line(&home.app("web")[0].out_log(), "blocking\n");
        Self { gate: home.work().join("gate"), client }
    }

    /// Nobody waited for it: so many requests, one after the other, are answered meanwhile.
    fn is_avoided(&self, port: u16, requests: usize) {
        for _ in 0..requests {
            get(port, "/").expect("an answer");
        }
        assert!(!self.client.is_finished(), "it was not blocked");
    }

    fn goes_on(self) {
        fs::write(&self.gate, "go").expect("written");
        assert_eq!(self.client.join().expect("a status"), 200);
    }
}

#[test]
fn nobody_waits_behind_a_blocked_worker_of_a_shared_queue() {
    for fixture in FIXTURES {
        let (home, port) = start(fixture, 4, "shared");
        assert_eq!(balance_shown(&home), "shared");
        let blocked = Blocked::one(&home, port);
        blocked.is_avoided(port, 200);
        blocked.goes_on();
    }
}

/// All slots have one socket there, and a worker that goes must not take it away from the others:
/// nobody was heard any more after a reload.
#[test]
fn a_shared_queue_hears_everybody_after_a_reload_a_stop_and_a_scale() {
    for fixture in FIXTURES {
        let (home, port) = start(fixture, 3, "shared");
        let load = Load::on(port).fresh(3);
        load.more(20);
        let id = home.app("web")[2].id().to_string();
        let steps =
            [&["reload", "web"][..], &["stop", &id], &["start", &id], &["scale", "web", "2"]];
        for words in steps {
            home.rpm_under(&[], words).success();
            load.more(20);
        }
        let report = load.stop();
        assert_eq!(report.refused, 0, "{fixture}: {report:#?}");
        // A program without a handler is cut in the midst of its answers: five workers end, and
        // three clients may be inside each.
        let cut = if fixture == "balanced.py" { 5 * 3 } else { 5 };
        assert!(report.failures <= cut, "{fixture}: {report:#?}");
        assert_eq!(pids_answering(port, 2).len(), 2, "{fixture}");
    }
}

#[test]
fn new_connections_avoid_a_blocked_worker_until_it_accepts_again() {
    let ways = [("balanced.js", "even"), ("balanced.py", "round_robin"), ("balanced.py", "random")];
    for (fixture, balance) in ways {
        let (home, port) = start(fixture, 4, balance);
        let blocked = Blocked::one(&home, port);
        let queue = |apps: &[App], state: &str| {
            apps.iter().any(|app| app.env("queue_state").as_str() == Some(state))
        };
        // What comes to it in the first second waits; nobody reads these. Of so many some do.
        let waiting: Vec<_> = (0..96).map(|_| Connection::open(port).expect("open")).collect();
        let apps = home.wait_until("a slot is blocked", |apps| queue(apps, "blocked"));
        assert!(apps.iter().any(|app| app.env("queue").as_u64() > Some(0)), "{apps:?}");
        blocked.is_avoided(port, 200);
        blocked.goes_on();
        home.wait_until("it is given back", |apps| !queue(apps, "blocked"));
        drop(waiting);
        pids_answering(port, 4);
    }
}

#[test]
fn a_dead_slot_is_steered_around() {
    let (home, port) = start("balanced.py", 3, "ip_hash");
    let load = Load::on(port).fresh(3);
    for _ in 0..3 {
        load.more(30);
        let victim = home.app("web")[1].pid();
        Process(victim).kill();
        home.wait_until("it is replaced", |apps| {
            apps[1].pid() != victim && apps.iter().all(App::is_online)
        });
    }
    let report = load.stop();
    assert_eq!(report.refused, 0, "{report:#?}");
}

#[test]
fn stopping_one_of_several_loses_nothing() {
    for fixture in ["slow.js", "server.py"] {
        let (home, port) = (Home::new(), port());
        home.start_web(fixture, "3", port);
        let load = Load::on(port).fresh(4);
        for _ in 0..2 {
            load.more(50);
            let id = home.app("web")[2].id().to_string();
            home.rpm(["stop", &id]).success();
            load.more(50);
            home.rpm(["start", &id]).success();
        }
        let report = load.stop();
        assert_eq!(report.refused, 0, "{fixture}: {report:#?}");
        report.is_clean(200);
    }
}

#[test]
fn balance_in_fork_mode_is_refused_with_a_hint() {
    let home = Home::new();
    home.copy("hello.js");
    let output = home.rpm(["start", "hello.js", "--balance", "random"]).output();
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("`balance` is for instances that share ports"), "{output:?}");
    assert!(output.stderr.contains("exec_mode"), "{output:?}");
}

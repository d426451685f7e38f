//! `rpm reload`: a transaction under load.

use crate::harness::{
    AT_EASE, App, Events, Home, LIMIT, Load, Next, WebSocket, compiled, fixture, node_modules,
    pids_answering, port,
};
use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

fn pids(home: &Home) -> BTreeSet<u32> {
    home.pids("web").into_iter().collect()
}

/// All workers are new, online, and answer; no restart other than the reloads.
fn all_replaced(home: &Home, before: &BTreeSet<u32>, port: u16, reloads: u64) {
    let apps = home.app("web");
    let now: BTreeSet<u32> = apps.iter().map(App::pid).collect();
    assert!(now.is_disjoint(before), "{before:?} {now:?}");
    assert_eq!(pids_answering(port, now.len()), now);
    assert!(apps.iter().all(|app| app.is_online() && app.restarts() == reloads), "{apps:#?}");
}

/// slow.js, whose workers are all replaced at once.
fn start_slow(instances: u32, slow: u32) -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.copy("slow.js");
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"web\"\nscript = \"slow.js\"\ninstances = {instances}\n\
             max_surge = {instances}\nlisten_timeout = \"30s\"\n\
             kill_timeout = \"30s\"\n[apps.env]\nPORT = {port}\nSLOW_MS = {slow}\n"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    (home, port)
}

/// Complaint A2, with its numbers: an app without any handler, answers that take two seconds.
#[test]
fn twenty_reloads_lose_none_of_twenty_thousand_requests() {
    const REQUESTS: u64 = 20_000;
    let (home, port) = start_slow(2, 2000);
    let load = Load::on(port).fresh(4).keep_alive(8).slow(4);
    load.more(100);
    let before = pids(&home);
    for _ in 0..20 {
        home.rpm(["reload", "web"]).success();
    }
    load.reaches(REQUESTS);
    load.stop().is_clean(REQUESTS);
    all_replaced(&home, &before, port, 20);
}

#[test]
fn a_hundred_reloads_of_four_workers_lose_nothing() {
    let (home, port) = start_slow(4, 100);
    let load = Load::on(port).fresh(2).keep_alive(2).slow(2);
    load.more(100);
    let before = pids(&home);
    for _ in 0..100 {
        home.rpm(["reload", "web"]).success();
    }
    load.more(100);
    load.stop().is_clean(1000);
    all_replaced(&home, &before, port, 100);
}

fn loses_nothing(fixture: &str, load: impl Fn(u16) -> Load) {
    let (home, port) = (Home::new(), port());
    home.start_web(fixture, "2", port);
    let load = load(port);
    load.more(50);
    let before = pids(&home);
    for _ in 0..2 {
        home.rpm(["reload", "web"]).success();
    }
    load.more(50);
    load.stop().is_clean(100);
    all_replaced(&home, &before, port, 2);
}

#[test]
fn express_loses_nothing() {
    loses_nothing("express.js", |port| Load::on(port).fresh(3).keep_alive(3));
}

#[test]
fn a_node_module_loses_nothing() {
    loses_nothing("hello.mjs", |port| Load::on(port).fresh(3).keep_alive(3));
}

#[test]
fn an_app_with_a_handler_of_its_own_loses_nothing() {
    loses_nothing("sigterm-close.js", |port| Load::on(port).fresh(3).keep_alive(3));
}

#[test]
fn python_loses_nothing() {
    loses_nothing("server.py", |port| Load::on(port).fresh(3));
}

#[test]
fn a_native_program_loses_nothing() {
    let (home, port) = (Home::new(), port());
    let binary = compiled().display().to_string();
    let words = [&["start", &binary, "--name", "web", "-i", "2"][..], &AT_EASE].concat();
    home.rpm_under(&[], &words).env("PORT", port).success();
    let load = Load::on(port).fresh(4);
    load.more(50);
    let before = pids(&home);
    home.rpm(["reload", "web"]).success();
    load.more(50);
    load.stop().is_clean(100);
    all_replaced(&home, &before, port, 1);
}

#[test]
fn the_example_server_loses_nothing() {
    let (home, port) = (Home::new(), port());
    home.write("index.html", "{\"pid\": 1}");
    let words = ["serve", ".", &port.to_string(), "--name", "web", "-i", "2"];
    home.rpm(words).success();
    let load = Load::on(port).fresh(3).keep_alive(3);
    load.more(50);
    let before = pids(&home);
    home.rpm(["reload", "web"]).success();
    load.more(50);
    load.stop().is_clean(100);
    assert!(pids(&home).is_disjoint(&before));
}

/// Starts app.js from one fixture, then puts another in its place.
fn with_new_build(old: &str, new: &str, options: &[&str]) -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    let app = home.work().join("app.js");
    fs::copy(fixture(old), &app).unwrap();
    let words = [&["start", "app.js", "--name", "web", "-i", "2"], &AT_EASE[..], options].concat();
    home.rpm_under(&[], &words).env("PORT", port).success();
    fs::copy(fixture(new), &app).unwrap();
    (home, port)
}

#[test]
fn a_build_that_throws_leaves_every_old_worker_serving() {
    let (home, port) = with_new_build("slow.js", "throws.js", &[]);
    let before = home.pids("web");
    let load = Load::on(port).fresh(3).keep_alive(3).slow(1);
    load.more(50);
    home.rpm(["reload", "web"]).refused(&["the database password is missing, case 4711"]);
    load.more(100);
    assert_eq!(home.pids("web"), before);
    assert!(home.app("web").iter().all(App::is_online));
    fs::copy(fixture("slow.js"), home.work().join("app.js")).unwrap();
    home.rpm(["reload", "web"]).success();
    load.stop().is_clean(150);
    assert!(home.pids("web").iter().all(|pid| !before.contains(pid)));
}

#[test]
fn a_build_that_is_never_ready_leaves_every_old_worker_serving() {
    let (home, port) = with_new_build("talk.js", "never-ready.js", &["--wait-ready"]);
    let before = home.pids("web");
    let load = Load::on(port).fresh(2);
    home.rpm(["reload", "web", "--listen-timeout", "1000"]).refused(&["ready"]);
    load.more(50);
    load.stop().is_clean(50);
    assert_eq!(home.pids("web"), before);
}

#[test]
fn two_reloads_of_one_app_queue() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let load = Load::on(port).fresh(2).keep_alive(2);
    let first = home.rpm(["reload", "web"]).spawn();
    let second = home.rpm(["reload", "web"]).spawn();
    for reload in [first, second] {
        let output = reload.finish(LIMIT);
        assert_eq!(output.code, 0, "{output:?}");
    }
    load.stop().is_clean(1);
    assert_eq!(home.app("web").len(), 2);
    pids_answering(port, 2);
}

/// The events of a reload, oldest first, until it is done: `(instance, word)` of `words`.
fn told(home: &Home, app: &str, words: &[&str], act: impl FnOnce()) -> Vec<(u64, String)> {
    let deadline = Instant::now() + LIMIT;
    let mut events = Events::subscribe(home, deadline).expect("events");
    act();
    home.rpm(["reset", app]).success();
    let mut found = Vec::new();
    // What was told before an answer is there already.
    while let Next::Event(message) = events.next(Instant::now()) {
        let event = &message["params"]["event"];
        let word = event.as_str().or_else(|| event.as_object()?.keys().next().map(String::as_str));
        let instance = message["params"]["instance"].as_u64();
        if let (Some(word), Some(instance)) = (word.filter(|word| words.contains(word)), instance) {
            found.push((instance, word.to_owned()));
        }
    }
    found
}

#[test]
fn max_surge_workers_are_replaced_at_once() {
    for surge in [1, 2] {
        let (home, port) = (Home::new(), port());
        home.copy("hello.js");
        home.write(
            "ecosystem.toml",
            &format!(
                "[[apps]]\nname = \"web\"\nscript = \"hello.js\"\ninstances = 4\n\
                 max_surge = {surge}\nlisten_timeout = \"30s\"\n[apps.env]\nPORT = {port}\n"
            ),
        );
        home.rpm(["start", "ecosystem.toml"]).success();
        let words = ["reloading", "reloaded"];
        let told = told(&home, "web", &words, || drop(home.rpm(["reload", "web"]).success()));
        let mut under_way = 0;
        let counts = told.iter().map(|(_, word)| {
            under_way += if word == "reloading" { 1 } else { -1 };
            under_way
        });
        assert_eq!(counts.max(), Some(surge), "{told:?}");
        assert_eq!(told.len(), 8, "{told:?}");
    }
}

#[test]
fn reloads_of_two_apps_run_side_by_side() {
    let home = Home::new();
    let apps = ["web", "api"];
    for name in apps {
        home.copy("realtime.js");
        let words = ["start", "realtime.js", "--name", name, "-i", "1", "--drain-timeout", "60s"];
        let words = [&words[..], &AT_EASE].concat();
        home.rpm_under(&[], &words)
            .env("PORT", port())
            .env("NODE_PATH", node_modules().display())
            .success();
    }
    let events = home.rpm(["events", "--since", "0"]).spawn();
    // Each is kept from ending until the other has begun, by a client that goes on.
    let reloads = apps.map(|name| {
        let port = home.single(name).env("PORT").as_str().unwrap().parse().unwrap();
        let mut socket = WebSocket::open(port).expect("a WebSocket");
        socket.ask("hello").expect("an echo");
        (socket, home.rpm(["reload", name]).spawn())
    });
    events.until("both drain", |text| {
        apps.iter().all(|name| text.contains(&format!(" {name} ")) && drains(text, name))
    });
    for (socket, reload) in reloads {
        drop(socket);
        assert_eq!(reload.finish(LIMIT).code, 0);
    }
    events.interrupt();
}

fn drains(text: &str, app: &str) -> bool {
    text.lines().any(|line| line.contains(&format!(" {app} ")) && line.contains(" draining "))
}

#[test]
fn a_reload_whose_client_is_killed_is_finished() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "4", port);
    let before = pids(&home);
    let events = home.rpm(["events", "--since", "0"]).spawn();
    let reload = home.rpm(["reload", "web"]).spawn();
    events.until("it is half done", |text| text.contains("web 1 reloaded"));
    reload.process().kill();
    reload.finish(LIMIT);
    events.until("it is done", |text| text.contains("web 3 reloaded"));
    events.interrupt();
    all_replaced(&home, &before, port, 1);
}

#[test]
fn a_reload_that_is_interrupted_wedges_nothing() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let reload = home.rpm(["reload", "web"]).spawn();
    reload.process().kill();
    reload.finish(LIMIT);
    home.rpm(["reload", "web"]).success();
    assert_eq!(home.app("web").len(), 2);
    pids_answering(port, 2);
}

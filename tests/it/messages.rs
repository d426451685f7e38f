//! Messages: between apps and rpm in both directions, lines to standard input, signals; and apps
//! that talk too much.

use crate::harness::{App, Events, Home, LIMIT, Load, Next, pids_answering, port};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Without a port these apps serve nothing, and nobody shall wait for them to.
const SOON: &[&str] = &["--listen-timeout", "300"];

/// messages.js as `web`, ready to be talked with.
fn start(options: &[&str]) -> Home {
    let home = Home::new();
    home.copy("messages.js");
    let words = [&["start", "messages.js", "--name", "web"], SOON, options].concat();
    home.rpm_under(&[], &words).success();
    for app in home.app("web") {
        home.wait_for_line(&app.out_log(), "listening\n");
    }
    // Messages come another way than lines. What it offers is said before its greeting, which is an
    // event.
    let offers = |app: &App| {
        app.env("axm_actions").as_array().is_some_and(|actions| actions.len() == 2)
            && app.env("axm_monitor")["users"]["value"] == 3
    };
    home.wait_until("their offers are known", |apps| apps.iter().all(offers));
    home
}

/// Listens from now on: messages are not remembered.
fn listen(home: &Home) -> Events {
    Events::subscribe(home, Instant::now() + LIMIT).expect("events")
}

/// The next `count` messages of `app`, with the instance that sent each.
fn messages(events: &mut Events, app: &str, count: usize) -> Vec<(u64, Value)> {
    let mut found = Vec::new();
    while found.len() < count {
        let Next::Event(event) = events.next(Instant::now() + LIMIT) else {
            panic!("only {found:?}");
        };
        let event = &event["params"];
        let message = event["event"].get("message").filter(|_| event["app"] == app);
        found.extend(message.map(|said| (event["instance"].as_u64().expect("id"), said.clone())));
    }
    found
}

#[test]
fn any_json_goes_there_and_back() {
    for (options, worker) in [(["-i", "1"], json!(1)), (["-x", "--silent"], Value::Null)] {
        let home = start(&options);
        let mut events = listen(&home);
        let texts = [r#"{"json":1}"#, r#"[1,"two",null]"#, r#""word""#];
        for text in texts {
            let output = home.rpm(["send", "web", text]).success();
            assert!(output.stdout.starts_with("sent a message to web (0)\n"), "{output:?}");
        }
        let output = home.rpm(["send", "web", "--message", "7"]).success();
        assert!(output.stdout.starts_with("sent a message to web (0)\n"), "{output:?}");
        let wanted = [texts[0], texts[1], texts[2], "7"].map(|text| {
            let echo: Value = serde_json::from_str(text).unwrap();
            (0, json!({ "echo": echo, "worker": worker }))
        });
        assert_eq!(messages(&mut events, "web", 4), wanted);
    }
}

#[test]
fn custom_events_reach_who_listens() {
    let home = start(&["-i", "1"]);
    let mut events = listen(&home);
    home.rpm(["restart", "web"]).success();
    let greeting = json!({ "type": "greeting", "data": { "hello": "manager" } });
    assert_eq!(messages(&mut events, "web", 1), [(0, greeting)]);
}

#[test]
fn actions_are_triggered_and_figures_shown() {
    let home = start(&["-i", "2"]);
    let output = home.rpm(["trigger", "web", "add", "1,2,3"]).success();
    assert_eq!(output.stdout, "[web:0:default]={\"sum\":6}\n[web:1:default]={\"sum\":6}\n");
    assert_eq!(output.stderr, "2 processes have received command add\n");
    let output = home.rpm(["trigger", "1", "add"]).success();
    assert_eq!(output.stdout, "[web:1:default]={\"sum\":0}\n");
    let app = &home.app("web")[0];
    assert_eq!(app.env("axm_actions")[0]["action_name"], "add");
    let users = json!({ "value": 3, "unit": "users", "historic": true });
    assert_eq!(*app.env("axm_monitor"), json!({ "users": users }));
    let shown = home.rpm(["show", "0"]).success().stdout;
    assert!(shown.contains("│ add die ") && shown.contains("│ users: 3 users "), "{shown}");
    // What is offered outlives the daemon: an app says it once.
    home.daemon().kill();
    home.rpm(["trigger", "0", "add", "4"]).stdout("[web:0:default]={\"sum\":4}\n").success();
    home.rpm(["trigger", "web", "none"]).refused(&["no instance offers", "add, die"]);
    home.rpm(["trigger", "nobody", "add"]).refused(&["nobody"]);
    // One that ends does not let its asker wait.
    let begun = Instant::now();
    home.rpm(["trigger", "0", "die"]).refused(&["web 0 did not reply"]);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

/// Two workers of messages.js on a port.
fn two_servers() -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.copy("messages.js");
    let words = ["start", "messages.js", "--name", "web", "-i", "2", "--listen-timeout", "30s"];
    home.rpm(words).env("PORT", port).success();
    (home, port)
}

#[test]
fn a_worker_that_disconnects_is_replaced_and_nobody_refused() {
    let (home, port) = two_servers();
    let app = home.app("web")[0].clone();
    let load = Load::on(port).fresh(2);
    load.more(20);
    home.rpm(["send", "0", "\"leave\""]).success();
    home.wait_until("it is replaced", |apps| apps[0].pid() != app.pid() && apps[0].is_online());
    load.more(20);
    assert_eq!(load.stop().refused, 0);
    home.wait_for_line(&app.out_log(), "left true\n");
}

#[test]
fn a_worker_that_disconnected_has_its_share_again() {
    let (home, port) = two_servers();
    let before = home.app("web")[0].pid();
    home.rpm(["send", "0", "\"leave\""]).success();
    home.wait_until("it is replaced", |apps| apps[0].pid() != before && apps[0].is_online());
    assert_eq!(pids_answering(port, 2), home.pids("web").into_iter().collect());
}

#[test]
fn lines_are_said_to_standard_input() {
    for fixture in ["stdin.js", "stdin.py"] {
        let home = Home::new();
        home.copy(fixture);
        home.rpm(["start", fixture, "--name", "job"]).success();
        let log = home.single("job").out_log();
        home.wait_for_line(&log, "listening\n");
        home.rpm(["send", "0", "hello", "there"]).success();
        let output = home.rpm(["send", "job", "--line", "{\"a\":1}"]).success();
        assert!(output.stdout.starts_with("sent a line to job (0)\n"), "{output:?}");
        let text = home.wait_for_line(&log, "told {\"a\":1}\n");
        assert_eq!(text, "listening\ntold hello there\ntold {\"a\":1}\n", "{fixture}");
        // The pipe is the app's own: no daemon has to be there for it to stay.
        home.daemon().kill();
        home.rpm(["send", "0", "again"]).success();
        home.wait_for_line(&log, "told again\n");
        let attached = home.rpm(["attach", "0"]).stdin("typed\n").spawn();
        attached.until("what the app makes of it", |text| text.contains("told typed\n"));
        assert_eq!(attached.interrupt().code, 130);
    }
}

#[test]
fn what_cannot_be_said_is_refused() {
    let home = Home::new();
    home.copy("stdin.py");
    home.rpm(["start", "stdin.py", "--name", "job"]).success();
    home.rpm(["send", "job", "--message", "{}"]).refused(&["job 0", "channel"]);
    home.rpm(["send", "job", "--message", "{"]).refused(&["no JSON"]);
    home.rpm(["send", "nobody", "x"]).refused(&["nobody"]);
    home.rpm(["send", "job"]).refused_with(2, &["TEXT"]);
    home.rpm(["send", "job", "--line", "--message", "x"]).refused_with(2, &["cannot be used"]);
    let long = "x".repeat(100_000);
    home.rpm(["send", "job", &long]).refused(&["job 0", "took only"]);
    home.rpm(["sendSignal", "SIGNONE", "job"]).refused(&["SIGNONE"]);
    home.rpm(["stop", "job"]).success();
    home.rpm(["send", "job", "x"]).refused(&["job 0: it does not run"]);
    home.rpm(["sendSignal", "SIGUSR2", "job"]).refused(&["nothing runs"]);
}

#[test]
fn signals_reach_the_app() {
    let home = start(&["-i", "2"]);
    let output = home.rpm(["sendSignal", "SIGUSR2", "1"]).success();
    assert!(output.stdout.starts_with("sent SIGUSR2 to web (1)\n"), "{output:?}");
    home.wait_until("it died of it", |apps| apps[1].restarts() == 1 && apps[1].is_online());
    assert_eq!(home.app("web")[0].restarts(), 0);
}

#[test]
fn workers_that_flood_their_channels_harm_only_themselves() {
    let home = start(&["-i", "1"]);
    home.copy("flood.js");
    // All at once: messages, rubbish, and a line without an end.
    let kinds = ["messages", "rubbish", "endless"];
    for kind in kinds {
        let words = [&["start", "flood.js", "--name", kind, "-i", "1"], SOON].concat();
        home.rpm_under(&[], &words).env("KIND", kind).success();
    }
    let floods = kinds.map(|kind| home.app(kind)[0].clone());
    floods.iter().for_each(|flood| drop(home.wait_for_line(&flood.out_log(), "listening\n")));
    let mut events = listen(&home);
    let begun = Instant::now();
    for turn in 0..10 {
        home.rpm(["send", "web", &json!([turn]).to_string()]).success();
    }
    messages(&mut events, "web", 10);
    home.rpm(["reload", "web"]).success();
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    let daemon = std::fs::read_to_string(format!("/proc/{}/status", home.daemon().0)).unwrap();
    let resident = daemon.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 64 << 10, "the daemon has {kib} KiB");
    assert!(home.app("web").iter().all(App::is_online));
    for (kind, flood) in kinds.into_iter().zip(floods) {
        assert_eq!(home.app(kind)[0].pid(), flood.pid(), "{kind}");
    }
}

//! Cluster mode: several workers on one port, with the programs of the node:cluster tutorials.

use crate::harness::{
    AT_EASE, App, Home, Load, Process, Who, ask, compiled, get, pids_answering, port, who_answers,
};
use std::collections::BTreeSet;
use std::net::TcpListener;

fn pids(home: &Home, app: &str) -> BTreeSet<u32> {
    home.pids(app).into_iter().collect()
}

/// What `-i 2` must mean for a Node script: the workers rpm lists are those that answer.
fn two_workers(fixture: &str) -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.start_web(fixture, "2", port);
    assert_eq!(pids_answering(port, 2), pids(&home, "web"));
    (home, port)
}

#[test]
fn bare_http() {
    two_workers("hello.js");
}

#[test]
fn express() {
    two_workers("express.js");
}

#[test]
fn an_app_that_closes_its_server_on_sigterm() {
    let (home, port) = (Home::new(), port());
    home.copy("sigterm-close.js");
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"web\"\nscript = \"sigterm-close.js\"\ninstances = 2\n\
             stop_signal = \"SIGTERM\"\nlisten_timeout = 30000\nkill_timeout = 30000\n\
             [apps.env]\nPORT = {port}\n"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    let apps = home.app("web");
    assert_eq!(pids_answering(port, 2), pids(&home, "web"));
    home.rpm(["stop", "web"]).success();
    for app in apps {
        let text = home.wait_for_line(&app.out_log(), "closed\n");
        assert_eq!(text, "listening\nSIGTERM received: closing\nclosed\n");
    }
    let codes: Vec<_> = home.app("web").iter().map(App::exit_code).collect();
    assert_eq!(codes, [Some(0), Some(0)]);
}

#[test]
fn an_app_that_talks_to_its_manager() {
    let (home, port) = (Home::new(), port());
    home.copy("talk.js");
    let words =
        ["start", "talk.js", "--name", "web", "-i", "2", "--wait-ready", "--shutdown-with-message"];
    home.rpm_under(&[], &[&words[..], &AT_EASE].concat()).env("PORT", port).success();
    assert_eq!(pids_answering(port, 2), pids(&home, "web"));
    let apps = home.app("web");
    home.rpm(["stop", "web"]).success();
    for app in apps {
        let text = home.wait_for_line(&app.out_log(), "heard \"shutdown\"\n");
        assert_eq!(text, "listening, worker: true, connected: true\nheard \"shutdown\"\n");
    }
    assert!(home.app("web").iter().all(|app| app.exit_code() == Some(0)));
}

#[test]
fn an_app_with_its_own_cluster_keeps_it_in_fork_mode_and_dies_with_it() {
    let (home, port) = (Home::new(), port());
    home.copy("self-cluster.js");
    home.rpm(["start", "self-cluster.js", "--name", "web"]).env("PORT", port).success();
    let primary = home.single("web");
    home.wait_for_line(&primary.out_log(), "listening\nlistening\n");
    for who in who_answers(port, 2) {
        assert_eq!(Process(who.pid).parent(), Process(primary.pid()));
    }
    home.rpm(["stop", "web"]).success();
    home.apps_end();
    assert_eq!(home.single("web").status(), "stopped");
}

#[test]
fn an_app_with_its_own_cluster_finds_itself_a_worker_in_cluster_mode() {
    let (home, _) = two_workers("self-cluster.js");
    for app in home.app("web") {
        assert_eq!(home.wait_for_line(&app.out_log(), "listening\n"), "listening\n");
    }
}

#[test]
fn a_probe_of_the_port_before_listening_takes_no_connection() {
    two_workers("probe.js");
}

#[test]
fn a_killed_worker_leaves_nobody_refused() {
    for (fixture, count) in [("hello.js", "1"), ("server.py", "2")] {
        let (home, port) = (Home::new(), port());
        home.start_web(fixture, count, port);
        let load = Load::on(port).fresh(4);
        for _ in 0..3 {
            load.more(50);
            let victim = home.app("web")[0].clone();
            Process(victim.pid()).kill();
            home.wait_until("it is replaced", |apps| {
                apps[0].pid() != victim.pid() && apps.iter().all(App::is_online)
            });
        }
        load.more(50);
        let report = load.stop();
        assert_eq!(report.refused, 0, "{fixture}: {report:#?}");
        // Only what was inside the killed worker may be cut: at most one request of each client.
        assert!(report.failures <= 3 * 4, "{fixture}: {report:#?}");
    }
}

#[test]
fn scaling_under_load_loses_nothing() {
    let (home, port) = (Home::new(), port());
    home.start_web("slow.js", "2", port);
    let load = Load::on(port).fresh(2).keep_alive(2).slow(2);
    for count in ["4", "1", "+1", "3"] {
        load.more(50);
        home.rpm(["scale", "web", count]).success();
    }
    load.more(50);
    load.stop().is_clean(250);
    assert_eq!(home.app("web").len(), 3);
    assert_eq!(pids_answering(port, 3), pids(&home, "web"));
}

/// A group of one socket has a program of two in the kernel, if nobody takes it away.
#[test]
fn a_slot_that_comes_back_beside_a_single_one_has_its_share() {
    for fixture in ["hello.js", "server.py"] {
        let (home, port) = (Home::new(), port());
        home.start_web(fixture, "2", port);
        home.rpm(["scale", "web", "1"]).success();
        home.rpm(["scale", "web", "2"]).success();
        assert_eq!(pids_answering(port, 2), pids(&home, "web"), "{fixture}");
    }
}

#[test]
fn a_stopped_app_gives_its_port_back() {
    for fixture in ["hello.js", "server.py"] {
        let (home, port) = (Home::new(), port());
        home.start_web(fixture, "2", port);
        home.rpm(["stop", "web"]).success();
        TcpListener::bind(("0.0.0.0", port)).expect("the port is free");
        home.rpm(["start", "web"]).success();
        pids_answering(port, 2);
        home.rpm(["delete", "web"]).success();
        TcpListener::bind(("0.0.0.0", port)).expect("the port is free again");
    }
}

#[test]
fn a_server_that_stops_by_shutdown_does_not_take_the_port_with_it() {
    let (home, port) = (Home::new(), port());
    let binary = compiled().display().to_string();
    let words = ["start", &binary, "--name", "web", "-i", "2"];
    let words = [&words[..], &AT_EASE, &["--", "shutdown"]].concat();
    home.rpm_under(&[], &words).env("PORT", port).success();
    // shutdown(2) hits the replacement as well, before anybody can know: this one reload may fail,
    // and those who were hit end and are replaced, sooner or later.
    home.rpm(["reload", "web"]).output();
    home.wait_until("two serve again", |apps| {
        apps.iter().all(App::is_online) && all_answer(port, apps)
    });
}

/// Whether every one of these workers answers, and nobody else; no answer at all is no fault.
fn all_answer(port: u16, apps: &[App]) -> bool {
    let pids: BTreeSet<u32> = apps.iter().map(App::pid).collect();
    let ask = |_| Who::of(&get(port, "/").ok()?).ok();
    let answers: Option<BTreeSet<u32>> = (0..100).map(ask).map(|who| Some(who?.pid)).collect();
    answers == Some(pids)
}

#[test]
fn fork_mode_leaves_ports_alone() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    home.rpm(["start", "hello.js"]).env("PORT", port).success();
    home.wait_for_line(&home.single("hello").out_log(), "listening\n");
    assert_eq!(ask(port).pid, home.single("hello").pid());
}

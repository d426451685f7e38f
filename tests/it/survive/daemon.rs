//! `kill -9` of the daemon changes nothing for apps and their clients.

use super::{essence, is_complete, kill_daemon};
use crate::harness::{App, Home, Load, Process, pids_answering, port};
use std::fs;

#[test]
fn the_keeper_is_the_parent_of_daemon_and_apps() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    for pid in home.pids("web") {
        assert_eq!(Process(pid).parent(), home.keeper());
    }
    assert_ne!(home.daemon(), home.keeper());
}

#[test]
fn a_daemon_killed_under_load_costs_nothing() {
    let (home, port) = (Home::new(), port());
    home.start_web("slow.js", "2", port);
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "worker"]).success();
    home.rpm(["restart", "worker"]).success();
    home.rpm(["start", "streams.js", "--name", "idle"]).success();
    home.rpm(["stop", "idle"]).success();
    let (before, keeper, first) = (home.jlist(), home.keeper(), home.daemon());
    let load = Load::on(port).fresh(4).keep_alive(4).slow(2);
    for _ in 0..3 {
        load.more(50);
        kill_daemon(&home);
        // The command waits for the successor; it is not refused.
        assert_eq!(essence(&home.jlist()), essence(&before));
    }
    load.more(50);
    load.stop().is_clean(200);
    assert_eq!(home.keeper(), keeper);
    assert_ne!(home.daemon(), first);
}

#[test]
fn everything_works_with_the_next_daemon() {
    let (home, port) = (Home::new(), port());
    home.start_web("slow.js", "2", port);
    let before = home.pids("web");
    kill_daemon(&home);
    let load = Load::on(port).fresh(2).keep_alive(2);
    load.more(20);
    home.rpm(["reload", "web"]).success();
    home.rpm(["scale", "web", "3"]).success();
    load.more(20);
    load.stop().is_clean(40);
    let now = pids_answering(port, 3);
    assert!(before.iter().all(|pid| !now.contains(pid)), "{before:?} {now:?}");
    home.rpm(["stop", "web"]).success();
    home.apps_end();
}

#[test]
fn log_files_have_no_gap() {
    let home = Home::new();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    let log = home.single("app").out_log();
    for last in ["\ntick 300\n", "\ntick 600\n", "\ntick 900\n"] {
        home.wait_for_line(&log, last);
        kill_daemon(&home);
        home.jlist();
    }
    home.wait_for_line(&log, "\ntick 1500\n");
    home.rpm(["stop", "app"]).success();
    is_complete(&fs::read_to_string(&log).unwrap());
}

#[test]
fn a_worker_that_dies_beside_the_daemon_is_replaced() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let before = home.pids("web");
    home.daemon().kill();
    Process(before[0]).kill();
    let apps = home.wait_until("a replacement", |apps| {
        apps.len() == 2 && apps[0].pid() != before[0] && apps.iter().all(App::is_online)
    });
    assert_eq!((apps[0].restarts(), apps[1].pid()), (1, before[1]));
    assert_eq!(pids_answering(port, 2), apps.iter().map(App::pid).collect());
}

#[test]
fn a_crash_loop_still_ends_after_the_daemon_died() {
    let home = Home::new();
    home.copy("crash.js");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"app\"\nscript = \"crash.js\"\nrestart_delay = 200\nmax_restarts = 5\n",
    );
    home.rpm(["start", "ecosystem.toml"]).output();
    kill_daemon(&home);
    let apps = home.wait_until("it gives up", |apps| apps[0].status() == "errored");
    assert_eq!(apps[0].restarts(), 4);
}

#[test]
fn following_logs_go_on() {
    let home = Home::new();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    let logs = home.rpm(["logs", "app", "--raw", "--lines", "0"]).spawn();
    logs.until("a line", |text| text.contains("tick "));
    kill_daemon(&home);
    let next = home.wait_for_line(&home.single("app").out_log(), "tick ");
    let last = next.lines().count() + 500;
    logs.until("lines after the kill", |text| text.contains(&format!("\ntick {last}\n")));
    logs.interrupt();
}

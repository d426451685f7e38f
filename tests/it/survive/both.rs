//! Keeper and daemon killed together: apps wait, and the next command finds them.

use super::{essence, is_complete};
use crate::harness::{App, Home, LIMIT, Load, Process, pids_answering, port};
use std::{fs, thread};

/// Kills keeper and daemon once the ledger knows all apps, as online; neither can start the other.
pub(crate) fn kill_both(home: &Home) {
    let apps = home.jlist();
    let ledger = home.path().join("state/fleet.json");
    let online = apps.iter().filter(|app| app.is_online()).count();
    home.wait_for_times(&ledger, "{\"online\":{", online);
    for app in &apps {
        home.wait_for_line(&ledger, &format!("\"pid\":{},", app.pid()));
    }
    kill_pair(home);
}

/// Kills keeper and daemon, whatever the ledger knows.
pub(super) fn kill_pair(home: &Home) {
    let (keeper, daemon) = (home.keeper(), home.daemon());
    keeper.freeze();
    daemon.kill();
    assert!(daemon.ends_within(LIMIT));
    keeper.kill();
    assert!(keeper.ends_within(LIMIT));
}

#[test]
fn apps_wait_and_the_next_command_finds_them() {
    for program in ["slow.js", "server.py"] {
        let (home, port) = (Home::new(), port());
        home.start_web(program, "2", port);
        home.copy("ticker.js");
        home.rpm(["start", "ticker.js", "--name", "ticker"]).success();
        let before = home.jlist();
        let load = Load::on(port).fresh(4);
        for _ in 0..2 {
            load.more(50);
            kill_both(&home);
            load.more(50);
            assert_eq!(essence(&home.jlist()), essence(&before), "{program}");
        }
        assert_eq!(home.daemon().parent(), home.keeper());
        home.rpm(["reload", "web"]).success();
        home.rpm(["scale", "web", "3"]).success();
        load.more(50);
        let now = pids_answering(port, 3);
        assert!(before.iter().all(|app| !now.contains(&app.pid())), "{program}");
        load.stop().is_clean(200);
        home.rpm(["stop", "all"]).success();
        is_complete(&fs::read_to_string(before[2].out_log()).unwrap());
    }
}

#[test]
fn what_died_meanwhile_is_started_again_and_what_lives_is_not() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "3", port);
    let before = home.pids("web");
    kill_both(&home);
    Process(before[1]).kill();
    assert!(Process(before[1]).ends_within(LIMIT));
    home.rpm(["ping"]).success();
    let apps = home.wait_until("a replacement", |apps| apps.iter().all(App::is_online));
    let now: Vec<_> = apps.iter().map(App::pid).collect();
    assert_eq!((now[0], now[2]), (before[0], before[2]));
    assert_eq!((apps[1].restarts(), apps[1].exit_code()), (1, None));
    assert_eq!(pids_answering(port, 3), now.into_iter().collect());
    assert_eq!(home.app_processes().len(), 3);
}

#[test]
fn what_a_dead_leader_left_is_ended_before_its_successor_comes() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    home.write("wrapper.sh", "#!/bin/sh\nnode hello.js &\necho started\nwait\n");
    let words = ["start", "wrapper.sh", "--name", "web", "-i", "1", "--listen-timeout", "30s"];
    home.rpm(words).env("PORT", port).success();
    let leader = home.single("web").pid();
    let server = *pids_answering(port, 1).first().unwrap();
    kill_both(&home);
    Process(leader).kill();
    assert!(Process(leader).ends_within(LIMIT));
    home.rpm(["ping"]).success();
    home.wait_until("a replacement", |apps| apps[0].is_online() && apps[0].pid() != leader);
    assert!(Process(server).ends_within(LIMIT));
    assert!(!pids_answering(port, 1).contains(&server));
}

#[test]
fn kill_ends_survivors_too() {
    let home = Home::new();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    kill_both(&home);
    home.rpm(["kill"]).success();
    home.apps_end();
    assert!(!home.path().join("state/fleet.json").exists());
}

#[test]
fn twenty_commands_at_once_start_one_pair() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let before = essence(&home.jlist());
    kill_both(&home);
    thread::scope(|scope| {
        let asked: Vec<_> =
            (0..20).map(|_| scope.spawn(|| home.rpm(["jlist"]).success().apps())).collect();
        for apps in asked {
            assert_eq!(essence(&apps.join().unwrap()), before);
        }
    });
    let ours = home.processes().into_iter().map(Process::command);
    let roles: Vec<_> = ours.filter(|command| command.contains(" __")).collect();
    assert_eq!(roles.len(), 2, "{roles:?}");
}

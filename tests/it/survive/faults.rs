//! Every way in which a daemon can fail, at every bad moment.

use super::{daemon_of, essence, kill_daemon, kill_keeper};
use crate::harness::{App, Home, LIMIT, Load, Process, made, pids_answering, port};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

/// Exits 7 at SIGUSR1.
const EXITS_7: &str =
    "#!/bin/sh\ntrap 'exit 7' USR1\necho ready\nwhile :; do sleep 1000 & wait; done\n";

/// Ends the daemon by a signal and waits until its successor has settled.
fn crash(home: &Home, signal: Signal) {
    let daemon = home.daemon();
    let deadline = Instant::now() + LIMIT;
    daemon.signal(signal);
    // Rust looks at the first SIGSEGV, finds no fault of its own and dies of the next one; two that
    // come at once are one.
    while !daemon.ends_within(Duration::from_millis(200)) {
        assert!(Instant::now() < deadline, "{signal:?} does not end it");
        daemon.signal(signal);
    }
    home.rpm(["ping"]).success();
}

#[test]
fn a_daemon_that_crashes_costs_nothing() {
    let (home, port) = (Home::new(), port());
    home.start_web("slow.js", "2", port);
    let before = essence(&home.jlist());
    let load = Load::on(port).fresh(4).keep_alive(4).slow(2);
    for signal in [Signal::SEGV, Signal::ABORT] {
        load.more(50);
        crash(&home, signal);
        assert_eq!(essence(&home.jlist()), before);
    }
    load.stop().is_clean(100);
}

/// A real one, in whatever the daemon was about to do: a preloaded library has the clock fail once,
/// which Rust takes for impossible. Nothing of that is in rpm.
#[test]
fn a_panic_in_the_daemon_costs_nothing() {
    let library = made("panics.so", "c/panics.c", |source, target| {
        let flags = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"];
        Command::new("gcc").args(flags).arg(target).arg(source).arg("-ldl").status()
    });
    let (home, port) = (Home::new(), port());
    home.rpm(["ping"]).env("LD_PRELOAD", library.display()).success();
    home.start_web("slow.js", "2", port);
    let before = essence(&home.jlist());
    let load = Load::on(port).fresh(4).keep_alive(4).slow(2);
    for times in 1..=2 {
        load.more(50);
        let daemon = home.daemon();
        daemon.signal(Signal::USR1);
        // Whatever it does next needs the time.
        home.rpm(["ping"]).output();
        assert!(daemon.ends_within(LIMIT));
        home.rpm(["ping"]).success();
        assert_eq!(essence(&home.jlist()), before);
        let log = home.log();
        assert_eq!(log.matches("panicked at").count(), times, "{log}");
    }
    load.stop().is_clean(100);
}

#[test]
fn a_stopped_daemon_is_in_nobodys_way() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let before = essence(&home.jlist());
    let load = Load::on(port).fresh(4).keep_alive(4);
    let daemon = home.daemon();
    daemon.freeze();
    let since = Instant::now();
    let list = home.rpm(["ping"]).spawn();
    list.until_said("why", |text| text.contains("is stopped (state T)"));
    while since.elapsed() < Duration::from_secs(10) {
        load.more(100);
    }
    load.reaches(1000);
    daemon.signal(Signal::CONT);
    assert_eq!(list.finish(LIMIT).code, 0);
    assert_eq!((essence(&home.jlist()), home.daemon()), (before, daemon));
    load.stop().is_clean(1000);
}

#[test]
fn a_half_done_reload_is_finished() {
    let (home, port) = (Home::new(), port());
    home.start_web("slow.js", "3", port);
    let load = Load::on(port).fresh(4).keep_alive(2).slow(2);
    load.more(50);
    for step in [1, 2, 5] {
        let before = home.pids("web");
        let mut events = home.events();
        let reload = home.rpm(["reload", "web"]).spawn();
        (0..step).for_each(|_| events.happens());
        kill_daemon(&home);
        let output = reload.finish(LIMIT);
        assert!(output.code == 0 || output.stderr.contains("daemon"), "{output:?}");
        let settled = home.wait_until("three workers, one of each slot", |apps| {
            let mut slots: Vec<_> = apps.iter().map(App::slot).collect();
            slots.sort_unstable();
            slots == [0, 1, 2]
                && apps.iter().all(|app| app.is_online() && !before.contains(&app.pid()))
        });
        let now: BTreeSet<u32> = settled.iter().map(App::pid).collect();
        let mut others = home.app_processes();
        others.retain(|process| !now.contains(&process.0));
        assert!(others.iter().all(|process| process.ends_within(LIMIT)), "{others:?}");
        assert_eq!(home.app_processes().len(), 3);
        assert_eq!(pids_answering(port, 3), now);
    }
    load.stop().is_clean(100);
}

/// Has something die three times while fifty are started.
fn fifty_come_up_once(fault: impl Fn(&Home, Process)) {
    let home = Home::new();
    home.write("wait.sh", "#!/bin/sh\nexec sleep 1000\n");
    home.rpm(["ping"]).success();
    let (keeper, mut events) = (home.keeper(), home.events());
    let start = home.rpm(["start", "wait.sh", "--name", "many", "-i", "50"]).spawn();
    (0..7).for_each(|_| events.happens());
    (0..3).for_each(|_| fault(&home, keeper));
    start.finish(LIMIT);
    home.wait_until("fifty online", |apps| {
        apps.len() == 50 && apps.iter().all(|app| app.is_online() && app.restarts() == 0)
    });
    assert_eq!(home.app_processes().len(), 50);
}

#[test]
fn fifty_that_are_starting_all_come_up_once() {
    fifty_come_up_once(|home, keeper| {
        if let Some(daemon) = daemon_of(keeper) {
            daemon.kill();
        }
        home.rpm(["ping"]).success();
    });
}

/// Some were forked and not yet programs, or programs of which the daemon had not heard.
#[test]
fn fifty_that_are_starting_come_up_once_though_keepers_die() {
    fifty_come_up_once(|home, _| kill_keeper(home));
}

#[test]
fn an_app_that_dies_in_the_gap_is_restarted_with_its_true_exit_code() {
    let home = Home::new();
    home.write("seven.sh", EXITS_7);
    home.rpm(["start", "seven.sh", "--name", "app"]).success();
    let app = home.single("app");
    home.wait_for_line(&app.out_log(), "ready\n");
    kill_daemon(&home);
    Process(app.pid()).signal(Signal::USR1);
    let apps =
        home.wait_until("a replacement", |apps| apps[0].is_online() && apps[0].pid() != app.pid());
    assert_eq!((apps[0].restarts(), apps[0].exit_code()), (1, Some(7)));
}

#[test]
fn a_daemon_that_crashes_in_a_row_leaves_everything_alone_and_says_so() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let before = home.jlist();
    (0..3).for_each(|_| crash(&home, Signal::SEGV));
    let list = home.rpm(["jlist"]).success();
    assert!(list.stderr.contains("the daemon crashed three times"), "{list:?}");
    assert_eq!(essence(&list.apps()), essence(&before));
    home.rpm(["restart", "web"]).refused(&["safe mode", "rpm.log"]);
    assert!(home.path().join("state/set-aside.json").exists());
    assert_eq!(pids_answering(port, 2), before.iter().map(App::pid).collect());
    home.rpm(["kill"]).success();
}

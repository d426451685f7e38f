//! `rpm update`: keeper and daemon become the installed binary, and apps do not notice.

use super::{essence, is_complete, kill_daemon, kill_keeper, start_patient};
use crate::harness::{App, Home, LIMIT, Load, Process, pids_answering, port};
use rustix::process::Signal;
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const BINARY: &str = env!("CARGO_BIN_EXE_rpm");

/// Whether a process runs the file that is installed now.
fn runs_installed(home: &Home, process: Process) -> bool {
    process.executable() == home.root().join("rpm")
}

#[test]
fn twenty_updates_under_load_cost_nothing() {
    let (home, port) = (Home::with_own_binary(), port());
    home.start_web("slow.js", "2", port);
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "ticker"]).success();
    let (before, keeper) = (home.jlist(), home.keeper());
    let load = Load::on(port).fresh(3).keep_alive(3).slow(1);
    for _ in 0..20 {
        home.install(Path::new(BINARY));
        assert!(!runs_installed(&home, keeper));
        let daemon = home.daemon();
        let said = home.rpm(["update"]).success().text();
        assert!(said.contains("updated: "), "{said}");
        assert!(runs_installed(&home, keeper) && runs_installed(&home, home.daemon()));
        assert_ne!(home.daemon(), daemon);
        assert_eq!(essence(&home.jlist()), essence(&before));
        load.more(10);
    }
    assert_eq!(home.keeper(), keeper);
    load.stop().is_clean(200);
    home.rpm(["stop", "ticker"]).success();
    is_complete(&fs::read_to_string(before[2].out_log()).unwrap());
}

#[test]
fn everything_works_after_an_update() {
    let (home, port) = (Home::with_own_binary(), port());
    home.start_web("server.py", "2", port);
    home.install(Path::new(BINARY));
    home.rpm(["update"]).success();
    let before = home.pids("web");
    // Exit codes are as true as before, for the keeper has the same pid.
    Process(before[0]).signal(Signal::KILL);
    let apps =
        home.wait_until("a replacement", |apps| apps[0].is_online() && apps[0].pid() != before[0]);
    assert_eq!(apps[0].restarts(), 1);
    let load = Load::on(port).fresh(2);
    load.more(20);
    home.rpm(["reload", "web"]).success();
    home.rpm(["scale", "web", "3"]).success();
    kill_daemon(&home);
    assert_eq!(home.app("web").iter().filter(|app| app.is_online()).count(), 3);
    kill_keeper(&home);
    home.rpm(["update"]).success();
    home.rpm(["reload", "web"]).success();
    load.more(20);
    load.stop().is_clean(40);
    assert_eq!(pids_answering(port, 3), home.jlist().iter().map(App::pid).collect());
}

/// The next keeper and the next daemon know who was about to leave.
#[test]
fn a_reload_goes_on_after_an_update() {
    let (home, port) = (Home::with_own_binary(), port());
    start_patient(&home, port);
    let before = home.pids("web");
    let load = Load::on(port).fresh(4);
    load.more(20);
    let reload = home.rpm(["reload", "web"]).spawn();
    home.wait_for_log(|log| log.contains("Draining"));
    home.install(Path::new(BINARY));
    home.rpm(["update"]).success();
    let output = reload.finish(LIMIT);
    assert!(output.code == 0 || output.stderr.contains("daemon"), "{output:?}");
    let apps = home.wait_until("two others", |apps| {
        apps.len() == 2 && apps.iter().all(|app| app.is_online() && !before.contains(&app.pid()))
    });
    load.more(20);
    load.stop().is_clean(60);
    assert_eq!(pids_answering(port, 2), apps.iter().map(App::pid).collect());
}

#[test]
fn a_binary_that_cannot_go_on_changes_nothing() {
    let (home, port) = (Home::with_own_binary(), port());
    home.start_web("hello.js", "2", port);
    let (before, keeper, daemon) = (essence(&home.jlist()), home.keeper(), home.daemon());
    let script = |name: &str, text: &str| {
        let path = home.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let broken = [
        script("exits.sh", "#!/bin/sh\nexit 1\n"),
        script("garbage", "\u{7f}ELF and no more"),
        script("unlike.sh", "#!/bin/sh\nexit 0\n"),
        Path::new("/usr/bin/true").to_owned(),
        home.root().join("nowhere"),
    ];
    for program in broken {
        let refused = home.ask("update", &json!({"program": program}));
        assert!(
            refused["error"]["message"].as_str().unwrap().contains("cannot go on"),
            "{refused}"
        );
        assert_eq!((home.keeper(), home.daemon()), (keeper, daemon));
        assert_eq!(essence(&home.jlist()), before);
    }
}

#[test]
fn without_a_daemon_there_is_nothing_to_update() {
    let home = Home::new();
    home.rpm(["update"]).stderr("no daemon runs, so there is nothing to update\n").success();
}

/// B10: what a package manager puts in place counts from `rpm update` on, not from a crash on.
#[test]
fn a_daemon_that_dies_is_followed_by_one_of_the_same_program_though_the_file_is_another() {
    let home = Home::with_own_binary();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    let (keeper, pid) = (home.keeper(), home.single("app").pid());
    home.install(Path::new("/bin/false"));
    let former = home.daemon();
    former.kill();
    assert!(former.ends_within(LIMIT));
    home.wait_for_log(|log| log.matches("daemon ready").count() == 2);
    home.install(Path::new(env!("CARGO_BIN_EXE_rpm")));
    assert_eq!(home.single("app").pid(), pid);
    assert_eq!(home.daemon().parent(), keeper);
    assert!(home.daemon().executable().display().to_string().ends_with(" (deleted)"));
}

//! PM2's policies, where no other test has them: what a restart forgives, the clock, watching.

use super::{STAYS, script};
use crate::harness::{App, Home};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Ends at once while there is no file `good` beside it.
const NEEDS: &str = "#!/bin/sh\n[ -e good ] || exit 1\nread line\n";

#[test]
fn what_waits_can_be_restarted_and_a_restart_forgives() {
    let home = Home::new();
    script(&home, "needs.sh", NEEDS);
    home.write(
        "waits.json",
        "[{ name: 'grows', script: 'needs.sh', exp_backoff_restart_delay: 60000 },\n\
         { name: 'fixed', script: 'needs.sh', restartDelay: '1h' }]",
    );
    home.rpm(["start", "waits.json"]).output();
    let waits = |apps: &[App]| apps.iter().all(|app| app.status() == "waiting restart");
    home.wait_until("both wait", waits);
    // The pid that PM2 still has there makes its `restart` fail.
    home.write("good", "");
    home.rpm(["restart", "all"]).success();
    for app in home.jlist() {
        assert_eq!((app.status(), app.env("unstable_restarts")), ("online", &0.into()));
    }
    fs::remove_file(home.work().join("good")).unwrap();
    let grows = home.single("grows");
    assert_eq!(grows.env("prev_restart_delay"), 0);
}

#[test]
fn cron_is_ended_by_zero_and_kept_by_a_restart_without_a_word_of_it() {
    let home = Home::new();
    script(&home, "run.sh", STAYS);
    home.rpm(["start", "run.sh", "-c", "0 0 1 1 *"]).success();
    let pattern = || home.single("run").env("cron_restart").clone();
    home.rpm(["restart", "run"]).success();
    assert_eq!(pattern(), "0 0 1 1 *");
    home.rpm(["restart", "run", "--cron-restart", "0"]).success();
    assert!(pattern().is_null());
    home.write("zero.json", "[{ name: 'zero', script: 'run.sh', cron: 0 }]");
    home.rpm(["start", "zero.json"]).success();
    assert!(home.single("zero").env("cron_restart").is_null());
    home.rpm(["start", "run.sh", "-n", "x", "-c", "* * *"])
        .refused_with(2, &["--cron-restart", "* * *"]);
}

/// Waits until the daemon watches the files of `app`.
fn wait_for_watch(home: &Home, app: &str) {
    let line = format!("watching its files app={app} daemon={} ", home.daemon().0);
    home.wait_for_line(&home.path().join("rpm.log"), &line);
}

#[test]
fn what_is_said_of_watching_counts_when_it_is_switched_on_later() {
    let home = Home::new();
    script(&home, "run.sh", STAYS);
    for folder in ["a", "skipped"] {
        fs::create_dir(home.work().join(folder)).unwrap();
    }
    home.write(
        "watch.json",
        "[{ name: 'w', script: 'run.sh', watch: false, ignore_watch: ['skipped'],\n\
         watch_delay: 1, min_uptime: 100 }]",
    );
    home.rpm(["start", "watch.json"]).success();
    let of = |field: &str| home.single("w").env(field).clone();
    assert_eq!((of("watch"), of("ignore_watch")), (false.into(), json!(["skipped"])));
    home.rpm(["restart", "w", "--watch"]).success();
    assert_eq!((of("watch"), of("ignore_watch")), (true.into(), json!(["skipped"])));
    wait_for_watch(&home, "w");
    let before = home.single("w").restarts();
    home.write("skipped/x.js", "1");
    home.write("a/x.js", "1");
    home.wait_until("it was restarted", |apps| apps[0].restarts() > before && apps[0].is_online());
    let log = home.log();
    assert!(log.contains("a/x.js") && !log.contains("skipped/x.js"), "{log}");
}

#[test]
fn watch_waits_for_its_delay_and_follows_links_only_when_told() {
    let home = Home::new();
    script(&home, "run.sh", STAYS);
    for folder in ["a", "b", "behind"] {
        fs::create_dir(home.work().join(folder)).unwrap();
    }
    for folder in ["a", "b"] {
        std::os::unix::fs::symlink("../behind", home.work().join(folder).join("link")).unwrap();
    }
    home.write(
        "watch.json",
        "[{ name: 'a', script: 'run.sh', watch: ['a'], watch_delay: 700, min_uptime: 100 },\n\
         { name: 'b', script: 'run.sh', watch: 'b', watch_options: { followSymlinks: true },\n\
         min_uptime: 100 }]",
    );
    home.rpm(["start", "watch.json"]).success();
    for app in ["a", "b"] {
        wait_for_watch(&home, app);
    }
    let restarted = |app: &str, times: u64| {
        let of = |apps: &[App]| {
            apps.iter().any(|one| one.name() == app && one.restarts() >= times && one.is_online())
        };
        home.wait_until(&format!("{app} has restarted {times} times"), of);
    };
    // By one change: two might be two restarts.
    fs::rename(home.write("x.js", "1"), home.work().join("behind/x.js")).unwrap();
    restarted("b", 1);
    assert_eq!(home.single("a").restarts(), 0, "a link is not followed unless asked");
    let began = Instant::now();
    home.write("a/x.js", "1");
    restarted("a", 1);
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    assert_eq!(home.single("b").restarts(), 1);
}

fn git(folder: &Path, words: &[&str]) {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"])
        .args(words)
        .output();
    let output = output.expect("git");
    assert!(output.status.success(), "git {words:?}: {output:?}");
}

#[test]
fn post_update_runs_after_a_pull_and_its_failure_keeps_what_runs() {
    let home = Home::new();
    let (origin, clone) = (home.root().join("origin"), home.root().join("clone"));
    fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "-q", "-b", "main"]);
    let commit = |file: &str, text: &str| {
        fs::write(origin.join(file), text).unwrap();
        git(&origin, &["add", "."]);
        git(&origin, &["commit", "-qm", text]);
    };
    commit(
        "app.json",
        "[{ name: 'app', script: 'sleep 86480', stop_signal: 'TERM', min_uptime: 100,\n\
         post_update: ['cat version >> updated', 'test ! -e broken'] }]",
    );
    git(home.root(), &["clone", "-q", "origin", "clone"]);
    home.rpm(["start", "app.json"]).cwd(&clone).success();
    let first = home.single("app").pid();
    commit("version", "one");
    home.rpm(["pull", "app"]).success();
    assert_eq!(fs::read_to_string(clone.join("updated")).unwrap(), "one");
    let second = home.single("app").pid();
    assert_ne!(first, second);
    commit("broken", "two");
    let words = ["post_update \"test ! -e broken\" failed", "rpm reload app"];
    home.rpm(["pull", "app"]).refused(&words);
    assert_eq!(home.single("app").pid(), second);
}

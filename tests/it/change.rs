//! `start`, `restart` and `reload` of what exists, with options: PM2's words for changing an app.

use crate::harness::{AT_EASE, App, Home, LIMIT, pids_answering, port};

/// `one` in fork mode.
fn one() -> Home {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "one"]).success();
    home
}

#[test]
fn start_of_a_name_that_runs_restarts_it() {
    let home = one();
    let before = home.single("one");
    home.rpm(["start", "one"]).success();
    let after = home.single("one");
    assert_ne!(before.pid(), after.pid());
    assert_eq!((after.id(), after.restarts()), (0, 1));
}

#[test]
fn start_of_a_name_with_instances_makes_it_a_cluster() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    home.rpm(["start", "hello.js", "--name", "web"]).env("PORT", port).success();
    home.rpm_under(&[], &[&["start", "web", "-i", "3"][..], &AT_EASE].concat()).success();
    let apps = home.app("web");
    let seen: Vec<_> = apps.iter().map(|app| (app.id(), app.exec_mode(), app.status())).collect();
    let row = |id| (id, "cluster_mode", "online");
    assert_eq!(seen, [row(0), row(1), row(2)]);
    assert_eq!(pids_answering(port, 3), home.pids("web").into_iter().collect());
}

#[test]
fn options_and_arguments_of_a_restart_stay() {
    let home = one();
    let words = ["restart", "one", "--max-memory-restart", "300M", "-k", "5000", "--", "a", "b"];
    home.rpm(words).success();
    home.rpm(["restart", "one"]).success();
    let app = home.single("one");
    assert_eq!(app.env("max_memory_restart"), 300 << 20);
    assert_eq!(app.env("kill_timeout"), 5000);
    assert_eq!(app.env("args"), &serde_json::json!(["a", "b"]));
    assert_eq!((app.id(), app.restarts()), (0, 2));
}

#[test]
fn a_restart_renames() {
    let home = one();
    home.rpm(["start", "streams.js", "--name", "taken"]).success();
    home.rpm(["restart", "one", "--name", "taken"]).refused(&["taken", "exists"]);
    home.rpm(["restart", "all", "--name", "x"]).refused(&["x"]);
    home.rpm(["restart", "one", "--name", "two"]).success();
    let names: Vec<_> = home.jlist().iter().map(|app| (app.id(), app.name().to_owned())).collect();
    assert_eq!(names, [(0, "two".to_owned()), (1, "taken".to_owned())]);
    assert!(home.single("two").is_online());
    home.rpm(["stop", "one"]).refused(&["one"]);
    home.rpm(["delete", "two"]).success();
    home.rpm(["start", "streams.js", "--name", "two"]).success();
}

#[test]
fn a_renamed_app_survives_the_daemon() {
    let home = one();
    home.rpm(["restart", "one", "--name", "two"]).success();
    let (daemon, pid) = (home.daemon(), home.single("two").pid());
    daemon.kill();
    assert!(daemon.ends_within(crate::harness::LIMIT));
    assert_eq!(home.single("two").pid(), pid);
}

#[test]
fn an_update_of_the_environment_and_its_absence() {
    let home = Home::new();
    home.copy("environment.js");
    let start = ["start", "environment.js", "--name", "env", "--", "WHO"];
    home.rpm(start).env("WHO", "first").success();
    let log = home.single("env").out_log();
    // Each must have said it before it is replaced.
    let said = |times| home.wait_for_lines(&log, "WHO=", times);
    said(1);
    let restarts = [
        ("second", &["restart", "env"][..]),
        ("third", &["restart", "env", "--update-env"]),
        ("fourth", &["restart", "env", "-a", "-k", "2000"]),
        ("fifth", &["restart", "env", "-k", "1600"]),
    ];
    for (times, (who, words)) in (2..).zip(restarts) {
        home.rpm_under(&[], words).env("WHO", who).success();
        said(times);
    }
    assert_eq!(said(5), "WHO=first\nWHO=first\nWHO=third\nWHO=fourth\nWHO=fourth");
}

#[test]
fn a_reload_takes_options_and_refuses_no_connection() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let before = pids_answering(port, 2);
    home.rpm(["reload", "web", "--kill-timeout", "3s"]).success();
    let after = pids_answering(port, 2);
    assert!(before.is_disjoint(&after));
    assert!(home.app("web").iter().all(|app| app.env("kill_timeout") == 3000));
}

#[test]
fn start_or_restart_and_start_or_reload_of_a_file() {
    let home = Home::new();
    home.copy("streams.js");
    let file = |extra: &str| {
        let text = format!(r#"{{"apps": [{{"name": "a", "script": "streams.js"}}{extra}]}}"#);
        home.write("ecosystem.json", &text)
    };
    file("");
    home.rpm(["startOrRestart", "ecosystem.json"]).success();
    let first = home.single("a").pid();
    file(r#", {"name": "b", "script": "streams.js"}"#);
    home.rpm(["startOrReload", "ecosystem.json"]).success();
    let (second, b) = (home.single("a"), home.single("b"));
    assert!(second.pid() != first && second.is_online() && b.is_online());
    home.rpm(["startOrGracefulReload", "ecosystem.json"]).success();
    home.rpm(["startOrRestart", "ecosystem.json"]).success();
    let third = home.single("a");
    assert_ne!(third.pid(), second.pid());
    assert_eq!(home.jlist().iter().map(App::id).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn what_cannot_be_changed_so_is_refused_and_changes_nothing() {
    let home = one();
    let before = home.single("one").pid();
    home.rpm(["restart", "one", "--cwd", "/no/such/place"]).refused(&["/no/such/place"]);
    home.rpm(["start", "one", "--interpreter", "no-such"]).refused(&["no-such"]);
    home.rpm(["restart", "one", "-i", "banana"]).refused_with(2, &["banana"]);
    home.rpm(["restart", "onw", "-i", "2"]).refused(&["onw", "one"]);
    assert_eq!(home.single("one").pid(), before);
}

#[test]
fn a_start_beside_a_delete_begins_when_the_former_app_has_gone() {
    let home = Home::new();
    home.copy("ignores-sigint.js");
    let file = "[[apps]]\nname = \"a\"\nscript = \"ignores-sigint.js\"\nkill_timeout = 1500\n";
    home.write("ecosystem.toml", file);
    home.rpm(["start", "ecosystem.toml"]).success();
    let before = home.single("a");
    home.wait_for_line(&before.out_log(), "ready to ignore\n");
    let delete = home.rpm(["delete", "a"]).spawn();
    home.wait_for_line(&before.out_log(), "SIGINT ignored\n");
    home.rpm(["start", "ecosystem.toml"]).success();
    assert_eq!(delete.finish(LIMIT).code, 0);
    let after = home.single("a");
    assert!(after.is_online() && after.pid() != before.pid(), "{after:?}");
}

//! `doctor`: every check has a state and, where something is amiss, what to do.

use crate::harness::Home;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Areas and names of all checks, in order.
const CHECKS: [(&str, &str); 22] = [
    ("kernel", "release"),
    ("kernel", "pidfd"),
    ("kernel", "bind filter"),
    ("kernel", "port balancing"),
    ("kernel", "cgroup"),
    ("kernel", "memory limit"),
    ("kernel", "cpu limit"),
    ("kernel", "pids limit"),
    ("kernel", "yama"),
    ("limits", "open files"),
    ("limits", "processes"),
    ("limits", "pipes"),
    ("limits", "inotify"),
    ("home", "directory"),
    ("home", "files"),
    ("home", "disk"),
    ("daemon", "socket"),
    ("daemon", "answer"),
    ("daemon", "keeper"),
    ("boot", "unit"),
    ("boot", "linger"),
    ("boot", "saved list"),
];

/// The parsed output, whose whole shape is checked.
fn report(text: &str) -> Value {
    let report: Value = serde_json::from_str(text).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let mut worst = "ok";
    for (check, (area, name)) in checks.iter().zip(CHECKS) {
        let (state, found) = (check["state"].as_str().unwrap(), check["found"].as_str().unwrap());
        assert!(!found.is_empty(), "{check}");
        // Something to do is told exactly where something is amiss.
        let todo = if state == "ok" { Value::Null } else { check["todo"].as_str().unwrap().into() };
        let whole =
            json!({ "area": area, "name": name, "state": state, "found": found, "todo": todo });
        assert_eq!(check, &whole);
        worst = match (worst, state) {
            ("broken", _) | (_, "broken") => "broken",
            ("warning", _) | (_, "warning") => "warning",
            (other, "ok") => other,
            (_, other) => panic!("{other} in {check}"),
        };
    }
    assert_eq!(report, json!({ "state": worst, "checks": checks }));
    assert_eq!(checks.len(), CHECKS.len());
    report
}

fn check<'a>(report: &'a Value, area: &str, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["area"] == area && check["name"] == name).unwrap()
}

#[test]
fn it_looks_and_starts_nothing() {
    let home = Home::new();
    let report = report(&home.rpm(["doctor", "--json"]).stderr("").success().stdout);
    assert_eq!(
        check(&report, "daemon", "answer")["found"],
        "none runs; the first command starts it"
    );
    assert!(!home.path().exists());
}

#[test]
fn it_tells_who_answers_and_what_others_may_read() {
    let home = Home::new();
    home.rpm(["ls"]).success();
    let report = report(&home.rpm(["doctor", "--json"]).success().stdout);
    let found = |area, name| check(&report, area, name)["found"].clone();
    let (version, pid) = (env!("CARGO_PKG_VERSION"), home.daemon().0);
    assert_eq!(found("daemon", "answer"), format!("version {version}, pid {pid}"));
    assert_eq!(found("daemon", "socket"), "$ROOT/home/rpm.sock, for its owner only");
    assert_eq!(found("home", "directory"), "$ROOT/home, mode 0700");
    assert_eq!(found("home", "files"), "for their owner only");
    let log = home.path().join("rpm.log");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644)).unwrap();
    let text = home.rpm(["doctor"]).success().stdout;
    assert!(text.contains("to do: chmod go= $ROOT/home/rpm.log\n"), "{text}");
}

#[test]
fn what_stops_rpm_is_an_exit_code() {
    let home = Home::new();
    fs::write(home.path(), "").unwrap();
    let output = home.rpm(["doctor", "--json"]).stderr("").exits(1);
    let report = report(&output.stdout);
    assert_eq!(check(&report, "home", "directory")["found"], "$ROOT/home is not a directory");
    assert_eq!(report["state"], "broken");
    fs::remove_file(home.path()).unwrap();
}

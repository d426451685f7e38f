//! The keys about files: where output goes, in which form, and where the pid is.

use super::{has, script};
use crate::harness::{App, Home};
use std::{fs, path::Path};

const FILE: &str = r#"{ apps: [
    { name: "own", script: "say.sh", out_file: "logs/o.log", error_file: "logs/e.log",
      log_file: "all.log" },
    { name: "two", script: "say.sh", instances: 2, exec_mode: "fork", output: "two.log",
      err: "two-error.txt" },
    { name: "merged", script: "say.sh", instances: 2, exec_mode: "fork", combine_logs: true,
      out: "merged.log", out_file: null },
    { name: "named", script: "say.sh", instances: 2, exec_mode: "fork", merge_logs: true,
      out_log: "named-{instance}.log" },
    { name: "mute", script: "say.sh", disable_logs: true, log: true },
    { name: "null", script: "say.sh", out_file: "NULL", error_file: "/dev/null" },
    { name: "both", script: "say.sh", log: true },
    { name: "json", script: "say.sh", log_type: "json" },
    { name: "dated", script: "say.sh", log_date_format: "[at] YYYY" },
    { name: "timed", script: "say.sh", time: true, log_date_format: "YYYY" },
    { name: "pid", script: "say.sh", instances: 2, exec_mode: "fork", pid_file: "run/p.pid" },
    { name: "slots", script: "say.sh", pid: "run/s{instance}" },
] }"#;

/// Says a line on each stream and stays.
const SAYS: &str = "#!/bin/sh\necho out\necho error >&2\nread line\n";

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_key_of_output_is_seen_in_files() {
    let home = Home::new();
    script(&home, "say.sh", SAYS);
    home.write("output.json", FILE);
    home.rpm(["start", "output.json"]).success();
    let (work, logs) = (home.work(), home.path().join("logs"));
    let instances = |name: &str| -> Vec<String> {
        home.app(name).iter().map(|app| app.id().to_string()).collect()
    };
    for app in home.jlist() {
        let path = app.out_log();
        if path != Path::new("/dev/null") {
            home.wait_for_line(&path, "out");
            // Where there is a file of errors, it has come by now or comes.
            let error = app.error_log();
            if error != Path::new("/dev/null") {
                home.wait_for_line(&error, "error");
            }
        }
    }

    assert_eq!(text(&work.join("logs/o.log")), "out\n");
    assert_eq!(text(&work.join("logs/e.log")), "error\n");
    let all = home.wait_for_lines(&work.join("all.log"), "", 2);
    let mut all: Vec<&str> = all.lines().collect();
    all.sort_unstable();
    assert_eq!(all, ["error", "out"]);
    for id in instances("two") {
        assert_eq!(text(&work.join(format!("two-{id}.log"))), "out\n");
    }
    // Its owner chose the whole name.
    home.wait_for_lines(&work.join("two-error.txt"), "error", 2);
    home.wait_for_lines(&work.join("merged.log"), "out", 2);
    home.wait_for_lines(&logs.join("both.log"), "", 2);
    for slot in 0..2 {
        assert_eq!(text(&work.join(format!("named-{slot}.log"))), "out\n");
    }
    let of = |name: &str| -> Vec<String> {
        let all = fs::read_dir(&logs).unwrap().map(|one| one.unwrap().file_name());
        let all = all.map(|one| one.to_string_lossy().into_owned());
        let mut all: Vec<String> = all.filter(|one| one.starts_with(name)).collect();
        all.sort_unstable();
        all.retain(|one| one.ends_with(".log"));
        all
    };
    assert_eq!(of("mute"), [""; 0]);
    assert_eq!(of("null"), [""; 0]);
    assert_eq!(of("both"), ["both-error.log", "both-out.log", "both.log"]);

    let json = home.wait_for_lines(&home.single("json").out_log(), "{", 1);
    let line: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((line["message"].as_str(), line["type"].as_str()), (Some("out"), Some("out")));
    assert_eq!(line["app_name"], "json");
    let line = |name: &str| home.wait_for_line(&home.single(name).out_log(), "out");
    let (dated, timed) = (line("dated"), line("timed"));
    let year: u32 = dated.strip_prefix("at ").and_then(|line| line[..4].parse().ok()).unwrap();
    assert_eq!(dated, format!("at {year}: out\n"));
    // `time` wins: 2026-11-21T17:18:50.
    assert!(
        timed.starts_with(&format!("{year}-")) && timed.len() == "0000-00-00T00:00:00: out\n".len()
    );

    let pid_of = |app: &App| app.pid().to_string();
    for app in home.app("pid") {
        assert!(has(&work.join(format!("run/p-{}.pid", app.id())), &pid_of(&app)));
    }
    assert!(has(&work.join("run/s0"), &pid_of(&home.single("slots"))));
    home.rpm(["restart", "slots", "--pid", "run/t.pid"]).success();
    let slots = home.single("slots");
    let moved = work.join(format!("run/t-{}.pid", slots.id()));
    assert!(has(&moved, &pid_of(&slots)) && !work.join("run/s0").exists());
    home.rpm(["delete", "pid", "slots"]).success();
    assert_eq!(fs::read_dir(work.join("run")).unwrap().count(), 0, "they go with their processes");
}

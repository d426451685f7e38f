//! What becomes of an app's lines on their way: frames, files, rotation, full disks, collectors.

use crate::harness::{Home, LIMIT, wait_for};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// A home with an app that wrote `lines` numbered lines and a line on standard error, and ended.
fn ended(rules: &str, lines: u32) -> Home {
    let home = Home::new();
    home.copy("lines.js");
    let table = format!(
        "[[apps]]\nname = \"app\"\nscript = \"lines.js\"\nargs = \"{lines} throw\"\n\
         autorestart = false\n{rules}\n"
    );
    home.write("ecosystem.toml", &table);
    home.rpm(["start", "ecosystem.toml"]).output();
    home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    home
}

fn logs(home: &Home, name: &str) -> PathBuf {
    home.path().join("logs").join(name)
}

fn text(home: &Home, name: &str) -> String {
    fs::read_to_string(logs(home, name)).unwrap_or_default()
}

/// Waits until a log has this line, or one that begins so.
fn until(home: &Home, name: &str, line: &str) -> String {
    home.wait_for_line(&logs(home, name), line)
}

#[test]
fn each_line_is_an_object_of_both_streams() {
    let home = ended("log_type = \"json\"", 20);
    until(&home, "app-error.log", "after the last line");
    let lines: Vec<Value> = text(&home, "app-out.log")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert_eq!(lines.len(), 20);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["message"], format!("line {}", number + 1));
        assert_eq!((&line["type"], &line["app_name"]), (&"out".into(), &"app".into()));
        assert_eq!(line["process_id"], 0);
        assert_eq!(line["timestamp"].as_str().map(str::len), Some(24));
    }
    let errors = text(&home, "app-error.log");
    let types = errors.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert!(types.map(|line| line["type"].clone()).all(|stream| stream == "err"));
    // The death quotes what was said, not what became of it.
    let shown = home.rpm(["show", "app", "--json"]).success();
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let said = shown.to_string();
    assert!(said.contains("after the last line"), "{said}");
    assert!(!said.contains("\\\"message\\\":"), "{said}");
}

#[test]
fn a_time_before_each_line_and_both_streams_in_one_more_file() {
    let home = ended("log_date_format = \"YYYY [y]\"\nlog_file = true", 3);
    let expected = |both: &str| -> String {
        (1..=3).map(|number| format!("{} y: line {number}\n", &both[..4])).collect()
    };
    let both = wait_for(&logs(&home, "app.log"), "both streams", |both| {
        both.contains("after the last line") && both.contains(&expected(both))
    });
    let year = &both[..4];
    assert_eq!(text(&home, "app-out.log"), expected(&both));
    let errors = text(&home, "app-error.log");
    assert!(errors.lines().all(|line| line.starts_with(&format!("{year} y: "))), "{errors}");
}

#[test]
fn a_long_log_is_rotated_and_the_oldest_files_go() {
    let rules = "rotate = { max_size = \"64K\", keep = 3, compress = false }";
    let home = ended(rules, 40_000);
    fs::write(logs(&home, "my-app-out.log.2020-01-01_00-00-00.000"), "mine\n").unwrap();
    let entries = fs::read_dir(home.path().join("logs")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("app-out.log"));
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    names.rotate_left(1);
    let all: String = names.iter().map(|name| text(&home, name)).collect();
    for name in &names {
        assert!(logs(&home, name).metadata().unwrap().len() <= 64 << 10);
    }
    let count = all.lines().count();
    let expected: String = (40_001 - count..=40_000).map(|n| format!("line {n}\n")).collect();
    assert!(count > 10_000 && all == expected, "{count} lines");
}

#[test]
fn rotated_files_are_compressed() {
    let home = ended("rotate = { max_size = \"64K\", keep = 3 }", 12_000);
    let directory = home.path().join("logs");
    let packed = |_: &str| {
        let mut entries = fs::read_dir(&directory).unwrap();
        entries.any(|entry| entry.unwrap().file_name().to_str().unwrap().ends_with(".gz"))
    };
    wait_for(&logs(&home, "app-out.log"), "a compressed file", packed);
}

#[test]
fn framed_lines_have_no_gap_when_the_daemon_is_killed() {
    let home = Home::new();
    home.copy("ticker.js");
    let table = "[[apps]]\nname = \"app\"\nscript = \"ticker.js\"\nlog_type = \"json\"\n\
                 rotate = { max_size = \"32K\", keep = 1000, compress = false }\n";
    home.write("ecosystem.toml", table);
    home.rpm(["start", "ecosystem.toml"]).success();
    let log = home.single("app").out_log();
    for _ in 0..3 {
        home.wait_for_line(&log, "\"message\":\"tick ");
        let daemon = home.daemon();
        daemon.kill();
        assert!(daemon.ends_within(LIMIT));
        home.jlist();
    }
    home.rpm(["stop", "app"]).success();
    home.rpm(["kill"]).success();
    let entries = fs::read_dir(home.path().join("logs")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("app-out.log"));
    paths.sort();
    paths.rotate_left(1);
    let all: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for (number, line) in all.lines().enumerate() {
        let line: Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!(line["message"], format!("tick {}", number + 1));
    }
}

#[test]
fn an_outside_logrotate_is_told_by_command_or_signal() {
    let home = Home::new();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    let log = home.single("app").out_log();
    home.wait_for_line(&log, "tick ");
    fs::rename(&log, log.with_extension("moved")).unwrap();
    home.rpm(["reloadLogs"]).stdout("").stderr("log files are open anew\n").success();
    home.wait_for_line(&log, "tick ");
    fs::rename(&log, log.with_extension("again")).unwrap();
    home.daemon().signal(rustix::process::Signal::USR2);
    home.wait_for_line(&log, "tick ");
    home.rpm(["stop", "app"]).success();
    let all = ["moved", "again", "log"].map(|end| log.with_extension(end));
    let all: String = all.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let expected: String = (1..=all.lines().count()).map(|n| format!("tick {n}\n")).collect();
    assert_eq!(all, expected);
}

#[test]
fn a_full_disk_is_an_alarm_and_no_reason_to_stop() {
    let home = Home::new();
    home.copy("ticker.js");
    let words = ["start", "ticker.js", "--name", "app", "-o", "/dev/full"];
    home.rpm(words).success();
    home.wait_for_line(&home.path().join("rpm.log"), "log lines are dropped");
    let shown = home.rpm(["show", "app"]).success();
    assert!(shown.stdout.contains("log bytes lost"), "{shown:#?}");
    assert!(shown.stdout.contains("a file takes nothing"), "{shown:#?}");
    let listed = home.rpm(["ls"]).success();
    assert_eq!(listed.stderr, "warning: a log file of app takes nothing: rpm show 0\n");
    assert_eq!(home.single("app").status(), "online");
}

#[test]
fn lines_are_shipped_to_syslog_too() {
    let home = Home::new();
    let path = home.root().join("syslog");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    home.copy("streams.js");
    let table = format!(
        "[[apps]]\nname = \"app\"\nscript = \"streams.js\"\nlog_ship = [\"syslog:{}\"]\n",
        path.display()
    );
    home.write("ecosystem.toml", &table);
    home.rpm(["start", "ecosystem.toml"]).success();
    let mut found = Vec::new();
    for _ in 0..2 {
        let mut bytes = [0; 1000];
        let count = socket.recv(&mut bytes).expect("a message");
        found.push(String::from_utf8_lossy(&bytes[..count]).into_owned());
    }
    found.sort();
    assert!(found[0].starts_with("<27>1 ") && found[0].ends_with(" app 0 err - to stderr"));
    assert!(found[1].starts_with("<30>1 ") && found[1].ends_with(" app 0 out - to stdout"));
    assert_eq!(until(&home, "app-out.log", "\n"), "to stdout\n");
}

#[test]
fn rules_that_say_nothing_are_refused() {
    let home = Home::new();
    home.copy("streams.js");
    for (rule, words) in [
        ("log_type = \"xml\"", ["log_type", "xml"]),
        ("log_full = \"panic\"", ["log_full", "drop"]),
        ("log_mode = \"0007\"", ["log_mode", "octal"]),
        ("rotate = { size = \"1M\" }", ["rotate", "max_size"]),
        ("rotate = { interval = \"weekly\" }", ["rotate.interval", "daily"]),
        ("log_ship = \"sylog\"", ["log_ship", "syslog+udp:HOST:PORT"]),
        ("log_group = \"nobody-has-it\"", ["log_group", "nobody-has-it"]),
    ] {
        let table = format!("[[apps]]\nname = \"app\"\nscript = \"streams.js\"\n{rule}\n");
        home.write("ecosystem.toml", &table);
        home.rpm(["start", "ecosystem.toml"]).refused(&words);
    }
    assert!(home.jlist().is_empty());
}

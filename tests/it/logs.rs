//! `rpm logs`, and that no line is lost.

use crate::harness::{App, Home, get, port};
use std::fs;
use std::path::Path;

const LINES: usize = 20_000;

fn lines_before(end: &str) {
    let home = Home::new();
    home.copy("lines.js");
    let count = LINES.to_string();
    let words = ["start", "lines.js", "--name", "lines", "--no-autorestart", "--", &count, end];
    // It ends during its start, which may well be told as a failure.
    home.rpm(words).output();
    home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    let expected: String = (1..=LINES).map(|number| format!("line {number}\n")).collect();
    let app = home.single("lines");
    let found = fs::read_to_string(app.out_log()).unwrap();
    assert_eq!(found.len(), expected.len(), "the end: {:?}", found.lines().last());
    assert!(found == expected, "the lines differ");
    let thrown = fs::read_to_string(app.error_log()).unwrap();
    assert_eq!(thrown.contains("after the last line"), end == "throw", "{thrown}");
}

#[test]
fn twenty_thousand_lines_and_exit() {
    lines_before("exit");
}

#[test]
fn twenty_thousand_lines_and_a_throw() {
    lines_before("throw");
}

#[test]
fn twenty_thousand_lines_and_sigkill() {
    lines_before("kill");
}

/// One app that has printed a line on each stream.
fn streams(home: &Home) -> App {
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "app"]).success();
    let app = home.single("app");
    home.wait_for_line(&app.out_log(), "to stdout");
    home.wait_for_line(&app.error_log(), "to stderr");
    app
}

#[test]
fn files_are_under_the_home_and_named_as_pm2_does() {
    let home = Home::new();
    let app = streams(&home);
    let logs = home.path().join("logs");
    assert_eq!(app.out_log(), logs.join("app-out.log"));
    assert_eq!(app.error_log(), logs.join("app-error.log"));
    home.rpm(["start", "streams.js", "--name", "two", "-i", "2"]).success();
    let found: Vec<_> = home.app("two").iter().map(App::out_log).collect();
    assert_eq!(found, [logs.join("two-out-1.log"), logs.join("two-out-2.log")]);
}

#[test]
fn without_following_it_shows_both_streams_with_prefixes() {
    let home = Home::new();
    streams(&home);
    let output = home.rpm(["logs", "--nostream"]).success();
    for line in ["to stdout", "to stderr"] {
        let found = output.stdout.lines().find(|found| found.contains(line));
        let found = found.unwrap_or_else(|| panic!("no {line:?} in {output:#?}"));
        assert!(found.starts_with("0|app"), "{found}");
        assert!(found.ends_with(&format!("| {line}")), "{found}");
    }
    assert!(!output.stdout.contains('\u{1b}'), "{output:?}");
}

#[test]
fn raw_out_and_err_choose() {
    let home = Home::new();
    streams(&home);
    let raw = home.rpm(["logs", "app", "--nostream", "--raw", "--out"]);
    raw.stdout("to stdout\n").stderr("").success();
    let raw = home.rpm(["logs", "app", "--nostream", "--raw", "--err"]).success();
    assert_eq!(raw.text(), "to stderr\n");
    let out = home.rpm(["logs", "app", "--nostream", "--out"]).success();
    assert!(out.stdout.contains("to stdout") && !out.text().contains("to stderr"), "{out:?}");
    let err = home.rpm(["logs", "app", "--nostream", "--err"]).success();
    assert!(err.stdout.contains("to stderr") && !err.text().contains("to stdout"), "{err:?}");
}

#[test]
fn lines_chooses_how_many_and_the_default_is_15() {
    let home = Home::new();
    home.copy("lines.js");
    let words = ["start", "lines.js", "--name", "app", "--no-autorestart", "--", "40", "exit"];
    home.rpm(words).output();
    home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    let last = |count: usize| -> String {
        (41 - count..=40).map(|number| format!("line {number}\n")).collect()
    };
    let raw = home.rpm(["logs", "app", "--nostream", "--raw", "--out", "--lines", "3"]).success();
    assert_eq!(raw.stdout, last(3));
    let raw = home.rpm(["logs", "app", "--nostream", "--raw", "--out"]).success();
    assert_eq!(raw.stdout, last(15));
    let raw =
        home.rpm(["logs", "app", "--nostream", "--raw", "--out", "--lines", "1000"]).success();
    assert_eq!(raw.stdout, last(40));
}

#[test]
fn following_shows_what_comes_and_ends_with_ctrl_c() {
    let (home, port) = (Home::new(), port());
    home.start_web("express.js", "2", port);
    let logs = home.rpm(["logs", "web", "--lines", "100"]).spawn();
    logs.until("the past", |text| text.matches("listening").count() == 2);
    for round in 1..=3 {
        get(port, "/").expect("an answer");
        logs.until("the present", |text| text.matches("request answered").count() == round);
    }
    let output = logs.interrupt();
    assert!(matches!(output.code, 0 | 130), "{output:?}");
    assert_eq!(output.stderr, "");
}

#[test]
fn following_goes_on_over_a_restart_and_a_flush() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "1", port);
    let logs = home.rpm(["logs", "web", "--raw"]).spawn();
    logs.until("the start", |text| text.matches("listening").count() == 1);
    home.rpm(["restart", "web"]).success();
    logs.until("the restart", |text| text.matches("listening").count() == 2);
    home.rpm(["flush"]).success();
    home.rpm(["restart", "web"]).success();
    logs.until("what came after the flush", |text| text.matches("listening").count() == 3);
    logs.interrupt();
}

#[test]
fn a_stopped_logs_command_costs_the_app_nothing() {
    let home = Home::new();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    let logs = home.rpm(["logs", "app", "--raw"]).spawn();
    logs.until("a line", |text| text.contains("tick "));
    logs.process().signal(rustix::process::Signal::STOP);
    home.wait_for_line(&home.single("app").out_log(), "\ntick 1000\n");
    logs.process().signal(rustix::process::Signal::CONT);
    logs.until("the lines it slept through", |text| text.contains("\ntick 1000\n"));
    logs.interrupt();
}

#[test]
fn flush_empties_the_files() {
    let home = Home::new();
    let app = streams(&home);
    home.rpm(["flush", "app"]).success();
    let length = |path: &Path| path.metadata().unwrap().len();
    assert_eq!((length(&app.out_log()), length(&app.error_log())), (0, 0));
    // Not a gap of NULs: the writer goes on at the new end.
    home.rpm(["restart", "app"]).success();
    home.wait_for_line(&app.out_log(), "to stdout");
    assert_eq!(fs::read_to_string(app.out_log()).unwrap(), "to stdout\n");
}

#[test]
fn an_unknown_target_is_an_error() {
    let home = Home::new();
    streams(&home);
    home.rpm(["logs", "apq", "--nostream"]).refused(&["apq", "app"]);
}

#[test]
fn prefixes_have_colours_on_a_terminal_only() {
    let home = Home::new();
    streams(&home);
    let shown = home.on_terminal(80, &["logs", "--nostream"]).success();
    assert!(shown.stdout.contains('\u{1b}'), "{shown:?}");
    let plain = home.on_terminal(80, &["logs", "--nostream"]).env("NO_COLOR", "1").success();
    assert!(!plain.stdout.contains('\u{1b}'), "{plain:?}");
    assert_eq!(home.app("app").len(), 1);
}

#[test]
fn a_crash_is_told_with_its_last_lines() {
    let home = Home::new();
    home.copy("throws.js");
    // Who is slow to throw is not taken for ready meanwhile.
    let words = "start throws.js --name app --no-autorestart --wait --listen-timeout 30s";
    let output = home.rpm_under(&[], &words.split(' ').collect::<Vec<_>>()).exits(1);
    assert!(output.stderr.contains("case 4711"), "{output:#?}");
}

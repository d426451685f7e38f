//! `rpm logs` while files grow, are moved, emptied and removed, daemons die and readers sleep.

use crate::harness::{Home, Process};
use std::fs;
use std::path::Path;

/// The numbers of the lines `tick N`, those not finished yet left out.
fn ticks(text: &str) -> Vec<u32> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| line.rsplit_once("tick ")?.1.parse().ok()).collect()
}

fn has(text: &str, number: u32) -> bool {
    ticks(text).last().is_some_and(|last| *last >= number)
}

/// Each number exactly once, in order, from 1.
fn complete(text: &str) {
    let found = ticks(text);
    let want: Vec<u32> = (1..=found.len() as u32).collect();
    assert!(found == want, "not 1..={}: {:?}", found.len(), odd_one(&found));
}

fn odd_one(found: &[u32]) -> Option<&[u32]> {
    found.windows(2).find(|pair| pair[0] + 1 != pair[1])
}

/// `app`, which prints a numbered line each millisecond.
fn ticking(home: &Home) -> std::path::PathBuf {
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    home.single("app").out_log()
}

#[test]
fn the_past_and_the_present_meet_without_gap_or_repetition() {
    let home = Home::new();
    let log = ticking(&home);
    home.wait_for_line(&log, "\ntick 100\n");
    let running = home.rpm(["logs", "app", "--raw", "--lines", "1000000"]).spawn();
    complete(&running.until("later lines", |text| has(text, 500)));
    running.interrupt();
}

#[test]
fn following_goes_on_when_the_daemon_is_killed() {
    let home = Home::new();
    ticking(&home);
    let running = home.rpm(["logs", "app", "--raw", "--lines", "1000000"]).spawn();
    let mut number = 100;
    for _ in 0..3 {
        running.until("more lines", |text| has(text, number));
        let daemon = home.daemon();
        daemon.kill();
        number += 400;
    }
    complete(&running.until("lines of the last daemon", |text| has(text, number)));
    running.interrupt();
}

#[test]
fn following_goes_on_when_the_file_is_renamed_emptied_or_removed() {
    let home = Home::new();
    let log = ticking(&home);
    let running = home.rpm(["logs", "app", "--raw", "--lines", "1000000"]).spawn();
    running.until("lines", |text| has(text, 100));
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    let before = running.until("lines of the renamed file", |text| has(text, 300));
    complete(&before);
    // A restart opens the path again.
    home.rpm(["restart", "app"]).success();
    let restarted = |text: &str| ticks(text).windows(2).any(|pair| pair[1] == 1);
    let text = running.until("lines of the new file", |text| restarted(text) && has(text, 200));
    let (_, after) = text.rsplit_once("\ntick 1\n").unwrap();
    complete(&format!("tick 1\n{after}"));
    fs::remove_file(&log).unwrap();
    running.until("lines of the removed file", |text| has(text, 500));
    home.rpm(["flush", "app"]).success();
    home.rpm(["restart", "app"]).success();
    running.until("lines after all", |text| text.matches("\ntick 1\n").count() >= 2);
    running.interrupt();
}

#[test]
fn an_app_that_starts_goes_and_comes_again_is_shown() {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "first"]).success();
    let running = home.rpm(["logs"]).spawn();
    running.until("that it follows", |text| text.contains("to stderr"));
    home.rpm(["start", "streams.js", "--name", "second"]).success();
    running.until("the second", |text| text.contains("1|second  | to stdout"));
    home.rpm(["delete", "second"]).success();
    home.rpm(["start", "streams.js", "--name", "second"]).success();
    running.until("the second again", |text| text.contains("2|second  | to stdout"));
    home.rpm(["restart", "first"]).success();
    running.until("the first", |text| text.contains("0|first   | to stderr"));
    running.until("rpm", |text| text.contains("rpm       | "));
    running.interrupt();
}

#[test]
fn programs_are_told_what_happens_among_the_lines() {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "app"]).success();
    let running = home.rpm(["logs", "app", "--json"]).spawn();
    running.until("that it follows", |text| text.contains("to stdout"));
    home.rpm(["restart", "app"]).success();
    let text = running.until("all", |text| {
        text.contains("\"exit\"")
            && text.contains("\"online\"")
            && text.matches("to stdout").count() == 2
    });
    let (whole, _) = text.rsplit_once('\n').unwrap();
    for line in whole.lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!(object["app_name"], "app", "{line}");
        assert!(["out", "err", "process_event"].contains(&object["type"].as_str().unwrap()));
    }
    running.interrupt();
}

/// Resident memory in KiB, without the parts of the program's file, which come as they are used.
fn resident(process: Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0)).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Complaint C1: PM2's daemon grew by gigabytes behind one suspended reader.
#[test]
fn a_suspended_reader_costs_the_daemon_no_memory_and_the_file_no_line() {
    let home = Home::new();
    const LAST: u64 = 1_500_000;
    // It floods when it is told to.
    home.write("gate.sh", &format!("mkfifo gate; echo ready; read go < gate; exec seq 1 {LAST}\n"));
    home.rpm(["start", "gate.sh", "--name", "app", "--no-autorestart"]).success();
    let log = home.single("app").out_log();
    let running = home.rpm(["logs", "app", "--raw"]).spawn();
    running.until("that it is there", |text| text.contains("ready"));
    running.process().freeze();
    let before = resident(home.daemon());
    fs::write(home.work().join("gate"), "go\n").unwrap();
    home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    let after = resident(home.daemon());
    assert!(after < before + 2048, "{before} KiB before, {after} KiB after");
    running.process().kill();
    let whole = home.rpm(["logs", "app", "--raw", "--nostream", "--lines", "1000000000"]).success();
    let mut lines = whole.stdout.lines();
    assert_eq!(lines.next(), Some("ready"));
    let wrong = lines.zip(1..=LAST).find(|(line, number)| **line != number.to_string());
    assert_eq!(wrong, None);
    assert_eq!(whole.stdout.lines().count() as u64, LAST + 1, "{}", size(&log));
    running.finish(crate::harness::LIMIT);
}

fn size(log: &Path) -> u64 {
    log.metadata().unwrap().len()
}

/// Complaint D1, at its hundred runs: all lines of every one, and its trace.
fn hundred(end: &str, reason: &str) {
    let home = Home::new();
    home.copy("lines.js");
    // Not all at once: each is a Node.
    for count in [33, 33, 34] {
        at_once(&home, count, (end, reason));
        home.rpm(["flush"]).success();
        home.rpm(["delete", "a"]).success();
    }
}

fn at_once(home: &Home, count: usize, (end, reason): (&str, &str)) {
    let text = count.to_string();
    let words = [
        "start",
        "lines.js",
        "--name",
        "a",
        "-x",
        "-i",
        &text,
        "--no-autorestart",
        "--",
        "20000",
        end,
    ];
    home.rpm(words).output();
    home.wait_until("all ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    let want: String = (1..=20_000).map(|number| format!("line {number}\n")).collect();
    let apps = home.app("a");
    assert_eq!(apps.len(), count);
    for app in apps {
        let found = fs::read_to_string(app.out_log()).unwrap();
        assert!(found == want, "{}: {} bytes of {}", app.id(), found.len(), want.len());
    }
    let shown = home.rpm(["show", "a"]).success().stdout;
    assert_eq!(shown.matches(&format!("Ended: {reason}")).count(), count, "{shown}");
    let traces = shown.matches("| Error: after the last line").count();
    assert_eq!(traces, if end == "throw" { count } else { 0 });
}

#[test]
fn a_hundred_exits_lose_nothing() {
    hundred("exit", "with code 3");
}

#[test]
fn a_hundred_throws_lose_nothing() {
    hundred("throw", "with code 1");
}

#[test]
fn a_hundred_kills_lose_nothing() {
    hundred("kill", "by SIGKILL");
}

/// The lines below `Ended:` of each death, newest first.
fn deaths(home: &Home) -> Vec<Vec<String>> {
    let shown = home.rpm(["show", "app"]).success().stdout;
    let deaths = shown.split("Ended: ").skip(1);
    deaths
        .map(|death| death.lines().skip(1).map(|line| line.trim_start().to_owned()).collect())
        .collect()
}

#[test]
fn the_last_words_of_each_death_outlive_the_daemon() {
    let home = Home::new();
    home.write(
        "dies.sh",
        "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $1 $i >&2; done; exit 4\n",
    );
    for name in ["first", "second"] {
        let words = ["start", "dies.sh", "--name", "app", "--no-autorestart", "-f", "--", name];
        home.rpm(words).output();
        home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    }
    home.rpm(["start", "app"]).output();
    home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    let lines = |count: u32| -> Vec<String> {
        (61 - count..=60).map(|number| format!("| second {number}")).collect()
    };
    let want = deaths(&home);
    assert_eq!(want.first(), Some(&lines(50)));
    assert!(want.iter().skip(1).all(|death| death.len() == 10), "{want:?}");
    home.daemon().kill();
    assert_eq!(deaths(&home), want);
}

#[test]
fn flush_empties_at_once_what_is_written_and_what_was_rotated() {
    let home = Home::new();
    let log = ticking(&home);
    let name = log.file_name().unwrap().to_str().unwrap();
    let rotated = log.with_file_name(format!("{name}.2026-11-21_10-00-00.000"));
    let other = log.with_file_name(format!("my-{name}.2026-11-21_10-00-00.000"));
    for path in [&rotated, &other] {
        fs::write(path, "old\n").unwrap();
    }
    home.wait_for_line(&log, "\ntick 100\n");
    let emptied = "emptied $ROOT/home/logs/app-error.log\nemptied $ROOT/home/logs/app-out.log\n";
    home.rpm(["flush", "app"]).stdout(emptied).stderr("").success();
    assert!(!rotated.exists() && other.exists());
    let found = home.wait_for_line(&log, "tick ");
    assert!(!found.contains("\ntick 100\n") && !found.contains('\0'), "{found}");
    home.rpm(["flush", "apq"]).refused(&["apq", "app"]);
}

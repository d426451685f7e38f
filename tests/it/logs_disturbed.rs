//! Logs while their files are rotated, truncated and moved under reader and writer, and while their
//! disk is full.

use crate::harness::{Home, Output, Process, wait_for};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The numbers of the lines `tick N`; a last line that is not finished is left out.
fn ticks(text: &str) -> Vec<u32> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| line.strip_prefix("tick ").unwrap().parse().unwrap()).collect()
}

fn has(text: &str, number: u32) -> bool {
    ticks(text).last().is_some_and(|last| *last >= number)
}

/// Two numbers beside each other that are not neighbours.
fn gap(found: &[u32]) -> Option<&[u32]> {
    found.windows(2).find(|pair| pair[0] + 1 != pair[1])
}

/// Each number exactly once, in order, from 1.
fn complete(text: &str) {
    let found = ticks(text);
    assert_eq!((found.first(), gap(&found)), (Some(&1), None));
}

/// `app`, which prints a numbered line each millisecond, under these rules.
fn ticking(home: &Home, rules: &str) -> PathBuf {
    home.copy("ticker.js");
    started(home, rules)
}

/// The same of whatever ticker.js is there.
fn started(home: &Home, rules: &str) -> PathBuf {
    let table = format!("[[apps]]\nname = \"app\"\nscript = \"ticker.js\"\n{rules}\n");
    home.write("ecosystem.toml", &table);
    home.rpm(["start", "ecosystem.toml"]).success();
    home.single("app").out_log()
}

/// The files that were rotated away from a log.
fn rotated(log: &Path) -> Vec<String> {
    let name = format!("{}.2", log.file_name().unwrap().to_str().unwrap());
    let entries = fs::read_dir(log.parent().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|found| found.starts_with(&name)).collect()
}

#[test]
fn a_reader_follows_through_rotations_without_gap_or_repetition() {
    let home = Home::new();
    let log = ticking(&home, "rotate = { max_size = \"4K\", keep = 1000 }");
    let running = home.rpm(["logs", "app", "--raw", "--lines", "1000000"]).spawn();
    complete(&running.until("lines of many files", |text| has(text, 3000)));
    running.interrupt();
    assert!(rotated(&log).len() >= 5, "{:?}", rotated(&log));
    home.rpm(["stop", "app"]).success();
    let all = home.rpm(["logs", "app", "--raw", "--nostream", "--lines", "1000000"]).success();
    complete(&all.stdout);
}

#[test]
fn a_file_truncated_by_another_program_goes_on_without_a_hole() {
    let home = Home::new();
    // So much at once, and then so little, that the file is not as long again before the reader
    // looks.
    home.write(
        "ticker.js",
        "let number = 0; const tick = () => `tick ${(number += 1)}\\n`;\n\
         process.stdout.write(Array.from({ length: 20000 }, tick).join(''));\n\
         setInterval(() => process.stdout.write(tick()), 5);\n",
    );
    let log = started(&home, "rotate = false");
    let running = home.rpm(["logs", "app", "--raw", "--lines", "1000000"]).spawn();
    running.until("lines", |text| has(text, 20_000));
    // logrotate's copytruncate.
    fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    let last = *ticks(&running.stdout()).last().unwrap();
    let text = running.until("lines after it", |text| has(text, last + 300));
    running.interrupt();
    home.rpm(["stop", "app"]).success();
    // What was cut off unread is gone; nothing is there twice, and the file has no zeros.
    let shown = ticks(&text);
    assert!(shown.is_sorted_by(|one, other| one < other), "{:?}", gap(&shown));
    let found = fs::read_to_string(&log).unwrap();
    assert!(!found.contains('\0'));
    assert_eq!(gap(&ticks(&found)), None);
}

#[test]
fn a_reader_follows_when_another_program_rotates() {
    let home = Home::new();
    let log = ticking(&home, "rotate = false");
    let running = home.rpm(["logs", "app", "--raw", "--lines", "1000000"]).spawn();
    for round in 1..=3 {
        // Of each file the reader has seen something before that is renamed.
        let first = home.wait_for_lines(&log, "tick ", 1);
        let first: u32 = first.strip_prefix("tick ").unwrap().parse().unwrap();
        running.until("lines", |text| has(text, first + 300));
        fs::rename(&log, log.with_extension(format!("log.{}", 9 - round))).unwrap();
        home.rpm(["reloadLogs"]).success();
    }
    let first = home.wait_for_lines(&log, "tick ", 1);
    let first: u32 = first.strip_prefix("tick ").unwrap().parse().unwrap();
    complete(&running.until("lines of the last file", |text| has(text, first + 300)));
    running.interrupt();
}

/// A file system of its own in memory, of a few MiB; `None`: only root may make one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "rpm-test"])
            .arg(folder.path())
            .output();
        let done = mounted.is_ok_and(|output| output.status.success());
        if !done {
            eprintln!("skipped: no tmpfs can be mounted here");
        }
        done.then_some(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}

/// `app`, which prints `seq LAST` when it is told to, and then `after` when it is told again.
fn flooding(home: &Home, disk: &Disk, last: u32, full: &str) -> PathBuf {
    let script = format!(
        "mkfifo gate; echo ready; read go < gate; seq 1 {last}; echo done >&2; \
         read go < gate; echo after; exec sleep 1000\n"
    );
    home.write("flood.sh", &script);
    let log = disk.path("app.log");
    let table = format!(
        "[[apps]]\nname = \"app\"\nscript = \"flood.sh\"\nrotate = false\nlog_full = \"{full}\"\n\
         out_file = \"{}\"\n",
        log.display()
    );
    home.write("ecosystem.toml", &table);
    home.rpm(["start", "ecosystem.toml"]).success();
    home.wait_for_line(&log, "ready\n");
    log
}

fn open_gate(home: &Home) {
    fs::write(home.work().join("gate"), "go\n").unwrap();
}

fn errors(home: &Home) -> PathBuf {
    home.path().join("logs/app-error.log")
}

/// Resident memory in KiB.
fn resident(process: Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0)).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn lost(shown: &Output) -> u64 {
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    shown[0]["dropped_log_bytes"].as_u64().unwrap()
}

/// Complaint C1 at its worst: an app at full speed, a reader that sleeps, a disk that is full.
#[test]
fn a_flood_onto_a_full_disk_with_a_sleeping_reader_is_counted_and_costs_nothing() {
    const LAST: u32 = 3_000_000;
    let Some(disk) = Disk::new("1m") else { return };
    let home = Home::new();
    let log = flooding(&home, &disk, LAST, "drop");
    let reader = home.rpm(["logs", "app", "--raw"]).spawn();
    reader.until("that it is there", |text| text.contains("ready"));
    reader.process().freeze();
    let events = home.rpm(["events", "app", "--since", "0"]).spawn();
    open_gate(&home);
    home.wait_for_line(&home.path().join("rpm.log"), "log lines are dropped");
    events.until("the alarm", |text| {
        text.contains("app 0 log_dropping {\"reason\":\"No space left on device (os error 28)\"}\n")
    });
    let listed = home.rpm(["ls"]).success();
    assert_eq!(listed.stderr, "warning: a log file of app takes nothing: rpm show 0\n");
    home.wait_for_line(&errors(&home), "done\n");
    assert!(resident(home.daemon()) < 30 << 10, "{} KiB", resident(home.daemon()));
    assert_eq!(home.single("app").status(), "online");
    // There is room again, and it goes on by itself.
    let kept = log.metadata().unwrap().len();
    fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    open_gate(&home);
    home.wait_for_line(&log, "after\n");
    events.until("that it is over", |text| text.contains("app 0 log_recovered\n"));
    events.process().kill();
    events.finish(crate::harness::LIMIT);
    let written: u64 = (1..=LAST).map(|number| u64::from(number.ilog10()) + 2).sum::<u64>()
        + "ready\n".len() as u64;
    // The last ones may have waited in the pipe until there was room.
    let found = fs::read_to_string(&log).unwrap();
    let late = found.strip_suffix("after\n").unwrap();
    assert!(late.is_empty() || late.ends_with(&format!("\n{LAST}\n")), "{late}");
    let lost = lost(&home.rpm(["show", "app", "--json"]).success());
    assert_eq!(lost, written - kept - late.len() as u64);
    reader.process().kill();
    reader.finish(crate::harness::LIMIT);
}

#[test]
fn an_app_waits_for_a_full_disk_and_loses_nothing() {
    const LAST: u32 = 600_000;
    let Some(disk) = Disk::new("6m") else { return };
    let home = Home::new();
    fs::write(disk.path("filler"), vec![b'x'; 5 << 20]).unwrap();
    let log = flooding(&home, &disk, LAST, "block");
    let events = home.rpm(["events", "app", "--since", "0"]).spawn();
    open_gate(&home);
    home.wait_for_line(&home.path().join("rpm.log"), "it waits for its log");
    events.until("the alarm", |text| text.contains("app 0 log_blocked {\"reason\":\"No space"));
    assert_eq!(home.single("app").status(), "online");
    assert_eq!(fs::read_to_string(errors(&home)).unwrap_or_default(), "");
    fs::remove_file(disk.path("filler")).unwrap();
    events.until("that it is over", |text| text.contains("app 0 log_recovered\n"));
    events.process().kill();
    events.finish(crate::harness::LIMIT);
    home.wait_for_line(&errors(&home), "done\n");
    let last = format!("\n{LAST}\n");
    let found = wait_for(&log, &last, |text| text.ends_with(&last));
    let wrong =
        found.lines().skip(1).zip(1..).find(|(line, n): &(&str, u32)| **line != n.to_string());
    assert_eq!((found.lines().next(), wrong), (Some("ready"), None));
    assert_eq!(lost(&home.rpm(["show", "app", "--json"]).success()), 0);
}

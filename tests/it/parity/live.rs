//! Commands that go on: what they print meanwhile, and how they end.

use super::manager::{Kind, Manager};
use super::{Seen, both, differences, settle};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::process::Command;

/// Says one line on each stream, again and again.
const TICKS: &str = "setInterval(() => { console.log('tick'); console.error('tock') }, 50)";

/// All but a line that is still being written.
fn finished(text: &str) -> &str {
    text.rsplit_once('\n').map_or("", |(whole, _)| whole)
}

/// Whether `line` has `word` whole: the app's name begins with one.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric()).any(|found| found == word)
}

/// The lines that a following command prints, digits made equal, and the code it exits with.
fn followed(manager: &Manager, words: &[&str]) -> String {
    let running = manager.command(words).spawn();
    let is_raw = words.contains(&"--raw") && !words.contains(&"--json");
    let says = |text: &str, word: &str| has_word(finished(text), word);
    running.until("a tick", |text| says(text, "tick") && (is_raw || says(text, "tock")));
    if is_raw {
        running.until_said("a tock", |text| says(text, "tock"));
    }
    let output = running.interrupt();
    let whole = |text: &str| -> BTreeSet<String> {
        let says_one = |line: &&str| has_word(line, "tick") || has_word(line, "tock");
        let lines = finished(text).lines().filter(says_one);
        // The width of prefixes is each one's own.
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.map(|line| words(line).replace(|c: char| c.is_ascii_digit(), "0")).collect()
    };
    format!("{:?} {:?} {}", whole(&output.stdout), whole(&output.stderr), output.code)
}

fn streams(manager: &Manager) -> Seen {
    std::fs::write(manager.path("ticks.js"), TICKS).expect("ticks.js");
    manager.run(&["start", "ticks.js"]);
    let mut seen = Seen::new();
    for line in [
        "logs",
        "logs ticks --lines 0",
        "logs 0 --raw --lines 0",
        "logs --json --lines 0",
        "logs ticks --json --lines 0",
        "logs ticks --raw --json --lines 0",
        "logs ticks --format --lines 0",
        "logs default --lines 0",
        "logs ticks --timestamp --lines 0",
        "logs ticks --timestamp YY/MM --lines 0",
        "restart ticks --attach",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        seen.insert(line.to_owned(), followed(manager, &words));
    }
    seen.insert("list --watch".into(), watched(manager));
    seen
}

/// Whether the list came twice, and the code its end has.
fn watched(manager: &Manager) -> String {
    let running = manager.command(&["list", "--watch"]).spawn();
    running.until("two lists", |text| text.matches("online").count() > 1);
    format!("twice, {}", running.interrupt().code)
}

#[test]
fn logs_follow_as_under_pm2_in_each_form() {
    let [pm2, rpm] = both(streams);
    settle("live.", &differences("live.streams", &pm2, &rpm));
}

/// What is typed to an app, and what it answers.
fn attached(manager: &Manager) -> Seen {
    manager.run(&["start", "stdin.js", "-n", "s"]);
    // PM2's ends badly where its input ends.
    let typed = manager.path("typed");
    assert!(Command::new("mkfifo").arg(&typed).status().unwrap().success());
    let script = "exec \"$0\" \"$@\" <>typed";
    let running = manager.command_under(&["sh", "-c", script], &["attach", "0"]).spawn();
    File::options().write(true).open(typed).unwrap().write_all(b"typed\n").unwrap();
    running.until("what the app makes of it", |text| text.contains("told typed"));
    let code = running.interrupt().code;
    let unknown = manager.run(&["attach", "nobody"]).code;
    Seen::from([("attach".into(), code.to_string()), ("unknown".into(), unknown.to_string())])
}

#[test]
fn an_app_is_talked_with_on_its_standard_input() {
    let [pm2, rpm] = both(attached);
    settle("attach.", &differences("attach.lines", &pm2, &rpm));
}

/// The output of an app in the foreground, until SIGINT.
fn foreground(manager: &Manager) -> Seen {
    std::fs::write(manager.path("ticks.js"), TICKS).expect("ticks.js");
    manager.run(&["kill"]);
    let running = manager.command(&["start", "ticks.js", "--no-daemon"]).spawn();
    running.until("a tick", |text| text.lines().any(|line| line.ends_with("| tick")));
    let code = running.interrupt().code;
    if manager.kind() == Kind::Rpm {
        assert_eq!(manager.run(&["kill"]).stdout, "no daemon runs\n", "what it started is gone");
    }
    Seen::from([("interrupted".into(), code.to_string())])
}

#[test]
fn an_app_runs_in_the_foreground_without_a_daemon() {
    let [pm2, rpm] = both(foreground);
    settle("foreground.", &differences("foreground.start", &pm2, &rpm));
}

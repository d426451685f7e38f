//! `rpm logs`, option by option, against logs whose lines and times the test wrote itself.

use crate::harness::{Home, Output};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// 2026-11-21T10:00:00Z in milliseconds since the epoch.
const TEN: u64 = 1_795_255_200_000;

/// Writes a log with its time index (`docs/log-files.md`): lines, and milliseconds after ten.
fn write(log: &Path, lines: &[(u64, &str)]) {
    let mut file = File::options().append(true).create(true).open(log).unwrap();
    file.set_len(0).unwrap();
    let owner = file.metadata().unwrap();
    let mut index = b"rpmtime1".to_vec();
    index.extend(owner.dev().to_le_bytes());
    index.extend(owner.ino().to_le_bytes());
    let mut offset = 0_u64;
    for (at, line) in lines {
        index.extend(&offset.to_le_bytes()[..6]);
        index.extend(&(TEN + at).to_le_bytes()[..6]);
        file.write_all(line.as_bytes()).unwrap();
        offset += line.len() as u64;
    }
    let last = lines.last().map_or(0, |line| line.0);
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(TEN + last)).unwrap();
    fs::write(index_of(log), index).unwrap();
}

fn index_of(log: &Path) -> PathBuf {
    log.with_file_name(format!(".{}.times", log.file_name().unwrap().to_str().unwrap()))
}

/// Two silent apps, `api` (0) and `worker` (1), with lines of the past.
fn two_apps() -> Home {
    let home = Home::new();
    home.write("silent.sh", "#!/bin/sh\nexec sleep 1000\n");
    for name in ["api", "worker"] {
        home.rpm(["start", "silent.sh", "--name", name]).success();
    }
    let api = home.single("api");
    let lines = [(0, "api one\n"), (2000, "api two\n"), (4000, "\n"), (5000, "api four\n")];
    write(&api.out_log(), &lines);
    write(&api.error_log(), &[(3000, "api failed\n"), (6000, "api fai")]);
    write(&home.single("worker").out_log(), &[(1000, "job 1\n"), (4500, "job 2\n")]);
    home
}

fn logs<const N: usize>(home: &Home, words: [&str; N]) -> Output {
    let words = [&["logs", "--nostream"][..], &words].concat();
    home.rpm_under(&[], &words).env("TZ", "UTC").success()
}

fn shown<const N: usize>(home: &Home, words: [&str; N], want: &str) {
    let output = logs(home, words);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (want, ""), "{words:?}");
}

#[test]
fn files_are_merged_in_the_order_of_time() {
    let home = two_apps();
    let want = "\
0|api     | api one
1|worker  | job 1
0|api     | api two
0|api     | api failed
0|api     | 
1|worker  | job 2
0|api     | api four
0|api     | api fai
";
    shown(&home, ["api", "worker"], want);
    shown(&home, ["/api|work/"], want);
    shown(&home, ["default"], want);
    shown(&home, ["0", "1"], want);
    let last = "0|api  | \n0|api  | api failed\n0|api  | api four\n0|api  | api fai\n";
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&logs(&home, ["api", "--lines", "2"]).stdout), sorted(last));
    shown(&home, ["api", "--lines", "0"], "");
    shown(&home, ["worker", "--lines", "1"], "1|worker  | job 2\n");
}

#[test]
fn a_time_an_expression_and_a_stream_choose_lines() {
    let home = two_apps();
    let since = ["api", "worker", "--since", "2026-11-21T10:00:04"];
    let want = "\
0|api     | 
1|worker  | job 2
0|api     | api four
0|api     | api fai
";
    shown(&home, since, want);
    let until = ["worker", "--until", "2026-11-21T10:00:04Z"];
    shown(&home, until, "1|worker  | job 1\n");
    let both = ["api", "--since", "2026-11-21T10:00:01", "--until", "2026-11-21 10:00:03"];
    shown(&home, both, "0|api  | api two\n0|api  | api failed\n");
    shown(&home, ["api", "--grep", "o(ne|ur)$"], "0|api  | api one\n0|api  | api four\n");
    shown(&home, ["api", "--grep", "(?i)API", "--out", "--lines", "1"], "0|api  | api four\n");
    shown(&home, ["api", "--err"], "0|api  | api failed\n0|api  | api fai\n");
    shown(&home, ["api", "--grep", "nothing"], "");
    // So long ago, from now: these lines are older than a minute or newer, as the clock stands.
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "app"]).success();
    home.wait_for_line(&home.single("app").out_log(), "to stdout");
    shown(&home, ["app", "--out", "--since", "10m"], "0|app  | to stdout\n");
    shown(&home, ["app", "--out", "--since", "0s"], "");
    // --until ends it without --nostream.
    let until = home.rpm(["logs", "app", "--out", "--until", "10m"]);
    until.stdout("").stderr("").success();
}

#[test]
fn lines_are_shown_for_people_and_for_programs() {
    let home = two_apps();
    let raw = logs(&home, ["api", "--raw"]);
    assert_eq!(raw.stdout, "api one\napi two\n\napi four\n");
    assert_eq!(raw.stderr, "api failed\napi fai");
    let want = "\
{\"message\":\"job 1\",\"timestamp\":\"2026-11-21T10:00:01.000Z\",\"type\":\"out\",\
\"process_id\":1,\"app_name\":\"worker\"}
{\"message\":\"api failed\",\"timestamp\":\"2026-11-21T10:00:03.000Z\",\"type\":\"err\",\
\"process_id\":0,\"app_name\":\"api\"}
";
    shown(&home, ["api", "worker", "--json", "--grep", "1|failed"], want);
    let want = "\
timestamp=2026-11-21-10:00:01+0000 app=worker id=1 type=out message=job 1
timestamp=2026-11-21-10:00:03+0000 app=api id=0 type=error message=api failed
";
    shown(&home, ["api", "worker", "--format", "--grep", "1|failed"], want);
    let want = "2026-11-21-10:00:01 1|worker  | job 1\n2026-11-21-10:00:04 1|worker  | job 2\n";
    shown(&home, ["worker", "--timestamp"], want);
    let want = "10:00:01.000 1|worker  | job 1\n10:00:04.500 1|worker  | job 2\n";
    shown(&home, ["worker", "--timestamp", "HH:mm:ss.SSS"], want);
    // No colours in a pipe, so nothing is highlighted there either.
    shown(&home, ["worker", "--highlight", "1"], "1|worker  | job 1\n1|worker  | job 2\n");
}

#[test]
fn a_terminal_gets_colours_a_heading_and_the_highlighted_word() {
    let home = two_apps();
    let words =
        ["logs", "worker", "--nostream", "--out", "--highlight", "1", "--timestamp", "HH:mm"];
    let shown = home.on_terminal(80, &words).env("TZ", "UTC").success();
    let want = "\
\u{1b}[90mthe last 15 lines of 1 file; --lines N shows more\u{1b}[0m\r
\u{1b}[90m10:00\u{1b}[0m \u{1b}[32m1|worker  |\u{1b}[0m job \u{1b}[100m1\u{1b}[49m\r
\u{1b}[90m10:00\u{1b}[0m \u{1b}[32m1|worker  |\u{1b}[0m job 2\r
";
    assert_eq!(shown.stdout, want);
}

#[test]
fn rpms_own_log_is_among_all_and_by_its_name() {
    let home = two_apps();
    for own in ["rpm", "PM2"] {
        let output = logs(&home, [own, "--lines", "3"]);
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{output:?}");
        assert!(lines.iter().all(|line| line.starts_with("rpm  | 20")), "{output:?}");
    }
    let all = logs(&home, []).stdout;
    assert!(all.contains("rpm       | 20") && all.contains("0|api     | api one"), "{all}");
    for words in [["--raw"], ["--out"], ["--err"], ["--json"], ["--format"]] {
        let output = logs(&home, words);
        assert!(!output.text().contains("daemon ready"), "{output:?}");
    }
}

#[test]
fn rotated_files_are_read_as_far_as_needed() {
    let home = two_apps();
    let log = home.single("worker").out_log();
    let rotated = |name: &str| log.with_file_name(format!("worker-out.log.{name}"));
    let oldest = rotated("2026-11-21_08-00-00.000");
    write(&oldest, &[(0, "job -3\n"), (0, "job -2\njo")]);
    let packed = Command::new("gzip").arg(&oldest).status().unwrap();
    assert!(packed.success());
    write(&rotated("2026-11-21_09-00-00.000"), &[(500, "b -1\n"), (600, "job 0\n")]);
    // Another app's, and no log at all.
    write(&rotated("old"), &[(0, "never\n")]);
    write(&log.with_file_name("my-worker-out.log.2026-11-21_09-30-00.000"), &[(0, "never\n")]);
    let all = "job -3\njob -2\njob -1\njob 0\njob 1\njob 2\n";
    shown(&home, ["worker", "--raw"], all);
    shown(&home, ["worker", "--raw", "--lines", "4"], &all[14..]);
    shown(&home, ["worker", "--raw", "--lines", "3"], &all[21..]);
    shown(&home, ["worker", "--raw", "--grep", "[-]"], &all[..21]);
    let since = ["worker", "--raw", "--since", "2026-11-21T10:00:00.550Z"];
    shown(&home, since, &all[21..]);
}

#[test]
fn a_log_without_an_index_goes_by_what_its_lines_say() {
    let home = two_apps();
    let log = home.single("worker").out_log();
    fs::remove_file(index_of(&log)).unwrap();
    fs::write(&log, "2026-11-21T10:00:02.500Z one\n  more of it\n2026-11-21 10:00:07 two\n")
        .unwrap();
    let want = "\
0|api     | api two
1|worker  | 2026-11-21T10:00:02.500Z one
1|worker  |   more of it
0|api     | api failed
";
    let words =
        ["api", "worker", "--since", "2026-11-21T10:00:02Z", "--until", "2026-11-21T10:00:03Z"];
    shown(&home, words, want);
}

#[test]
fn a_log_that_is_json_already_is_not_wrapped_again() {
    let home = two_apps();
    let line = "{\"message\":\"a\",\"timestamp\":\"x\",\"type\":\"out\",\
                \"process_id\":7,\"app_name\":\"b\"}\n";
    write(&home.single("worker").out_log(), &[(0, line)]);
    shown(&home, ["worker", "--json"], line);
}

#[test]
fn wrong_words_are_wrong_usage() {
    let home = two_apps();
    for (words, want) in [
        (["logs", "--lines", "many"], "many"),
        (["logs", "--since", "yesterday"], "10m (ago)"),
        (["logs", "--until", "25:00"], "10m (ago)"),
        (["logs", "--grep", "("], "unclosed group"),
    ] {
        let output = home.rpm(words).exits(2);
        assert!(output.stderr.contains(want), "{output:#?}");
    }
    home.rpm(["logs", "apj", "--nostream"]).refused(&["apj", "api"]);
    home.rpm(["logs", "--since", "1h", "--until", "2h"])
        .refused(&["--since is later than --until", "2h --until 1h"]);
}

#[test]
fn a_reader_that_goes_away_is_success() {
    let home = two_apps();
    let log = home.single("api").out_log();
    for words in ["api --raw --out", "api --nostream --json", "api --format"] {
        let reader = "{ head -n 1; exec <&-; echo gone >&2; }";
        let line = format!("set -o pipefail; $0 logs {words} | {reader}");
        let running = home.rpm_under(&["bash", "-c", &line], &[]).spawn();
        running.until("a line", |text| text.contains("api one"));
        running.until_said("that nobody reads", |text| text.contains("gone\n"));
        // It learns of it with the next line.
        File::options().append(true).open(&log).unwrap().write_all(b"one more\n").unwrap();
        let output = running.finish(crate::harness::LIMIT);
        assert_eq!((output.code, output.stderr.as_str()), (0, "gone\n"), "{output:?}");
    }
}

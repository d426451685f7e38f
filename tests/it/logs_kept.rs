//! What is in log files: which there are, every byte, whole lines of several writers, each line
//! once over many rotations, and no more than they may have together.

use crate::harness::{Home, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// Starts `app` with this shell script under these rules, and waits until all instances ended.
fn ended(home: &Home, script: &str, rules: &str) {
    home.write("app.sh", script);
    let table =
        format!("[[apps]]\nname = \"app\"\nscript = \"app.sh\"\nautorestart = false\n{rules}\n");
    home.write("ecosystem.toml", &table);
    // It may well end during its start, which is told as a failure.
    home.rpm(["start", "ecosystem.toml"]).output();
    home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
}

fn logs(home: &Home) -> PathBuf {
    home.path().join("logs")
}

/// The names of the files below a folder, with the folders between.
fn names(folder: &PathBuf) -> Vec<String> {
    let found = Command::new("find")
        .arg(folder)
        .args(["-type", "f", "-not", "-name", ".*", "-printf", "%P\n"])
        .output()
        .unwrap();
    let mut names: Vec<String> =
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// Bytes of the logs whose names begin so, with all that was rotated away from them, once that is
/// compressed: for a moment there are both, the file and its copy.
fn bytes(home: &Home, begin: &str) -> u64 {
    let is_whole = |name: &String| !name.contains(".log.2") || name.ends_with(".gz");
    let current = logs(home).join("app-out.log");
    wait_for(&current, "copies", |_| names(&logs(home)).iter().all(is_whole));
    let names = names(&logs(home));
    let ours = names.iter().filter(|name| name.starts_with(begin));
    // One that is too much may go meanwhile.
    ours.filter_map(|name| Some(logs(home).join(name).metadata().ok()?.len())).sum()
}

#[test]
fn every_byte_arrives_as_it_was_written() {
    let home = Home::new();
    let script =
        "head -c 300000 /dev/zero | tr '\\0' x; printf '\\na\\r\\n\\000\\377\\376z\\n\\nend'\n";
    ended(&home, script, "");
    let want = [vec![b'x'; 300_000], b"\na\r\n\0\xff\xfez\n\nend".to_vec()].concat();
    let found = fs::read(logs(&home).join("app-out.log")).unwrap();
    assert!(found == want, "{} bytes of {}", found.len(), want.len());
}

#[test]
fn instances_that_share_a_file_give_whole_lines_and_so_do_streams() {
    let home = Home::new();
    let script = "awk -v me=$NODE_APP_INSTANCE 'BEGIN { for (n = 1; n <= 5000; n++) {\n\
                  line = me \" \" n \" \" substr(\"abcdefghijklmnopqrstuvwxyz\", 1, n % 27)\n\
                  print \"o\" line; print \"e\" line > \"/dev/stderr\" } }'\n";
    let rules = "instances = 4\nmerge_logs = true\nlog_file = true";
    ended(&home, script, rules);
    assert_eq!(names(&logs(&home)), ["app-error.log", "app-out.log", "app.log"]);
    let line = |kind: &str, instance: u32, number: usize| {
        format!("{kind}{instance} {number} {}", &"abcdefghijklmnopqrstuvwxyz"[..number % 27])
    };
    for (name, kinds) in
        [("app-out.log", &["o"][..]), ("app-error.log", &["e"]), ("app.log", &["o", "e"])]
    {
        let text = fs::read_to_string(logs(&home).join(name)).unwrap();
        for kind in kinds {
            for instance in 0..4 {
                let begin = format!("{kind}{instance} ");
                let found = text.lines().filter(|line| line.starts_with(&begin));
                let want = (1..=5000).map(|number| line(kind, instance, number));
                assert!(found.eq(want), "{name} {kind} {instance}");
            }
        }
        assert_eq!(text.lines().count(), kinds.len() * 4 * 5000, "{name}");
    }
}

#[test]
fn files_are_where_the_app_says_and_folders_are_made() {
    let home = Home::new();
    let script = "echo out $NODE_APP_INSTANCE; echo error >&2\n";
    let rules = "instances = 2\nout_file = \"new/deep/{instance}/app.log\"\nerror_file = \"NULL\"";
    ended(&home, script, rules);
    assert_eq!(names(&home.work().join("new")), ["deep/0/app.log", "deep/1/app.log"]);
    for number in 0..2 {
        let log = home.work().join(format!("new/deep/{number}/app.log"));
        assert_eq!(fs::read_to_string(&log).unwrap(), format!("out {number}\n"));
        assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let folder = log.parent().unwrap().metadata().unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }
    assert_eq!(names(&logs(&home)), [""; 0]);
    for (rules, want) in [
        ("out_file = \"/dev/null\"", &["app-error.log"][..]),
        ("disable_logs = true\nlog_file = true", &[]),
        ("instances = 2\nerror_file = \"/dev/null\"", &["app-out-0.log", "app-out-1.log"]),
    ] {
        let home = Home::new();
        ended(&home, script, rules);
        assert_eq!(names(&logs(&home)), want, "{rules}");
    }
}

/// Complaint D2: as fast as it can, over more than twenty rotations.
#[test]
fn millions_of_lines_over_twenty_rotations_are_there_once_each() {
    let home = Home::new();
    let rules = "rotate = { max_size = \"2M\", keep = 1000, compress = false }";
    ended(&home, "exec seq 10000000 14999999\n", rules);
    let mut files = names(&logs(&home));
    files.retain(|name| name.starts_with("app-out.log"));
    assert!(files.len() > 20, "{files:?}");
    for name in &files {
        assert!(logs(&home).join(name).metadata().unwrap().len() <= 2 << 20, "{name}");
    }
    // What was rotated away sorts by age, and behind the name of the log itself.
    files.rotate_left(1);
    let script = "cat \"$@\" | cmp - <(seq 10000000 14999999)";
    let compared = Command::new("bash")
        .args(["-c", script, "cmp"])
        .args(&files)
        .current_dir(logs(&home))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&[compared.stdout, compared.stderr].concat()), "");
}

#[test]
fn logs_of_an_app_keep_to_its_total_and_all_logs_to_theirs() {
    const APP: u64 = 2 << 20;
    const ALL: u64 = 1 << 20;
    let home = Home::new();
    let script = "head -c 20000000 /dev/urandom | base64 | tee /dev/stderr\n";
    ended(&home, script, "rotate = { max_total = \"2M\" }\nlog_date_format = \"ss\"");
    let (out, error) = (bytes(&home, "app-out"), bytes(&home, "app-error"));
    assert!(out + error <= APP && out > 0 && error > 0, "{out} + {error}");
    assert!(names(&logs(&home)).len() > 4, "{:?}", names(&logs(&home)));
    home.rpm(["set", "logs:max_total", "lots"]).refused(&["logs:max_total", "lots"]);
    home.rpm(["set", "logs:max_total", "1M"]).success();
    // Also the logs of an app that is gone, and without any limit of this one's own.
    home.rpm(["delete", "app"]).success();
    home.write("other.sh", "head -c 3000000 /dev/urandom | base64\n");
    home.rpm(["start", "other.sh", "--name", "other", "--no-autorestart"]).output();
    home.wait_until("it ended", |apps| apps.iter().all(|app| app.status() == "stopped"));
    let all = bytes(&home, "");
    assert!(all <= ALL && bytes(&home, "other-out") > ALL / 8, "{all}");
}

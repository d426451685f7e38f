//! `rpm schema` takes what rpm takes, and refuses what rpm refuses for its type.

use crate::harness::{Home, repository, venv};
use std::process::Command;

/// Validates each file (a JSON or TOML one) against the schema; prints the names of those refused.
const CHECK: &str = "
import json, sys, tomllib
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
for path in sys.argv[2:]:
    with open(path, 'rb') as file:
        data = tomllib.load(file) if path.endswith('.toml') else json.load(file)
    if not validator.is_valid(data):
        print(path)
";

/// Which of these files the schema refuses.
fn refused(home: &Home, files: &[String]) -> Vec<String> {
    let schema = home.rpm(["schema"]).success().stdout;
    let schema = home.write("schema.json", &schema);
    let output = Command::new(venv("python"))
        .args(["-c", CHECK])
        .arg(schema)
        .args(files)
        .output()
        .expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// `lines` as the app of a file.
fn file(home: &Home, number: usize, lines: &str) -> String {
    let text = format!("[[apps]]\nscript = \"server.js\"\n{lines}\n");
    home.write(&format!("{number}.toml"), &text).display().to_string()
}

#[test]
fn the_example_is_valid_with_every_key_of_it() {
    let home = Home::new();
    let text = std::fs::read_to_string(repository().join("ecosystem.example.toml")).unwrap();
    let shown = home.write("example.toml", &text).display().to_string();
    // `#` with no blank after it begins an example.
    let keys: String = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '['))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(keys.contains("max_surge = 1"), "{keys}");
    let all = home.write("all.toml", &keys).display().to_string();
    assert_eq!(refused(&home, &[shown, all]), [] as [&str; 0]);
}

#[test]
fn what_rpm_takes_the_schema_takes() {
    let home = Home::new();
    let lines = [
        "instances = \"max\"\nexec_mode = \"cluster\"\nmaxMemoryRestart = \"300M\"",
        "watch = [\"src\"]\nignore_watch = \"node_modules\"\nenv_production = { A = 1 }",
        "ready = { tcp = 8080 }\nhealth = { exec = \"true\", failures = 1, interval = \"5s\" }",
        "limits = { nofile = 1024, nice = -5, cpu = 0.5, memory = \"1G\", pids = 10 }",
        "listen = [\"80\", \"unix:a.sock\"]\nkill_timeout = 1600\nstop_exit_codes = [0, 3]",
        "rotate = false\nlog_type = \"json\"\ncron = \"0 3 * * *\"\nvizion = false\n\
         pid_file = \"a\"",
    ];
    let mut files: Vec<String> =
        lines.iter().enumerate().map(|(number, lines)| file(&home, number, lines)).collect();
    for (name, text) in [
        ("list.json", "[{\"script\": \"a.js\"}]"),
        ("one.json", "{\"script\": \"a.js\", \"name\": \"a\"}"),
        ("pm2.json", "{\"pm2\": {\"script\": \"a.js\"}}"),
        ("root.json", "{\"apps\": [{\"script\": \"a.js\"}], \"deploy\": {}}"),
    ] {
        files.push(home.write(name, text).display().to_string());
    }
    assert_eq!(refused(&home, &files), [] as [&str; 0]);
}

#[test]
fn wrong_types_are_refused_by_both() {
    let home = Home::new();
    home.write("server.js", "");
    let lines = [
        "instances = [1]",
        "exec_mode = \"thread\"",
        "autorestart = 1",
        "kill_timeout = true",
        "max_memory_restart = 300",
        "max_surge = 0",
        "env = \"A=1\"",
        "balance = \"fair\"",
        "ready = \"soon\"",
        "ready = { http = \"ftp://a\" }",
        "health = { interval = 1000 }",
        "health = { exec = \"true\", tcp = 1 }",
        "limits = { nice = 20 }",
        "limits = { disk = 1 }",
        "rotate = { size = 1 }",
        "instnaces = 2",
    ];
    let files: Vec<String> =
        lines.iter().enumerate().map(|(number, lines)| file(&home, number, lines)).collect();
    assert_eq!(refused(&home, &files), files);
    for name in &files {
        home.rpm(["start", name]).exits(1);
    }
}

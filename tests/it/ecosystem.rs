//! Ecosystem files: `ecosystem.toml` and `.json`.

use crate::harness::{App, Home, repository};
use std::fs;

/// What the app `env` printed: the variables it was asked for, and its directory.
fn environment(home: &Home, app: &App) -> Vec<String> {
    let text = home.wait_for_line(&app.out_log(), "end of environment");
    text.lines().map(|line| line.replace(&home.root().display().to_string(), "$ROOT")).collect()
}

const TOML: &str = r#"
[[apps]]
name = "env"
script = "../environment.js"
cwd = "folder"
args = ["MODE", "NUMBER", "FLAG", "SPACES"]
instances = 2
exec_mode = "fork"
kill_timeout = "2s"
max_memory_restart = "300M"
min_uptime = 2000
[apps.env]
MODE = "development"
NUMBER = 7
FLAG = true
SPACES = " a  b "
[apps.env_production]
MODE = "production"
"#;

const JSON: &str = r#"{
  "apps": [{
    "name": "env", "script": "../environment.js", "cwd": "folder",
    "args": "MODE NUMBER FLAG SPACES", "instances": 2, "exec_mode": "fork",
    "kill_timeout": "2s", "max_memory_restart": "300M", "min_uptime": 2000,
    "env": {"MODE": "development", "NUMBER": 7, "FLAG": true, "SPACES": " a  b "},
    "env_production": {"MODE": "production"}
  }]
}"#;

fn starts(file: &str, text: &str, options: &[&str], mode: &str) {
    let home = Home::new();
    home.copy("environment.js");
    fs::create_dir(home.work().join("folder")).unwrap();
    home.write(file, text);
    home.rpm_under(&[], &[&["start", file], options].concat()).success();
    let apps = home.app("env");
    assert_eq!(apps.len(), 2);
    for app in &apps {
        let expected = [
            &format!("MODE={mode}"),
            "NUMBER=7",
            "FLAG=true",
            "SPACES= a  b ",
            "cwd=$ROOT/work/folder",
            "end of environment",
        ];
        assert_eq!(environment(&home, app), expected);
        assert_eq!(app.exec_mode(), "fork_mode");
        assert_eq!(app.env("kill_timeout"), 2000);
        assert_eq!(app.env("min_uptime"), 2000);
        assert_eq!(app.env("max_memory_restart"), 300 * 1024 * 1024);
    }
}

#[test]
fn a_toml_file() {
    starts("ecosystem.toml", TOML, &[], "development");
}

#[test]
fn a_json_file() {
    starts("ecosystem.json", JSON, &[], "development");
}

#[test]
fn env_production_with_env_production() {
    starts("ecosystem.toml", TOML, &["--env", "production"], "production");
    starts("ecosystem.json", JSON, &["--env", "production"], "production");
}

#[test]
fn command_and_its_other_names_are_script() {
    for key in ["command", "cmd", "exec", "script"] {
        let home = Home::new();
        home.write(
            "ecosystem.toml",
            &format!("[[apps]]\nname = \"app\"\n{key} = \"sleep 86410\"\n"),
        );
        home.rpm(["start", "ecosystem.toml"]).success();
        assert_eq!(home.single("app").status(), "online", "{key}");
    }
}

#[test]
fn a_typo_is_refused_with_file_line_and_suggestion() {
    let home = Home::new();
    home.write("ecosystem.toml", "[[apps]]\nname = \"app\"\nscript = \"a.js\"\ninstnaces = 4\n");
    home.write("a.js", "");
    home.rpm(["start", "ecosystem.toml"]).refused(&["ecosystem.toml:4", "instnaces", "instances"]);
    assert_eq!(home.jlist(), []);
}

#[test]
fn problems_of_a_file_name_file_and_line() {
    for (text, words) in [
        ("[[apps]]\nname = \"app\"\n", vec!["ecosystem.toml", "script"]),
        (
            "[[apps]]\nscript = \"a.js\"\ninstances = \"banana\"\n",
            vec!["ecosystem.toml:3", "banana"],
        ),
        (
            "[[apps]]\nscript = \"a.js\"\nkill_timeout = \"soon\"\n",
            vec!["ecosystem.toml:3", "soon"],
        ),
        (
            "[[apps]]\nscript = \"a.js\"\nexec_mode = \"clutser\"\n",
            vec!["ecosystem.toml:3", "cluster"],
        ),
        ("[[apps]\nscript = \"a.js\"\n", vec!["ecosystem.toml:1"]),
        ("", vec!["ecosystem.toml", "apps"]),
    ] {
        let home = Home::new();
        home.write("ecosystem.toml", text);
        home.write("a.js", "");
        home.rpm(["start", "ecosystem.toml"]).refused(&words);
    }
}

#[test]
fn one_bad_app_starts_none() {
    let home = Home::new();
    home.copy("streams.js");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"good\"\nscript = \"streams.js\"\n\
         [[apps]]\nname = \"bad\"\nscript = \"missing.js\"\n",
    );
    home.rpm(["start", "ecosystem.toml"]).refused(&["bad", "missing.js"]);
    assert_eq!(home.jlist(), []);
}

#[test]
fn a_file_that_is_not_there() {
    Home::new().rpm(["start", "ecosystem.toml"]).refused(&["ecosystem.toml"]);
}

#[test]
fn only_chooses() {
    let home = Home::new();
    home.copy("streams.js");
    let app = |name: &str| format!("[[apps]]\nname = \"{name}\"\nscript = \"streams.js\"\n");
    home.write("ecosystem.toml", &["a", "b", "c"].map(app).concat());
    home.rpm(["start", "ecosystem.toml", "--only", "a,c"]).success();
    let apps = home.jlist();
    let mut names: Vec<_> = apps.iter().map(App::name).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "c"]);
    home.rpm(["start", "ecosystem.toml", "--only", "d"]).refused(&["d"]);
}

#[test]
fn starting_a_file_again_takes_over_its_new_description() {
    let home = Home::new();
    home.copy("environment.js");
    let text = |value: &str| {
        format!(
            "[[apps]]\nname = \"env\"\nscript = \"environment.js\"\nargs = [\"VALUE\"]\n\
             env = {{ VALUE = \"{value}\" }}\n"
        )
    };
    home.write("ecosystem.toml", &text("old"));
    home.rpm(["start", "ecosystem.toml"]).success();
    let first = home.single("env");
    home.wait_for_line(&first.out_log(), "VALUE=old\n");
    home.write("ecosystem.toml", &text("new"));
    home.rpm(["start", "ecosystem.toml"]).success();
    home.wait_for_line(&first.out_log(), "VALUE=new\n");
    assert_eq!(home.single("env").id(), first.id());
}

#[test]
fn a_description_on_standard_input() {
    let home = Home::new();
    home.copy("streams.js");
    let text = r#"{"apps": [{"name": "piped", "script": "streams.js"}]}"#;
    home.rpm(["start", "-"]).stdin(text).success();
    assert_eq!(home.single("piped").status(), "online");
}

/// Every key that issue 2 names, each with a comment right above it.
#[test]
fn the_example_shows_every_key_with_a_comment() {
    let text = fs::read_to_string(repository().join("ecosystem.example.toml")).unwrap();
    for key in [
        "name",
        "namespace",
        "script",
        "args",
        "cwd",
        "interpreter",
        "node_args",
        "instances",
        "exec_mode",
        "instance_var",
        "increment_var",
        "share_ports",
        "balance",
        "autorestart",
        "max_restarts",
        "min_uptime",
        "restart_delay",
        "exp_backoff_restart_delay",
        "stop_exit_codes",
        "max_memory_restart",
        "kill_timeout",
        "stop_signal",
        "drain_timeout",
        "max_surge",
        "wait_ready",
        "listen_timeout",
        "out_file",
        "error_file",
        "merge_logs",
        "autostart",
    ] {
        let shows = |line: &str| {
            let line = line.trim_start_matches(['#', ' ']);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let lines: Vec<&str> = text.lines().collect();
        let explained = (0..lines.len()).filter(|at| shows(lines[*at])).any(|at| {
            // Two keys may share an explanation.
            let before =
                lines[..at].iter().rev().find(|line| line.is_empty() || line.starts_with("# "));
            before.is_some_and(|before| !before.is_empty())
        });
        assert!(explained, "{key} is not shown below an explanation");
    }
    for table in ["[apps.env]", "[apps.env_production]"] {
        assert!(text.contains(table), "no {table}");
    }
}

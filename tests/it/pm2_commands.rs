//! PM2's smaller commands: other lists, settings, git, and those that are not there.

use crate::harness::{Home, wait_for};
use std::{fs, path::Path, process::Command};

/// `one` in fork mode, with a package.json beside it.
fn one() -> Home {
    let home = Home::new();
    home.copy("streams.js");
    home.write("package.json", r#"{"name": "x", "version": "3.2.1"}"#);
    home.rpm(["start", "streams.js", "--name", "one"]).success();
    home
}

#[test]
fn prettylist_is_what_node_prints_of_jlist() {
    let home = one();
    home.rpm(["stop", "one"]).success();
    let json = home.rpm(["jlist"]).success().stdout;
    fs::write(home.work().join("list.json"), json.replace("$ROOT", "/r")).unwrap();
    let script = "const list = JSON.parse(require('fs').readFileSync('list.json', 'utf8')); \
                  process.stdout.write(require('util').inspect(list, { depth: null }))";
    let node = Command::new("node").args(["-e", script]).current_dir(home.work()).output();
    let node = String::from_utf8(node.unwrap().stdout).unwrap();
    let pretty = home.rpm(["prettylist"]).success().stdout;
    // Widths decide where lines break, so both are compared without them.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(flat(&pretty.replace("$ROOT", "/r")), flat(&node));
    assert!(pretty.contains("restart_time: 0") && pretty.contains("name: 'one'"), "{pretty}");
}

#[test]
fn jlist_has_version_and_unique_id() {
    let home = one();
    let app = home.single("one");
    assert_eq!(app.env("version"), "3.2.1");
    let id = app.env("unique_id").as_str().unwrap().to_owned();
    assert_eq!(
        (id.len(), &id[14..15], app.env("env")["unique_id"].as_str()),
        (36, "4", Some(&*id))
    );
    home.rpm(["restart", "one"]).success();
    assert_eq!(home.single("one").env("unique_id"), &id[..]);
    let table = home.rpm(["ls"]).success();
    assert!(table.stdout.contains("3.2.1"), "{table:?}");
}

#[test]
fn lists_sorted_small_and_as_json() {
    let home = one();
    home.rpm(["start", "streams.js", "--name", "a"]).success();
    let names = |words: [&str; 3]| -> Vec<String> {
        let table = home.rpm(words).success().stdout;
        let rows = table.lines().filter(|line| line.contains("online"));
        rows.map(|row| row.split('│').nth(2).unwrap().trim().to_owned()).collect()
    };
    assert_eq!(names(["ls", "--sort", "name"]), ["a", "one"]);
    assert_eq!(names(["ls", "--sort", "name:desc"]), ["one", "a"]);
    home.rpm(["ls", "--sort", "colour"]).refused(&["colour", "memory"]);
    let mini = home.rpm(["-m", "ls"]).success().stdout;
    assert!(mini.starts_with("+--- one\nnamespace : default\nversion : 3.2.1\n"), "{mini}");
    let json = home.rpm(["ls", "--json"]).success();
    assert_eq!(json.apps().len(), 2);
}

#[test]
fn a_watched_list_goes_on() {
    let home = one();
    let watched = home.rpm(["ls", "--watch"]).spawn();
    watched.until("two tables", |text| text.matches("online").count() >= 2);
    assert_eq!(watched.interrupt().code, 130);
}

#[test]
fn the_environment_of_an_instance() {
    let home = one();
    let output = home.rpm(["env", "0"]).success().stdout;
    for line in ["NODE_APP_INSTANCE: 0\n", "RPM_HOME: $ROOT/home\n", "name: one\n"] {
        assert!(output.contains(line), "no {line:?} in {output}");
    }
    home.rpm(["env", "77"]).refused(&["77"]);
}

#[test]
fn a_report_has_everything_and_no_environment() {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "one"]).env("TOKEN", "hush").success();
    let report = home.rpm(["report"]).success().stdout;
    assert!(report.starts_with("```\n--- rpm report ---") && report.ends_with("```\n"));
    for part in ["kernel", "cpus", "one", "Daemon's log"] {
        assert!(report.contains(part), "no {part} in {report}");
    }
    assert!(!report.contains("hush"), "{report}");
}

#[test]
fn settings_are_kept_as_pm2_keeps_them() {
    let home = Home::new();
    home.rpm(["set", "app:key", "1"]).success();
    home.rpm(["set", "app.list.a", "x y"]).success();
    home.rpm(["multiset", "b 2 c 3"]).success();
    let text = fs::read_to_string(home.path().join("module_conf.json")).unwrap();
    let want = "{\n    \"app\": {\n        \"key\": \"1\",\n        \"list\": {\n            \
                \"a\": \"x y\"\n        }\n    },\n    \"b\": \"2\",\n    \"c\": \"3\"\n}";
    assert_eq!(text, want);
    home.rpm(["get", "app:key"]).stdout("1\n").success();
    home.rpm(["config", "b"]).stdout("2\n").success();
    for words in ["get", "conf", "set"] {
        home.rpm([words]).stdout("app:key 1\napp:list:a x y\nb 2\nc 3\n").success();
    }
    home.rpm(["get", "nothing"]).stdout("").stderr("").exits(1);
    home.rpm(["unset", "app"]).success();
    home.rpm(["unset", "app"]).refused(&["app"]);
    home.rpm(["multiset", "b"]).refused(&["multiset"]);
    home.rpm(["set", "__proto__.x", "1"]).refused(&["__proto__"]);
    home.rpm(["get"]).stdout("b 2\nc 3\n").success();
    home.rpm(["unset", "all"]).success();
    home.rpm(["get"]).stdout("").success();
    assert_eq!(home.processes(), [], "none of these needs a daemon");
}

#[test]
fn a_cleared_dump_brings_nothing_back() {
    let home = one();
    home.rpm(["save"]).success();
    home.rpm(["cleardump"]).success();
    // Behind it stands its checksum, in blanks.
    assert_eq!(fs::read_to_string(home.path().join("dump.pm2")).unwrap().trim_end(), "[]");
    assert!(fs::read_to_string(home.path().join("dump.pm2.bak")).unwrap().contains("one"));
    home.rpm(["kill"]).success();
    home.rpm(["resurrect"]).success();
    assert_eq!(home.jlist(), []);
}

fn git(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"])
        .args(words)
        .output()
        .expect("git");
    assert!(output.status.success(), "git {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn pull_forward_and_backward_move_a_checkout_and_reload() {
    let home = Home::new();
    let (origin, clone) = (home.root().join("origin"), home.root().join("clone"));
    let commit = |text: &str| {
        fs::write(
            origin.join("app.js"),
            format!("console.log('{text}'); setInterval(() => {{}}, 1000)"),
        )
        .unwrap();
        git(&origin, &["add", "app.js"]);
        git(&origin, &["commit", "-qm", text]);
    };
    fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "-q", "-b", "main"]);
    commit("first");
    git(home.root(), &["clone", "-q", "origin", "clone"]);
    home.rpm(["start", "app.js"]).cwd(&clone).success();
    let log = home.single("app").out_log();
    let said = |wanted: &[&str]| {
        wait_for(&log, wanted.last().unwrap(), |text| {
            text.ends_with('\n') && text.lines().collect::<Vec<_>>() == wanted
        })
    };
    said(&["first"]);
    home.rpm(["pull", "app"]).success();
    assert_eq!(home.single("app").restarts(), 0, "there was nothing new");
    commit("second");
    commit("third");
    home.rpm(["pull", "app"]).success();
    said(&["first", "third"]);
    home.rpm(["backward", "app"]).success();
    said(&["first", "third", "second"]);
    home.rpm(["forward", "app"]).success();
    said(&["first", "third", "second", "third"]);
    home.rpm(["forward", "app"]).refused(&["newest"]);
    home.rpm(["pull", "app", "HEAD~2"]).success();
    said(&["first", "third", "second", "third", "first"]);
    fs::write(clone.join("app.js"), "changed").unwrap();
    home.rpm(["forward", "app"]).refused(&["not committed"]);
}

#[test]
fn inspect_opens_nodes_inspector() {
    let home = one();
    // Before Node runs, the signal for it would be an app's end.
    home.wait_for_line(&home.single("one").out_log(), "to stdout\n");
    let output = home.rpm(["inspect", "one"]).success();
    assert!(output.stdout.contains("127.0.0.1:9229"), "{output:?}");
    home.wait_for_line(&home.single("one").error_log(), "Debugger listening on");
    home.rpm(["start", "sleep 1000", "--name", "other"]).success();
    home.rpm(["inspect", "other"]).refused(&["other", "Node"]);
}

#[test]
fn commands_that_are_not_here_say_so_in_two_lines() {
    let home = Home::new();
    for command in ["plus", "link", "monitor", "install", "module:update", "profile:cpu", "open"] {
        let output = home.rpm([command]).refused(&[command, "does not exist", "hint:"]);
        assert_eq!(output.stderr.lines().count(), 2, "{output:?}");
    }
    home.rpm(["install", "pm2-logrotate"]).refused(&["modules"]);
    for command in ["monit", "dash", "imonit", "dashboard", "deploy", "logrotate", "slist"] {
        home.rpm([command]).refused(&[command, "does not exist", "hint:"]);
    }
    home.rpm(["start", "app.js", "--container"]).refused(&["--container", "--no-daemon"]);
    assert_eq!(home.processes(), [], "none of these needs a daemon");
}

#[test]
fn called_as_pm2_it_is_the_same() {
    let home = one();
    let link = home.work().join("pm2");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rpm"), &link).unwrap();
    let link = link.display().to_string();
    let called = |words: &[&str]| crate::harness::Rpm::new(&home, &[&[&link[..]], words].concat());
    assert_eq!(called(&["jlist"]).success().apps()[0].name(), "one");
    called(&["kill"]).success();
    called(&["start", "streams.js"]).success();
    assert!(home.single("streams").is_online());
    called(&["nonsense"]).refused_with(2, &["nonsense"]);
}

#[test]
fn a_shell_completes_commands_and_apps() {
    let home = one();
    let line = home.rpm(["completion", "bash"]).success().stdout;
    assert_eq!(line, "source <(COMPLETE=bash rpm)\n");
    home.rpm(["completion", "tcsh"]).refused(&["tcsh", "fish"]);
    home.rpm(["completion"])
        .env("SHELL", "/bin/zsh")
        .stdout("source <(COMPLETE=zsh rpm)\n")
        .success();
    // What the script that bash sources calls at a press of Tab.
    let asked = |words: &[&str], index: &str| {
        crate::harness::Rpm::new(&home, &[&[env!("CARGO_BIN_EXE_rpm"), "--"], words].concat())
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", index)
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_IFS", "\n")
            .success()
            .stdout
    };
    assert_eq!(asked(&["rpm", "restart", "o"], "2"), "one");
    assert!(asked(&["rpm", "startOr"], "1").contains("startOrRestart"));
}

#[test]
fn the_manual_page_is_one_that_man_reads() {
    let home = Home::new();
    let page = home.rpm(["man"]).success().stdout;
    assert!(page.contains(".TH rpm 1") && page.contains("startOrRestart"), "{page}");
}

#[test]
fn completions_are_installed_once_and_uninstalled() {
    let home = Home::new();
    let file = home.work().join(".bashrc");
    let run = |word: &str| {
        let command = home.rpm(["completion", word]);
        command.env("HOME", home.work().display()).env("SHELL", "/bin/bash").success().stdout
    };
    fs::write(&file, "alias x=y").unwrap();
    assert!(run("install").contains("added to $ROOT/work/.bashrc"));
    assert!(run("install").contains("already"));
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "alias x=y\nsource <(COMPLETE=bash rpm)\n");
    assert!(run("uninstall").contains("removed"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "alias x=y\n");
    let tcsh = home.rpm(["completion", "install"]).env("SHELL", "/bin/tcsh");
    tcsh.env("HOME", home.work().display()).refused(&["tcsh"]);
}

#[test]
fn repeated_options_are_lists_and_not_one_text() {
    let home = Home::new();
    home.copy("environment.js");
    home.write("a.env", "FROM_A=1\n");
    home.write("b.env", "FROM_B=2\n");
    let words = "start environment.js --env-file a.env --env-file b.env --filter-env SECRET \
                 --filter-env TOKEN -- FROM_A FROM_B MY_SECRET_X A_TOKEN PLAIN";
    let words: Vec<&str> = words.split_whitespace().collect();
    home.rpm_under(&[], &words)
        .env("MY_SECRET_X", "hush")
        .env("A_TOKEN", "hush")
        .env("PLAIN", "seen")
        .success();
    let text = home.wait_for_line(&home.single("environment").out_log(), "end of environment");
    let seen: Vec<&str> = text.lines().take(5).collect();
    assert_eq!(seen, ["FROM_A=1", "FROM_B=2", "MY_SECRET_X=", "A_TOKEN=", "PLAIN=seen"]);
}

#[test]
fn what_start_writes_starts_the_same_app() {
    let home = Home::new();
    home.copy("streams.js");
    let words = "start streams.js -n x -k 3000 --watch lib --no-autorestart --write -- a b";
    let words: Vec<&str> = words.split_whitespace().collect();
    home.rpm_under(&[], &words).success();
    let fields = |home: &Home| {
        let app = home.single("x");
        let of = |key: &str| app.env(key).clone();
        ["args", "kill_timeout", "watch", "autorestart", "pm_exec_path", "pm_cwd"].map(of)
    };
    let before = fields(&home);
    home.rpm(["delete", "x"]).success();
    home.rpm(["start", "x-pm2.json"]).stderr("").success();
    assert_eq!(fields(&home), before);
}

#[test]
fn in_the_foreground_apps_end_with_the_command() {
    let home = Home::new();
    home.copy("streams.js");
    let command = home.rpm(["start", "streams.js", "--no-daemon"]).spawn();
    command.until("the app's line", |text| text.contains("to stdout"));
    let app = home.single("streams");
    command.process().signal(rustix::process::Signal::TERM);
    assert_eq!(command.finish(crate::harness::LIMIT).code, 0);
    assert!(!crate::harness::Process(app.pid()).is_alive());
    assert_eq!(home.processes(), []);
    // Who finds a daemon leaves it to its owner.
    home.rpm(["ping"]).success();
    let command = home.rpm(["start", "streams.js", "--no-daemon"]).spawn();
    command.until("the app's line", |text| text.contains("to stdout"));
    assert_eq!(command.interrupt().code, 130);
    assert!(home.single("streams").is_online());
    let command = home.rpm(["restart", "streams", "--attach"]).spawn();
    command.until("the app's line", |text| text.contains("to stdout"));
    assert_eq!(command.interrupt().code, 130);
}

#[test]
fn only_files_with_these_extensions_are_watched() {
    let home = Home::new();
    home.copy("streams.js");
    fs::create_dir(home.work().join("lib")).unwrap();
    home.rpm(["start", "streams.js", "-n", "x", "--watch", "--ext", "js,ts"]).success();
    home.wait_for_log(|log| log.contains("watching its files"));
    // Moved there whole: to make a file and to write to it are two changes, which may be apart on
    // a busy machine.
    for (name, text) in [("style.css", "a {}"), ("lib/page.ts", "1")] {
        let file = home.root().join("file");
        fs::write(&file, text).unwrap();
        fs::rename(file, home.work().join(name)).unwrap();
    }
    home.wait_until("it was restarted", |apps| apps[0].restarts() == 1 && apps[0].is_online());
    let events = home.rpm(["events", "--json", "--since", "0"]).spawn();
    let text = events.until("the file is named", |text| text.contains("page.ts"));
    assert!(!text.contains("style.css"), "{text}");
    events.interrupt();
}

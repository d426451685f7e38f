//! Instances that need a roll: what runs is not what would be started now. `ls` warns of them,
//! `show` and `jlist` say why, and a reload puts it right.

use crate::harness::{App, Home, Load, copy, port};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const DESCRIPTION: &str = "its description or environment is not the one that it was started with";
const PRELOAD: &str = "it runs with the preload of another version of rpm";

/// Why each instance of an app needs a roll.
fn reasons(home: &Home, app: &str) -> Vec<Option<String>> {
    let reason = |app: &App| app.env("needs_roll").as_str().map(str::to_owned);
    home.app(app).iter().map(reason).collect()
}

/// `ls` says it once for the app, and `show` for the instances it is about; a reload puts it right.
fn is_told_and_put_right(home: &Home, app: &str, reason: &str, of: &[bool]) {
    let want: Vec<_> = of.iter().map(|one| one.then(|| reason.to_owned())).collect();
    assert_eq!(reasons(home, app), want);
    let warning = format!("warning: {app} needs a roll, {reason}: rpm reload {app}\n");
    assert_eq!(home.rpm(["ls"]).success().stderr, warning);
    for (one, lags) in home.app(app).iter().zip(of) {
        let id = one.id().to_string();
        let shown = home.rpm(["show", &id]).success().stdout;
        let row = shown.lines().find(|line| line.contains("│ needs roll"));
        assert_eq!(row.map(|row| row.contains(reason)), lags.then_some(true), "{shown}");
    }
    home.rpm(["reload", app]).success();
    assert!(reasons(home, app).iter().all(Option::is_none), "{:?}", reasons(home, app));
    assert_eq!(home.rpm(["ls"]).success().stderr, "");
}

#[test]
fn one_that_was_restarted_with_another_environment_leaves_the_other_behind() {
    let home = Home::new();
    home.copy("environment.js");
    let start = ["start", "environment.js", "--name", "env", "-i", "2", "-x", "--", "WHO"];
    home.rpm(start).env("WHO", "first").success();
    assert_eq!(reasons(&home, "env"), [None, None]);
    // Rules that rpm follows itself are in force at once.
    home.rpm(["scale", "env", "3"]).success();
    home.rpm(["scale", "env", "2"]).success();
    assert_eq!(reasons(&home, "env"), [None, None]);
    home.rpm(["restart", "0", "--update-env"]).env("WHO", "second").success();
    let log = home.app("env")[0].out_log();
    home.wait_for_lines(&log, "WHO=second", 1);
    home.daemon().kill();
    is_told_and_put_right(&home, "env", DESCRIPTION, &[false, true]);
}

#[test]
fn a_reload_that_failed_half_way_leaves_the_first_one_behind() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    home.write(
        "app.js",
        "if (process.env.BAD && process.env.NODE_APP_INSTANCE === '1') throw new Error('bad');\n\
         require('./hello.js');\n",
    );
    let file = |bad: &str| {
        let text = format!(
            "[[apps]]\nname = 'web'\nscript = 'app.js'\ninstances = 2\n\
             listen_timeout = '30s'\nenv = {{ PORT = {port}{bad} }}\n"
        );
        home.write("ecosystem.toml", &text)
    };
    file("");
    home.rpm(["start", "ecosystem.toml"]).success();
    let before = home.pids("web");
    let load = Load::on(port).fresh(2);
    file(", BAD = '1'");
    home.rpm(["reload", "ecosystem.toml"]).refused(&["Error: bad"]);
    let after = home.pids("web");
    assert!(after[0] != before[0] && after[1] == before[1], "{before:?} {after:?}");
    // The former description is in force, and the first worker is the only one of the other.
    is_told_and_put_right(&home, "web", DESCRIPTION, &[true, false]);
    load.more(10);
    load.stop().is_clean(20);
}

/// A binary like ours, of which one word in the preload's first comment is another one: to the
/// daemon a preload of another version.
fn another_version(home: &Home) -> PathBuf {
    const WORD: &[u8] = b"// Loaded by rpm before a Node app's own script.";
    let mut bytes = fs::read(env!("CARGO_BIN_EXE_rpm")).unwrap();
    // The compiler may have made copies of it.
    let copies = bytes.windows(WORD.len()).enumerate().filter(|(_, found)| *found == WORD);
    let copies: Vec<usize> = copies.map(|(at, _)| at).collect();
    assert!(!copies.is_empty(), "no preload");
    copies.into_iter().for_each(|at| bytes[at + 3] = b'l');
    let path = home.root().join("another");
    copy(Path::new(env!("CARGO_BIN_EXE_rpm")), &path);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn an_update_that_brings_another_preload_is_told_until_the_apps_have_it() {
    let (home, port) = (Home::with_own_binary(), port());
    home.start_web("hello.js", "2", port);
    // No Node, no preload.
    home.write("job.sh", "exec sleep 86440\n");
    home.rpm(["start", "job.sh", "--name", "job"]).success();
    let load = Load::on(port).fresh(2).keep_alive(2);
    load.more(20);
    home.install(Path::new(env!("CARGO_BIN_EXE_rpm")));
    home.rpm(["update"]).success();
    assert_eq!(reasons(&home, "web"), [None, None], "the same version brings nothing new");
    home.install(&another_version(&home));
    home.rpm(["update"]).success();
    assert_eq!(reasons(&home, "job"), [None]);
    is_told_and_put_right(&home, "web", PRELOAD, &[true, true]);
    load.more(20);
    load.stop().is_clean(40);
}

/// Nothing of a sandbox: both managers died, so nobody has the survivor's calls.
#[test]
fn a_survivor_of_both_managers_that_can_bind_no_more_says_so() {
    let (home, port) = (Home::new(), port());
    home.start_web("server.py", "2", port);
    home.write("job.sh", "exec sleep 86441\n");
    home.rpm(["start", "job.sh", "--name", "job"]).success();
    crate::survive::kill_both(&home);
    assert_eq!(reasons(&home, "job"), [None], "it has no filter and can bind what it likes");
    let reason = "keeper and daemon died together: every socket that it binds from now on fails";
    let load = Load::on(port).fresh(2);
    load.more(20);
    is_told_and_put_right(&home, "web", reason, &[true, true]);
    load.more(20);
    load.stop().is_clean(40);
    let shown: Value =
        serde_json::from_str(&home.rpm(["show", "web", "--json"]).success().stdout).unwrap();
    assert_eq!(shown[0]["view"]["needs_roll"], Value::Null);
}

//! `apply` and `diff`: the running apps become what a file says, and nothing else is touched.

use crate::harness::{Home, pids_answering, port};
use std::collections::BTreeSet;

/// `web`, two of hello.js, and `job`, which says its variables.
fn file(web: &str, job: &str) -> String {
    format!(
        "[[apps]]\nname = 'web'\nscript = 'hello.js'\ninstances = 2\n\
         listen_timeout = 30000\n{web}\n\
         [[apps]]\nname = 'job'\nscript = 'environment.js'\nargs = ['A', 'B', 'SHELL_OF']\n{job}"
    )
}

fn applied() -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    home.copy("environment.js");
    home.write("ecosystem.toml", &file("", "env = { A = '1', B = '1' }"));
    let created = home.rpm(["apply"]).env("PORT", port).env("SHELL_OF", "first").success();
    assert_eq!(created.stdout, "create web\ncreate job\n");
    (home, port)
}

#[test]
fn only_what_changed_is_rolled_and_a_second_run_changes_nothing() {
    let (home, port) = applied();
    let (web, job) = (pids_answering(port, 2), home.single("job").pid());
    home.rpm(["apply", "ecosystem.toml"]).stdout("no change\n").success();
    let edited = file("kill_timeout = 3000\nmax_restarts = 5", "env = { A = '1', B = '1' }");
    home.write("ecosystem.toml", &edited);
    let want = "change web\n  ~ kill_timeout: 1600 -> 3000\n  ~ max_restarts: 16 -> 5\n";
    home.rpm(["apply", "--dry-run"]).stdout(want).success();
    assert_eq!(pids_answering(port, 2), web);
    home.rpm(["diff", "web"]).stdout(want).success();
    home.rpm(["diff", "job"]).stdout("no change\n").success();
    home.rpm(["apply"]).env("SHELL_OF", "second").stdout(want).success();
    let after = pids_answering(port, 2);
    assert!(after.is_disjoint(&web), "{after:?} {web:?}");
    assert_eq!(home.single("job").pid(), job);
    for app in home.app("web") {
        assert_eq!((app.env("kill_timeout"), app.env("max_restarts")), (&3000.into(), &5.into()));
    }
    home.rpm(["apply"]).stdout("no change\n").success();
    home.rpm(["apply", "./ecosystem.toml", "--prune"]).stdout("no change\n").success();
    assert_eq!(pids_answering(port, 2), after);
}

#[test]
fn removed_variables_are_gone_and_the_shell_is_that_of_the_start() {
    let (home, _) = applied();
    let log = home.single("job").out_log();
    home.wait_for_lines(&log, "SHELL_OF=first", 1);
    home.write("ecosystem.toml", &file("", "env = { A = '2' }"));
    let want = "change job\n  ~ env.A: \"1\" -> \"2\"\n  - env.B: \"1\"\n";
    home.rpm(["apply"]).env("SHELL_OF", "second").stdout(want).success();
    home.wait_for_lines(&log, "SHELL_OF=first", 2);
    assert_eq!(home.wait_for_lines(&log, "A=", 2), "A=1\nA=2");
    assert_eq!(home.wait_for_lines(&log, "B=", 1), "B=1");
    assert!(home.single("job").env("B").is_null());
    let renewed = home.rpm(["apply", "-a"]).env("SHELL_OF", "third").success();
    let line = "  ~ inherited.SHELL_OF: \"first\" -> \"third\"\n";
    assert!(renewed.stdout.contains(line), "{renewed:?}");
    home.wait_for_lines(&log, "SHELL_OF=third", 1);
}

#[test]
fn counts_are_scaled_stopped_apps_started_and_lost_ones_pruned() {
    let (home, port) = applied();
    let before = home.pids("web");
    home.rpm(["scale", "web", "3"]).success();
    home.rpm(["stop", "job"]).success();
    let want = "scale web\n  ~ instances: 3 -> 2\nstart job\n";
    home.rpm(["apply"]).stdout(want).success();
    assert_eq!(home.pids("web"), before);
    assert!(home.single("job").is_online());
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "other"]).success();
    let web = file("", "");
    home.write("ecosystem.toml", web.split_once("[[apps]]\nname = 'job'").expect("two apps").0);
    home.rpm(["apply"]).stdout("no change\n").success();
    home.rpm(["apply", "--prune"]).stdout("delete job\n").success();
    let names: BTreeSet<String> = home.jlist().iter().map(|app| app.name().to_owned()).collect();
    assert_eq!(names, BTreeSet::from(["other".to_owned(), "web".to_owned()]));
    assert_eq!(pids_answering(port, 2), before.into_iter().collect());
}

#[test]
fn a_description_that_fails_leaves_the_former_one_in_force() {
    let (home, port) = applied();
    let before = pids_answering(port, 2);
    home.write("broken.js", "throw new Error('broken build');\n");
    let broken = file("", "env = { A = '1', B = '1' }").replace("'hello.js'", "'broken.js'");
    home.write("ecosystem.toml", &broken);
    let failed = home.rpm(["apply", "--json"]).exits(1);
    let report: serde_json::Value = serde_json::from_str(&failed.stdout).expect("JSON");
    assert_eq!(report["apps"][0]["action"], "change");
    assert_eq!(report["apps"][0]["changes"][0]["key"], "script");
    let failure = report["apps"][0]["failure"].as_str().expect("a failure");
    assert!(failure.contains("broken build"), "{failure}");
    assert_eq!(report["apps"][1]["action"], "none");
    assert_eq!(pids_answering(port, 2), before);
    // It is no change that nobody sees any more, and a crash brings back what served.
    home.rpm(["diff", "web"]).success().stdout.find("broken.js").expect("still differs");
    let exec_path = |home: &Home| home.app("web")[0].env("pm_exec_path").to_string();
    assert!(exec_path(&home).contains("hello.js"));
    home.rpm(["restart", "web"]).success();
    assert_eq!(pids_answering(port, 2).len(), 2);
}

#[test]
fn wrong_words_are_refused() {
    let home = Home::new();
    home.rpm(["apply"]).refused(&["ecosystem"]);
    home.rpm(["apply", "nosuch.toml"]).refused(&["nosuch.toml"]);
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "one"]).success();
    home.rpm(["diff", "one"]).refused(&["one", "without an ecosystem file", "rpm diff"]);
    home.rpm(["diff", "onw"]).refused(&["onw", "one"]);
    home.rpm(["apply", "--prune", "--only", "a"]).refused_with(2, &["--prune"]);
}

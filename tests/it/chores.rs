//! What happens to an app by itself: `cron_restart` and `watch`; and what it is given at each
//! spawn: `env_file`, `filter_env`, another user.

use crate::harness::{App, Home, LIMIT};
use std::fs;

/// Kills the daemon and waits for its end; its successor answers the next command.
fn kill_daemon(home: &Home) {
    let daemon = home.daemon();
    daemon.kill();
    assert!(daemon.ends_within(LIMIT));
}

/// Waits until the daemon of now watches the files of `app`.
fn wait_for_watch(home: &Home, app: &str) {
    home.rpm(["ping"]).success();
    let daemon = home.daemon().0;
    let line = format!("watching its files app={app} daemon={daemon} ");
    home.wait_for_line(&home.path().join("rpm.log"), &line);
}

/// Writes a file in the work folder by one change, which can be one restart only: a machine that
/// stands still between two, to create it and to close it, makes two of them.
fn put(home: &Home, name: &str, text: &str) {
    let draft = home.write("draft", text);
    fs::rename(draft, home.work().join(name)).unwrap();
}

fn restarted(home: &Home, app: &str, times: u64) -> App {
    let what = format!("{app} has restarted {times} times");
    let of = |apps: &[App]| apps.iter().any(|one| one.name() == app && one.restarts() >= times);
    home.wait_until(&what, of);
    home.single(app)
}

/// An app that watches its folder `src`, with `more` keys.
fn watching(more: &str) -> Home {
    let home = Home::new();
    for folder in ["src", "src/lib", "src/node_modules", "src/.git"] {
        fs::create_dir(home.work().join(folder)).unwrap();
    }
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = 'app'\nscript = 'sleep 86420'\nwatch = ['src']\nmin_uptime = 100\n\
             kill_timeout = 500\nstop_signal = 'SIGTERM'\n{more}"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    wait_for_watch(&home, "app");
    home
}

#[test]
fn a_changed_file_restarts_and_is_named() {
    let home = watching("");
    home.write("src/lib/a.js", "1");
    restarted(&home, "app", 1);
    let events = home.rpm(["events", "--json", "--since", "0"]).spawn();
    events.until("the file is named", |text| text.contains("src/lib/a.js"));
    fs::create_dir(home.work().join("src/new")).unwrap();
    restarted(&home, "app", 2);
    home.write("src/new/b.js", "1");
    restarted(&home, "app", 3);
    fs::remove_file(home.work().join("src/lib/a.js")).unwrap();
    restarted(&home, "app", 4);
}

#[test]
fn ignored_files_restart_nothing_and_cost_no_watches() {
    let home = watching("");
    for number in 0..100 {
        home.write("src/node_modules/x.js", &number.to_string());
        home.write("src/.git/HEAD", &number.to_string());
        home.write("src/a.log", &number.to_string());
    }
    // What counts comes after all that does not, and in order.
    put(&home, "src/a.js", "1");
    let app = restarted(&home, "app", 1);
    assert_eq!(app.restarts(), 1);
    home.wait_for_line(&home.path().join("rpm.log"), " directories=2\n");
}

#[test]
fn ignore_watch_replaces_the_defaults() {
    let home = watching("ignore_watch = ['lib', 'src/*.css']\n");
    home.write("src/lib/a.js", "1");
    home.write("src/a.css", "1");
    put(&home, "src/node_modules/x.js", "1");
    assert_eq!(restarted(&home, "app", 1).restarts(), 1);
    let log = fs::read_to_string(home.path().join("rpm.log")).unwrap();
    assert!(log.contains("src/node_modules/x.js"), "{log}");
}

#[test]
fn watching_outlives_the_daemon_and_rests_with_a_stopped_app() {
    let home = watching("");
    kill_daemon(&home);
    wait_for_watch(&home, "app");
    put(&home, "src/a.js", "1");
    restarted(&home, "app", 1);
    home.rpm(["stop", "app"]).success();
    put(&home, "src/a.js", "2");
    // It has an answer only when the daemon has looked, so the change is older than the worker.
    home.rpm(["ping"]).success();
    home.rpm(["start", "app"]).success();
    put(&home, "src/b.js", "1");
    let log = home.wait_for_line(&home.path().join("rpm.log"), "work/src/b.js, restarting");
    assert_eq!(log.matches("src/a.js").count(), 1, "{log}");
}

#[test]
fn an_app_that_writes_what_it_watches_is_no_endless_loop() {
    let home = Home::new();
    fs::create_dir(home.work().join("src")).unwrap();
    home.write("loop.sh", "#!/bin/sh\ndate +%N > src/generated.js\nexec sleep 86421\n");
    let text = "[[apps]]\nname = 'app'\nscript = 'loop.sh'\nwatch = 'src'\nmin_uptime = 100\n\
                stop_signal = 'SIGTERM'\n";
    home.write("ecosystem.toml", text);
    home.rpm(["start", "ecosystem.toml"]).success();
    wait_for_watch(&home, "app");
    home.write("src/generated.js", "1");
    let line = "src/generated.js changes at each restart";
    home.wait_for_line(&home.path().join("rpm.log"), line);
    let restarts = home.single("app").restarts();
    // Five in a row; where the machine stands still they are no row, and it begins anew.
    assert!((4..=18).contains(&restarts), "{restarts}");
}

#[test]
fn cron_restarts_running_and_stopped_apps_over_daemons() {
    let home = Home::new();
    let text = "[[apps]]\nname = 'app'\nscript = 'sleep 86422'\nmin_uptime = 100\n\
                stop_signal = 'SIGTERM'\ncron_restart = '* * * * * *'\n\
                [[apps]]\nname = 'job'\nscript = 'true'\nautorestart = false\nautostart = false\n\
                cron = '* * * * * *'\n";
    home.write("ecosystem.toml", text);
    home.rpm(["start", "ecosystem.toml"]).success();
    let before = restarted(&home, "app", 2).restarts();
    kill_daemon(&home);
    restarted(&home, "app", before + 2);
    let events = home.rpm(["events", "job", "--json", "--since", "0"]).spawn();
    let ran =
        |text: &str| text.matches("\"scheduled\"").count() >= 2 && text.contains("\"code\":0");
    events.until("the job ran by the clock", ran);
    home.rpm(["delete", "all"]).success();
    assert_eq!(home.jlist(), []);
}

#[test]
fn a_cron_pattern_that_is_none_is_refused() {
    let home = Home::new();
    home.write("e.toml", "[[apps]]\nscript = 'sleep 1'\ncron_restart = 'every day'\n");
    home.rpm(["start", "e.toml"]).refused(&["e.toml:3", "cron_restart", "0 3 * * *"]);
}

#[test]
fn env_files_are_read_at_each_start_and_shell_variables_can_be_kept_out() {
    let home = Home::new();
    home.copy("environment.js");
    home.write(".env", "# secrets\nTOKEN=one\nBOTH=file\n");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = 'env'\nscript = 'environment.js'\nargs = 'TOKEN BOTH AWS_KEY PLAIN'\n\
         env_file = '.env'\nfilter_env = ['AWS_']\nmin_uptime = 100\n[apps.env]\nBOTH = 'env'\n",
    );
    let start = home.rpm(["start", "ecosystem.toml"]).env("AWS_KEY", "secret").env("PLAIN", "yes");
    start.success();
    let log = home.single("env").out_log();
    home.wait_for_line(&log, "TOKEN=one\nBOTH=env\nAWS_KEY=\nPLAIN=yes\n");
    home.write(".env", "TOKEN=two\n");
    home.rpm(["restart", "env"]).success();
    home.wait_for_line(&log, "TOKEN=two\nBOTH=env\nAWS_KEY=\nPLAIN=yes\n");
    fs::remove_file(home.work().join(".env")).unwrap();
    home.rpm(["restart", "env"]).exits(1);
    home.rpm(["start", "ecosystem.toml"]).refused(&["ecosystem.toml:5", "env_file", ".env"]);
}

#[test]
fn an_app_runs_as_another_user_with_all_that_is_theirs() {
    if rustix::process::geteuid().as_raw() != 0 {
        // Only root may; what others are told is a test of rpm-config's.
        return;
    }
    let home = Home::new();
    let script = "sh -c \"id; echo $HOME $USER; exec sleep 86423\"";
    let text = "[[apps]]\nname = 'who'\nscript = 'SCRIPT'\nuid = 'daemon'\n";
    home.write("e.toml", &text.replace("SCRIPT", script));
    home.rpm(["start", "e.toml"]).success();
    let log = home.single("who").out_log();
    let text = home.wait_for_line(&log, "daemon\n");
    assert!(text.contains("uid=1(daemon) gid=1(daemon)"), "{text}");
    home.write("f.toml", "[[apps]]\nname = 'x'\nscript = 'sleep 1'\nuid = 'nosuch'\n");
    home.rpm(["start", "f.toml"]).refused(&["x", "there is no user nosuch"]);
}

//! The command line a person lives in.

use crate::harness::{App, Home, LIMIT, Process, pids_answering, port};
use std::collections::BTreeSet;

/// Two workers of `web`, one `worker` in fork mode.
fn fleet() -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "worker"]).success();
    (home, port)
}

#[test]
fn jlist_of_a_new_home_is_an_empty_list_and_nothing_else() {
    Home::new().rpm(["jlist"]).success().apps().is_empty().then_some(()).expect("no apps");
}

#[test]
fn jlist_has_pm2s_fields() {
    let (home, _) = fleet();
    let apps = home.jlist();
    assert_eq!(apps.iter().map(App::id).collect::<Vec<_>>(), [0, 1, 2]);
    for app in &apps {
        for field in [
            "name",
            "namespace",
            "status",
            "pm_id",
            "restart_time",
            "unstable_restarts",
            "pm_uptime",
            "created_at",
            "pm_exec_path",
            "pm_cwd",
            "exec_interpreter",
            "exec_mode",
            "instances",
            "pm_out_log_path",
            "pm_err_log_path",
            "pm_pid_path",
            "autorestart",
            "watch",
            "instance_var",
            "NODE_APP_INSTANCE",
            "env",
            "username",
            "node_args",
        ] {
            assert!(!app.env(field).is_null(), "no pm2_env.{field} in {app:#?}");
        }
        assert!(app.memory() > 0, "{app:#?}");
        let pid_file = app.env("pm_pid_path").as_str().unwrap();
        assert_eq!(std::fs::read_to_string(pid_file).unwrap().trim(), app.pid().to_string());
    }
    assert_eq!(apps[0].env("env")["RPM_HOME"], home.path().display().to_string());
}

#[test]
fn the_table_fits_80_columns_and_has_every_app() {
    let (home, _) = fleet();
    let table = home.on_terminal(80, &["ls"]).success();
    let plain = without_colours(&table.stdout);
    for line in plain.lines() {
        assert!(line.trim_end().chars().count() <= 80, "{line:?}\n{plain}");
    }
    assert!(table.stdout.contains('\u{1b}'), "colours on a terminal: {table:?}");
    has_rows(&plain);
}

#[test]
fn the_table_in_a_pipe_has_no_colours() {
    let (home, _) = fleet();
    for word in ["list", "ls", "l", "ps", "status"] {
        let table = home.rpm([word]).success();
        assert!(!table.stdout.contains('\u{1b}'), "{table:?}");
        assert_eq!(table.stderr, "");
        has_rows(&table.stdout);
    }
}

#[test]
fn no_color_is_respected_on_a_terminal() {
    let (home, _) = fleet();
    let table = home.on_terminal(80, &["ls"]).env("NO_COLOR", "1").success();
    assert!(!table.stdout.contains('\u{1b}'), "{table:?}");
}

fn has_rows(table: &str) {
    let rows: Vec<&str> = table.lines().filter(|line| line.contains("online")).collect();
    assert_eq!(rows.len(), 3, "{table}");
    for (row, name) in rows.iter().zip(["web", "web", "worker"]) {
        assert!(row.contains(name), "{table}");
    }
}

/// The text without `ESC [ … letter`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).map_or(piece.len(), |at| at + 1);
        plain + &piece[end..]
    })
}

#[test]
fn an_empty_list_says_what_to_do() {
    let home = Home::new();
    let table = home.rpm(["ls"]).success();
    assert!(table.text().contains("rpm start"), "{table:?}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let (home, _) = fleet();
    let output = home.rpm_under(&["sh", "-c", "\"$0\" \"$@\" | true"], &["ls"]).success();
    assert_eq!(output.text(), "");
}

#[test]
fn stop_start_restart_delete() {
    let (home, port) = fleet();
    let before: BTreeSet<u32> = home.pids("web").into_iter().collect();
    home.rpm(["stop", "web"]).success();
    for app in home.app("web") {
        assert_eq!((app.status(), app.pid()), ("stopped", 0));
    }
    assert!(before.iter().all(|pid| !Process(*pid).is_alive()));
    home.rpm(["stop", "web"]).success();
    home.rpm(["start", "web"]).success();
    let second = pids_answering(port, 2);
    home.rpm(["restart", "web"]).success();
    let third = pids_answering(port, 2);
    assert!(second.is_disjoint(&before) && second.is_disjoint(&third));
    assert_eq!(home.app("web").iter().map(App::id).collect::<Vec<_>>(), [0, 1]);
    home.rpm(["delete", "web"]).success();
    assert_eq!(home.jlist().iter().map(App::name).collect::<Vec<_>>(), ["worker"]);
    assert!(third.iter().all(|pid| !Process(*pid).is_alive()));
}

#[test]
fn a_manual_restart_counts_and_the_counter_survives_a_stop() {
    let (home, _) = fleet();
    home.rpm(["restart", "worker"]).success();
    home.rpm(["restart", "worker"]).success();
    assert_eq!(home.single("worker").restarts(), 2);
    home.rpm(["stop", "worker"]).success();
    home.rpm(["start", "worker"]).success();
    assert_eq!(home.single("worker").restarts(), 2);
}

#[test]
fn scale_takes_a_number_or_a_difference() {
    let (home, port) = fleet();
    for (word, count) in [("4", 4), ("+1", 5), ("2", 2)] {
        home.rpm(["scale", "web", word]).success();
        assert_eq!(home.app("web").len(), count, "scale web {word}");
        assert_eq!(pids_answering(port, count), home.pids("web").into_iter().collect());
    }
    home.rpm(["scale", "web", "-1"]).success();
    assert_eq!(home.app("web").len(), 1);
    home.rpm(["scale", "web", "1"]).refused(&["web"]);
    assert_eq!(home.app("web").len(), 1);
}

#[test]
fn describe_and_show_tell_about_one_app() {
    let (home, _) = fleet();
    let app = home.single("worker");
    for word in ["describe", "show", "desc", "info"] {
        let shown = home.rpm([word, "worker"]).success();
        let script = app
            .env("pm_exec_path")
            .as_str()
            .unwrap()
            .replace(&home.root().display().to_string(), "$ROOT");
        for part in ["worker", "online", &app.pid().to_string(), &script, "worker-out.log"] {
            assert!(shown.stdout.contains(part), "no {part:?} in {shown:#?}");
        }
    }
}

#[test]
fn save_and_resurrect_bring_the_fleet_back() {
    let (home, port) = fleet();
    home.rpm(["save"]).success();
    assert!(home.path().join("dump.pm2").exists());
    let before = home.jlist();
    home.rpm(["kill"]).success();
    home.rpm(["resurrect"]).success();
    let after = home.jlist();
    let names = |apps: &[App]| -> Vec<(String, u64, String)> {
        let row = |app: &App| (app.name().to_owned(), app.slot(), app.exec_mode().to_owned());
        apps.iter().map(row).collect()
    };
    assert_eq!(names(&after), names(&before));
    assert!(after.iter().all(App::is_online), "{after:#?}");
    assert_eq!(pids_answering(port, 2), home.pids("web").into_iter().collect());
    home.rpm(["resurrect"]).success();
    assert_eq!(home.jlist().len(), 3, "what runs already is left alone");
}

#[test]
fn kill_ends_everything_and_is_no_error_when_nothing_runs() {
    let (home, _) = fleet();
    let (daemon, keeper) = (home.daemon(), home.keeper());
    let apps: Vec<u32> = home.jlist().iter().map(App::pid).collect();
    home.rpm(["kill"]).success();
    assert!(apps.iter().all(|pid| !Process(*pid).is_alive()));
    assert!(daemon.ends_within(LIMIT) && keeper.ends_within(LIMIT));
    home.rpm(["kill"]).success();
    assert_eq!(home.processes(), []);
}

#[test]
fn ping_answers() {
    let home = Home::new();
    let output = home.rpm(["ping"]).success();
    assert!(output.stdout.contains("pong"), "{output:?}");
}

#[test]
fn two_first_commands_at_once_make_one_daemon() {
    let home = Home::new();
    let commands: Vec<_> = (0..6).map(|_| home.rpm(["jlist"]).spawn()).collect();
    for command in commands {
        let output = command.finish(LIMIT);
        assert_eq!((output.code, output.apps()), (0, Vec::new()), "{output:?}");
    }
    // One keeper, one daemon; what was started beside them has ended, or is about to.
    let managers = [home.keeper(), home.daemon()];
    for other in home.processes().into_iter().filter(|one| !managers.contains(one)) {
        let command = other.command();
        assert!(other.ends_within(LIMIT), "{managers:?} and {} {command}", other.0);
    }
}

#[test]
fn wrong_usage_exits_2_and_help_0() {
    let home = Home::new();
    for words in [["frobnicate"], ["--no-such-option"], ["stop"]] {
        home.rpm(words).refused_with(2, &[]);
    }
    for words in [["--help"], ["--version"]] {
        let output = home.rpm(words).success();
        assert!(output.stdout.contains("rpm"), "{output:?}");
    }
    assert_eq!(home.processes(), [], "none of these needs a daemon");
}

#[test]
fn commands_say_what_they_did() {
    let (home, _) = fleet();
    for words in [["stop", "worker"], ["start", "worker"], ["reload", "worker"]] {
        let output = home.rpm(words).success();
        assert!(output.text().contains("worker"), "{output:?}");
        assert!(!output.text().contains('\u{1b}'), "{output:?}");
    }
}

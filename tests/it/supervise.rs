//! Supervision: what happens after an exit nobody asked for, and how things end that are asked to.

use crate::harness::{AT_EASE, App, Home, Load, Process, get, pids_answering, port};
use std::time::{Duration, Instant};

/// An ecosystem file with one app `app` running crash.js, and further lines.
fn crash(home: &Home, lines: &str) {
    home.copy("crash.js");
    let head = "[[apps]]\nname = \"app\"\nscript = \"crash.js\"\n";
    home.write("ecosystem.toml", &format!("{head}{lines}"));
    // Whether the start of a crashing app fails is not the point here.
    home.rpm(["start", "ecosystem.toml"]).output();
}

/// The times crash.js says it began at, in milliseconds, once there are `count`.
fn begins(home: &Home, count: usize) -> Vec<u64> {
    let log = home.single("app").out_log();
    let text = home.wait_for_lines(&log, "begin ", count);
    text.lines().map(|line| line.trim_start_matches("begin ").parse().unwrap()).collect()
}

fn gaps(times: &[u64]) -> Vec<u64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn settles_as(home: &Home, status: &str) -> App {
    home.wait_until(status, |apps| apps.iter().all(|app| app.status() == status));
    home.single("app")
}

#[test]
fn a_killed_worker_is_replaced_at_once() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    let before = home.pids("web");
    Process(before[0]).kill();
    let apps = home.wait_until("a replacement", |apps| {
        apps[0].pid() != before[0] && apps.iter().all(App::is_online)
    });
    assert_eq!(apps.iter().map(App::restarts).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(apps[1].pid(), before[1]);
    pids_answering(port, 2);
}

#[test]
fn too_many_quick_exits_end_as_errored() {
    let home = Home::new();
    crash(&home, "max_restarts = 3\n");
    let app = settles_as(&home, "errored");
    // The third exit in a row is the last: it was restarted twice.
    assert_eq!((app.restarts(), app.exit_code(), app.pid()), (2, Some(1), 0));
    assert_eq!(begins(&home, 3).len(), 3);
}

#[test]
fn the_default_is_pm2s_16() {
    let home = Home::new();
    crash(&home, "");
    assert_eq!(settles_as(&home, "errored").restarts(), 15);
}

#[test]
fn an_exit_after_min_uptime_does_not_count() {
    let home = Home::new();
    crash(&home, "max_restarts = 2\nmin_uptime = \"100ms\"\nenv = { AFTER = \"250\" }\n");
    begins(&home, 5);
    assert_ne!(home.single("app").status(), "errored");
}

#[test]
fn a_crash_each_few_seconds_is_a_loop_too() {
    let home = Home::new();
    crash(&home, "max_restarts = 3\nenv = { AFTER = \"1200\" }\n");
    let app = settles_as(&home, "errored");
    assert_eq!((app.restarts(), app.exit_code()), (2, Some(1)));
    let shown = home.rpm(["show", "app"]).success().stdout;
    assert!(shown.contains("with code 1 at"), "{shown}");
}

#[test]
fn what_waits_before_each_restart_never_gives_up() {
    let home = Home::new();
    crash(&home, "restart_delay = 1\n");
    begins(&home, 18);
    assert_ne!(home.single("app").status(), "errored");
}

#[test]
fn restart_delay_waits() {
    let home = Home::new();
    crash(&home, "restart_delay = 400\nmax_restarts = 4\n");
    let gaps = gaps(&begins(&home, 3));
    assert!(gaps.iter().all(|gap| *gap >= 395), "{gaps:?}");
}

#[test]
fn exponential_back_off_waits_longer_each_time() {
    let home = Home::new();
    crash(&home, "exp_backoff_restart_delay = 100\nmax_restarts = 20\n");
    let gaps = gaps(&begins(&home, 5));
    for (gap, least) in gaps.iter().zip([100, 150, 225, 337]) {
        assert!(*gap + 5 >= least, "{gaps:?}");
    }
}

#[test]
fn an_app_that_waits_for_its_restart_says_so_and_can_be_stopped() {
    let home = Home::new();
    crash(&home, "restart_delay = \"1h\"\n");
    settles_as(&home, "waiting restart");
    home.rpm(["stop", "app"]).success();
    assert_eq!(home.single("app").status(), "stopped");
}

#[test]
fn stop_exit_codes_stop() {
    let home = Home::new();
    crash(&home, "stop_exit_codes = [3, 4]\nenv = { CODE = \"4\" }\n");
    let app = settles_as(&home, "stopped");
    assert_eq!((app.restarts(), app.exit_code()), (0, Some(4)));
}

#[test]
fn without_autorestart_an_exit_is_the_end() {
    let home = Home::new();
    crash(&home, "autorestart = false\nenv = { CODE = \"7\" }\n");
    let app = settles_as(&home, "stopped");
    assert_eq!((app.restarts(), app.exit_code()), (0, Some(7)));
    let shown = home.rpm(["show", "app"]).success();
    assert!(
        shown.stdout.lines().any(|line| line.contains("exit") && line.contains('7')),
        "{shown:?}"
    );
}

#[test]
fn the_true_signal_is_kept_and_shown() {
    let home = Home::new();
    crash(&home, "autorestart = false\nenv = { SIGNAL = \"SIGKILL\" }\n");
    settles_as(&home, "stopped");
    let shown = home.rpm(["show", "app"]).success();
    assert!(shown.stdout.contains("SIGKILL"), "{shown:?}");
}

/// Starts `web` with a limit of memory, and waits for as long as it needs to listen.
fn with_limit(home: &Home, command: &str, count: &str, port: u16) {
    let words = ["start", command, "--name", "web", "-i", count, "--max-memory-restart", "200M"];
    let words = [&words[..], &AT_EASE].concat();
    home.rpm_under(&[], &words).env("PORT", port).success();
}

#[test]
fn too_much_memory_means_a_reload_not_a_kill() {
    let (home, port) = (Home::new(), port());
    home.copy("memory.js");
    with_limit(&home, "memory.js", "2", port);
    let before = home.pids("web");
    let load = Load::on(port).fresh(2).keep_alive(2);
    load.more(20);
    get(port, "/grow?mb=250").expect("grown");
    let apps = home.wait_until("the big one is replaced", |apps| {
        apps.iter().map(App::restarts).sum::<u64>() == 1 && apps.iter().all(App::is_online)
    });
    load.more(100);
    load.stop().is_clean(120);
    let kept = apps.iter().filter(|app| before.contains(&app.pid())).count();
    assert_eq!(kept, 1, "{before:?} {apps:#?}");
}

#[test]
fn memory_is_counted_over_the_whole_tree() {
    let (home, port) = (Home::new(), port());
    home.copy("memory.js");
    // The shell stays: it has something to do after the server.
    let command = "node memory.js; echo done";
    with_limit(&home, command, "1", port);
    let before = home.single("web");
    assert!(before.memory() > 20 << 20, "the shell alone is smaller: {before:#?}");
    get(port, "/grow?mb=250").expect("grown");
    home.wait_until("it is replaced", |apps| {
        apps[0].pid() != before.pid() && apps[0].is_online() && apps[0].restarts() == 1
    });
}

#[test]
fn after_kill_timeout_comes_sigkill() {
    let home = Home::new();
    home.copy("ignores-sigint.js");
    home.rpm(["start", "ignores-sigint.js", "--name", "app", "--kill-timeout", "5s"]).success();
    let app = home.single("app");
    home.wait_for_line(&app.out_log(), "ready to ignore");
    let began = Instant::now();
    home.rpm(["stop", "app"]).success();
    let took = began.elapsed();
    assert!(!Process(app.pid()).is_alive());
    assert!(took >= Duration::from_secs(5), "{took:?}");
    home.wait_for_line(&app.out_log(), "SIGINT ignored");
    assert!(home.rpm(["show", "app"]).success().stdout.contains("SIGKILL"));
}

#[test]
fn the_whole_tree_stops() {
    let home = Home::new();
    home.copy("tree.sh");
    home.rpm(["start", "tree.sh", "--name", "tree"]).success();
    home.wait_for_line(&home.single("tree").out_log(), "started");
    let commands: Vec<_> = home.app_processes().iter().map(|found| found.command()).collect();
    for sleeper in ["sleep 86401", "sleep 86402", "sleep 86403"] {
        assert!(commands.iter().any(|command| command == sleeper), "{commands:?}");
    }
    home.rpm(["stop", "tree"]).success();
    assert_eq!(home.app_processes(), [], "after stop returned nothing is left");
}

#[test]
fn a_crashed_leader_takes_its_children_along_and_waits_for_no_open_pipe() {
    let home = Home::new();
    home.copy("daemonises.sh");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"app\"\nscript = \"daemonises.sh\"\nmax_restarts = 2\n",
    );
    home.rpm(["start", "ecosystem.toml"]).output();
    let app = settles_as(&home, "errored");
    assert_eq!((app.restarts(), app.exit_code()), (1, Some(5)));
    home.apps_end();
}

//! What goes on by itself goes on after each death: cron, watching, rotation of logs.

use super::{both::kill_pair, is_complete, kill_daemon, kill_keeper};
use crate::harness::{App, Home, wait_for};
use std::{fs, path::PathBuf};

fn restarts(apps: &[App], name: &str) -> u64 {
    apps.iter().find(|app| app.name() == name).map_or(0, App::restarts)
}

/// Waits until the daemon of now watches files.
fn watches(home: &Home) {
    home.rpm(["ping"]).success();
    let line = format!("watching its files app=watch daemon={} ", home.daemon().0);
    home.wait_for_line(&home.path().join("rpm.log"), &line);
}

#[test]
fn cron_and_watch_go_on_after_each_death() {
    let home = Home::new();
    fs::create_dir(home.work().join("src")).unwrap();
    let text = "[[apps]]\nname = 'cron'\nscript = 'sleep 86431'\nmin_uptime = 100\n\
                stop_signal = 'SIGTERM'\ncron_restart = '* * * * * *'\n\
                [[apps]]\nname = 'watch'\nscript = 'sleep 86432'\nmin_uptime = 100\n\
                stop_signal = 'SIGTERM'\nwatch = ['src']\n";
    home.write("ecosystem.toml", text);
    home.rpm(["start", "ecosystem.toml"]).success();
    for (fault, times) in [(kill_daemon as fn(&Home), 1), (kill_keeper, 2), (kill_pair, 3)] {
        watches(&home);
        let before = restarts(&home.jlist(), "cron");
        fault(&home);
        watches(&home);
        // Moved there whole: to make a file and to write to it are two changes.
        fs::rename(home.write("a.js", &times.to_string()), home.work().join("src/a.js")).unwrap();
        home.wait_until("both restarted", |apps| {
            restarts(apps, "watch") == times && restarts(apps, "cron") >= before + 2
        });
    }
    // Cron restarts its one each second, so that there may be none of it, or two, at any moment.
    home.rpm(["delete", "all"]).success();
    assert_eq!(home.app_processes(), []);
}

/// All of a log's files, the rotated ones first.
fn files_of(home: &Home, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path().join("logs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let of_log = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
    let mut paths: Vec<_> = paths.filter(of_log).collect();
    paths.sort();
    // The one that is written now has no time behind its name.
    paths.rotate_left(1);
    paths
}

#[test]
fn a_log_that_rotates_all_the_time_has_every_line_over_deaths() {
    let home = Home::new();
    home.copy("ticker.js");
    let text = "[[apps]]\nname = 'app'\nscript = 'ticker.js'\n\
                rotate = { max_size = \"4K\", keep = 1000, compress = false }\n";
    home.write("ecosystem.toml", text);
    home.rpm(["start", "ecosystem.toml"]).success();
    let log = home.single("app").out_log();
    for fault in [kill_daemon as fn(&Home), kill_keeper, kill_daemon, kill_pair, kill_daemon] {
        let before = files_of(&home, "app-out.log").len();
        wait_for(&log, "one more", |_| files_of(&home, "app-out.log").len() > before);
        fault(&home);
        home.jlist();
    }
    home.rpm(["stop", "app"]).success();
    home.rpm(["kill"]).success();
    let files = files_of(&home, "app-out.log");
    let whole: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    is_complete(&whole);
}

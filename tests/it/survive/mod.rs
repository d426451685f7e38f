//! The manager is disposable: whatever of it dies, apps and their clients do not notice.

mod both;
mod chores;
mod daemon;
mod faults;
mod fronts;
mod keeper;
mod random;
mod reboot;
mod sandbox;
mod table;
mod update;
mod versions;

pub(crate) use both::kill_both;

use crate::harness::{App, Home, LIMIT, Process};

/// What must outlive daemon and keeper.
fn essence(apps: &[App]) -> Vec<(String, u64, u32, u64, String)> {
    let row = |app: &App| {
        let status = app.status().to_owned();
        (app.name().to_owned(), app.id(), app.pid(), app.restarts(), status)
    };
    apps.iter().map(row).collect()
}

/// Kills the daemon and waits for its end, but not for its successor.
fn kill_daemon(home: &Home) {
    let daemon = home.daemon();
    daemon.kill();
    assert!(daemon.ends_within(LIMIT));
}

/// Kills the keeper and waits for its end and for the next one, which answers when the daemon has
/// handed everything over.
fn kill_keeper(home: &Home) {
    let keeper = home.keeper();
    keeper.kill();
    assert!(keeper.ends_within(LIMIT));
    files_say(home, keeper);
}

/// Waits until the daemon has said that there is a keeper after this one.
fn files_say(home: &Home, keeper: Process) {
    let gone = format!("another is started pid={}", keeper.0);
    home.wait_for_log(|log| {
        log.split_once(&gone)
            .is_some_and(|(_, rest)| rest.contains("the new keeper has everything"))
    });
}

/// Starts two workers `web` of Python's own server. None is told to stop before all that had come
/// to it is accepted, however long that takes.
fn start_patient(home: &Home, port: u16) {
    home.copy("server.py");
    let text = format!(
        "[[apps]]\nname = \"web\"\nscript = \"server.py\"\ninstances = 2\n\
         drain_timeout = \"1h\"\nenv = {{ PORT = \"{port}\" }}\n"
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
}

/// Asserts that a file has the lines `tick 1`, `tick 2` … and no other.
fn is_complete(text: &str) {
    let expected: Vec<_> =
        (1..=text.lines().count()).map(|number| format!("tick {number}")).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

/// The living daemon of a keeper, also one that has not said so yet.
fn daemon_of(keeper: Process) -> Option<Process> {
    let mut all = Process::all().into_iter();
    all.find(|one| one.is_child_of(keeper) && one.command().contains("__daemon"))
}

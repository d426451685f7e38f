//! The manager is disposable: whatever of it dies, apps and their clients do not notice.

mod daemon;
mod faults;
mod random;

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

//! What every program of the matrix goes through.

use super::program::Program;
use crate::harness::{App, Door, Home, Load, Process, Report, Who};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};

/// So many questions find each of four workers, wherever the kernel sends each.
const TRIES: usize = 500;
/// Requests before and after what is done.
const SOME: u64 = 20;
/// Which worker is killed: neither the first nor the last.
const VICTIM: usize = 1;

/// Three workers answer, are reloaded, and one is killed.
pub(super) fn live(program: &Program) {
    let home = Home::new();
    let door = program.start(&home);
    let first = answers(&home, &door, 3);
    assert_eq!(restarts(&home), [0, 0, 0]);

    let report = under_load(program, &door, || {
        home.rpm(["reload", "web"]).success();
    });
    is_fair(&report, program.manners.may_cut(3));
    let second = answers(&home, &door, 3);
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(restarts(&home), [1, 1, 1]);

    let report = under_load(program, &door, || killed(&home));
    // Only what was inside the killed worker may be cut: at most one request of each client.
    is_fair(&report, clients(program));
    answers(&home, &door, 3);
}

/// Three workers become four, and two.
pub(super) fn scales(program: &Program) {
    let home = Home::new();
    let door = program.start(&home);
    let report = under_load(program, &door, || {
        home.rpm(["scale", "web", "4"]).success();
        answers(&home, &door, 4);
        home.rpm(["scale", "web", "2"]).success();
    });
    answers(&home, &door, 2);
    assert_eq!(restarts(&home), [0, 0]);
    is_fair(&report, program.manners.may_cut(2) + datagrams_lost(program, &door, 2));
}

/// Each datagram is for one slot alone: what waits for one that is scaled away is lost, as UDP may.
fn datagrams_lost(program: &Program, door: &Door, slots: u64) -> u64 {
    if matches!(door, Door::Datagram(_)) { clients(program) * slots } else { 0 }
}

/// As many processes answer as rpm says there are workers, each in the tree of its slot's worker;
/// the pids of those that answered.
pub(super) fn answers(home: &Home, door: &Door, count: usize) -> BTreeSet<u32> {
    answers_of(home, "web", door, count)
}

/// The same of an app of any name.
pub(super) fn answers_of(home: &Home, app: &str, door: &Door, count: usize) -> BTreeSet<u32> {
    let workers: BTreeMap<u64, Process> =
        home.app(app).iter().map(|app| (app.slot(), Process(app.pid()))).collect();
    assert_eq!(workers.len(), count, "{workers:?}");
    let found = met(door, count);
    for (slot, pids) in &found {
        let worker = workers[slot];
        let ours = |pid: &u32| Process(*pid).is_within(worker);
        assert!(pids.iter().all(ours), "slot {slot} of {workers:?}: {found:?}");
    }
    found.into_values().flatten().collect()
}

/// Asks until so many slots have answered; the pids of each.
pub(super) fn met(door: &Door, count: usize) -> BTreeMap<u64, BTreeSet<u32>> {
    let mut found: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    let mut stopped = Vec::new();
    let mut client = door.client();
    for _ in 0..TRIES {
        let who = client().unwrap_or_else(|error| panic!("{door:?}: {error}; {found:?}"));
        found.entry(slot(&who)).or_default().insert(who.pid);
        if found.len() == count {
            break;
        }
        if matches!(door, Door::Path(_)) {
            // All have one queue and the quickest may take everything: it stands aside.
            Process(who.pid).freeze();
            stopped.push(Process(who.pid));
        }
    }
    for process in stopped {
        process.signal(Signal::CONT);
    }
    assert_eq!(found.len(), count, "{TRIES} questions at {door:?} reached {found:?} only");
    found
}

fn slot(who: &Who) -> u64 {
    let text = who.instance.as_deref().expect("NODE_APP_INSTANCE");
    text.parse().expect("a number")
}

fn restarts(home: &Home) -> Vec<u64> {
    let apps = home.app("web");
    assert!(apps.iter().all(App::is_online), "{apps:#?}");
    apps.iter().map(App::restarts).collect()
}

fn clients(program: &Program) -> u64 {
    u64::try_from(program.fresh + program.keep_alive).expect("few")
}

/// Does something while clients ask.
fn under_load(program: &Program, door: &Door, act: impl FnOnce()) -> Report {
    let mut load = Load::of(door).through(door, program.fresh);
    if program.keep_alive > 0 {
        load = load.keep_alive(program.keep_alive);
    }
    load.more(SOME);
    act();
    load.more(SOME);
    load.stop()
}

/// Kills one worker and waits until it is replaced.
pub(super) fn killed(home: &Home) {
    let victim = home.app("web")[VICTIM].clone();
    Process(victim.pid()).kill();
    home.wait_until("it is replaced", |apps| {
        apps[VICTIM].pid() != victim.pid() && apps.iter().all(App::is_online)
    });
}

/// Nothing was refused, and no more failed than may.
pub(super) fn is_fair(report: &Report, may_fail: u64) {
    assert_eq!(report.refused, 0, "refused connections: {report:#?}");
    assert!(report.failures <= may_fail, "more than {may_fail} failed: {report:#?}");
}

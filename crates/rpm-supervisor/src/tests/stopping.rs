//! Stop, restart and delete, alone and across each other.

use super::bench::*;
use crate::*;
use std::time::Duration;

const NOTHING: [&str; 0] = [];

#[test]
fn a_stop_ends_with_the_tree_and_not_with_the_leader() {
    let mut bench = Bench::online(fork(), 1);
    assert_eq!(bench.ask(Command::Stop(ids(&[0]))), ["stop 0"]);
    assert_eq!(bench.exited(0, Exit::Signal(2)), ["notice 0 exited Signal(2) as asked"]);
    assert_eq!(bench.statuses(), "0:stopping");
    assert_eq!(bench.slot(0).last_exit, Some((Exit::Signal(2), Moment(1000))));
    assert_eq!(bench.gone(0), ["notice 0 stopped", "release slot 0", "answer 2: done [0]"]);
    assert_eq!(bench.slot(0).restarts, 0);
}

#[test]
fn the_kill_comes_once() {
    let mut bench = Bench::online(fork(), 1);
    bench.ask(Command::Stop(ids(&[0])));
    assert_eq!(bench.pass(1599), NOTHING);
    assert_eq!(bench.pass(1), ["kill 0"]);
    assert_eq!(bench.pass(5000), NOTHING);
    assert_eq!(bench.statuses(), "0:stopping");
}

#[test]
fn what_follows_a_stop_is_what_was_asked_last() {
    let gone = |second: Command| {
        let mut bench = Bench::online(fork(), 1);
        bench.ask(Command::Stop(ids(&[0])));
        assert_eq!(bench.ask(second), NOTHING);
        bench.gone(0)
    };
    let spawned = ["spawn 1 in slot 0", "answer 2: done [0]"];
    assert_eq!(gone(Command::Start(ids(&[0]))), spawned);
    assert_eq!(gone(Command::Restart(ids(&[0]))), spawned);
    assert_eq!(gone(Command::Reload(ids(&[0]))), spawned);
    let answers = ["answer 2: done [0]", "answer 3: done [0]"];
    assert_eq!(gone(Command::Stop(ids(&[0])))[2..], answers, "both wait for the same end");
    assert_eq!(
        gone(Command::Delete(ids(&[0]))),
        ["release slot 0", "notice 0 deleted", "forget a", answers[0], answers[1]]
    );
}

#[test]
fn a_restart_stops_and_starts_and_counts() {
    let mut bench = Bench::online(fork(), 2);
    assert_eq!(bench.ask(Command::Restart(ids(&[0, 1]))), ["stop 0", "stop 1"]);
    assert_eq!(bench.gone(0), ["spawn 2 in slot 0"]);
    assert_eq!(bench.gone(1), ["spawn 3 in slot 1"]);
    assert_eq!(bench.slot(0).restarts, 1);
    assert_eq!(bench.pass(1000), ["notice 0 online", "notice 1 online", "answer 2: done [0, 1]"]);
}

#[test]
fn a_restart_of_a_stopped_one_starts_it_and_does_not_count() {
    let mut bench = Bench::online(fork(), 1);
    bench.ask(Command::Stop(ids(&[0])));
    bench.gone(0);
    assert_eq!(bench.ask(Command::Restart(ids(&[0]))), ["spawn 1 in slot 0"]);
    assert_eq!(bench.slot(0).restarts, 0);
}

#[test]
fn a_restart_forgives() {
    let mut policy = fork();
    policy.restart.exp_backoff_restart_delay = Some(Duration::from_millis(100));
    let mut bench = Bench::online(policy, 1);
    bench.dies(0, 1);
    let instance = bench.slot(0);
    assert_eq!((instance.unstable, instance.previous_delay_ms), (1, 100));
    bench.now = Moment(1050);
    assert_eq!(bench.ask(Command::Restart(ids(&[0]))), ["spawn 1 in slot 0"]);
    let instance = bench.slot(0);
    assert_eq!((instance.unstable, instance.previous_delay_ms), (0, 0));
    assert_eq!((instance.restarts, instance.created), (1, Moment(1050)));
}

#[test]
fn waiting_and_errored_ones_stop_at_once() {
    let mut policy = fork();
    policy.restart.restart_delay = Duration::from_millis(500);
    let mut bench = Bench::online(policy, 1);
    bench.dies(0, 1);
    let stopped = ["notice 0 stopped", "release slot 0", "answer 2: done [0]"];
    assert_eq!(bench.ask(Command::Stop(ids(&[0]))), stopped);
    assert_eq!(bench.fleet.deadline(), None);
    assert_eq!(bench.ask(Command::Stop(ids(&[0]))), ["answer 3: done [0]"], "again");
}

#[test]
fn a_stop_supersedes_a_start_that_waits() {
    let mut bench = Bench::launching(fork(), 2);
    assert_eq!(bench.ask(Command::Stop(ids(&[1]))), ["stop 1"]);
    assert_eq!(
        bench.ready(0),
        ["notice 0 online", "answer 1: failed, instance 1, worker 1, Superseded"]
    );
}

#[test]
fn a_start_of_running_ones_is_done_at_once() {
    let mut bench = Bench::online(fork(), 2);
    assert_eq!(bench.ask(Command::Start(ids(&[1, 0, 1]))), ["answer 2: done [0, 1]"]);
    assert_eq!(bench.ask(Command::Start(Vec::new())), ["answer 3: done []"]);
}

#[test]
fn one_request_spans_apps() {
    let mut bench = Bench::online(fork(), 1);
    let (app, policy) = (name("b"), fork());
    bench.ask(Command::Register { app, policy, instances: 1, autostart: true });
    assert_eq!(
        bench.ask(Command::Stop(ids(&[0, 1]))),
        ["stop 0", "stop 1", "answer 2: failed, instance 1, worker 1, Superseded",]
    );
    assert_eq!(bench.gone(0), ["notice 0 stopped", "release slot 0"]);
    assert_eq!(bench.gone(1), ["notice 1 stopped", "release slot 0", "answer 3: done [0, 1]"]);
}

#[test]
fn deleting_the_last_app_begins_ids_anew_but_not_workers() {
    let mut bench = Bench::online(fork(), 2);
    assert_eq!(bench.ask(Command::Delete(ids(&[0, 1]))), ["stop 0", "stop 1"]);
    assert_eq!(bench.statuses(), "0:stopping 1:stopping");
    assert_eq!(bench.gone(0), ["release slot 0", "notice 0 deleted"]);
    assert_eq!(
        bench.gone(1),
        ["release slot 1", "notice 1 deleted", "forget a", "answer 2: done [0, 1]"]
    );
    assert_eq!(bench.fleet, Fleet { next_worker: 2, ..Fleet::default() });
}

#[test]
fn what_is_being_deleted_cannot_be_started() {
    let mut bench = Bench::online(fork(), 2);
    bench.ask(Command::Delete(ids(&[0])));
    let denied = "answer 3: denied, there is no instance 0";
    assert_eq!(bench.ask(Command::Restart(ids(&[0]))), [denied]);
    assert_eq!(bench.ask(Command::Start(ids(&[0, 1]))), ["answer 4: done [1]"]);
    assert_eq!(bench.ask(Command::Stop(ids(&[0]))), NOTHING);
    assert_eq!(
        bench.gone(0),
        ["release slot 0", "notice 0 deleted", "answer 2: done [0]", "answer 5: done [0]"]
    );
}

#[test]
fn a_stop_ends_replacement_and_drain_too() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(Command::Reload(ids(&[0])));
    bench.ready(1);
    assert_eq!(
        bench.ask(Command::Stop(ids(&[0]))),
        ["stop 0", "stop 1", "answer 2: failed, instance 0, worker 1, Superseded"]
    );
    assert_eq!(bench.gone(1), ["notice 0 stopped"]);
    assert_eq!(bench.statuses(), "0:stopping", "worker 0 is still there");
    assert_eq!(bench.gone(0), ["release slot 0", "answer 3: done [0]"]);

    let mut bench = Bench::online(cluster(), 1);
    bench.ask(Command::Reload(ids(&[0])));
    assert_eq!(
        bench.ask(Command::Delete(ids(&[0]))),
        ["stop 1", "stop 0", "answer 2: failed, instance 0, worker 0, Superseded"]
    );
    bench.gone(0);
    assert_eq!(
        bench.gone(1),
        ["release slot 0", "notice 0 deleted", "forget a", "answer 3: done [0]"]
    );
}

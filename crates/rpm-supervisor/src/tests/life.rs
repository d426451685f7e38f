//! Launch, readiness, exits and restart policy.

use super::bench::*;
use crate::*;
use rpm_config::Ready;
use std::time::Duration;

const NOTHING: [&str; 0] = [];

#[test]
fn all_instances_are_spawned_at_once_and_answered_together() {
    let mut bench = Bench { fleet: Fleet::default(), now: Moment(5), tickets: 0 };
    let register =
        || Command::Register { app: name("a"), policy: cluster(), instances: 2, autostart: true };
    assert_eq!(bench.ask(register()), ["spawn 0 in slot 0", "spawn 1 in slot 1"]);
    assert_eq!(bench.statuses(), "0:launching 1:launching");
    assert_eq!(bench.on(Event::Spawned { worker: WorkerId(0) }), ["notice 0 starting"]);
    assert_eq!(bench.ready(0), ["notice 0 online"]);
    assert_eq!(bench.ready(1), ["notice 1 online", "answer 1: done [0, 1]"]);
    assert_eq!(bench.ask(register()), ["answer 2: denied, an app named a exists already"]);
}

#[test]
fn without_autostart_it_is_registered_stopped() {
    let mut bench = Bench { fleet: Fleet::default(), now: Moment(5), tickets: 0 };
    let (app, policy) = (name("a"), fork());
    let register = Command::Register { app, policy, instances: 1, autostart: false };
    assert_eq!(bench.ask(register), ["answer 1: done [0]"]);
    assert_eq!(bench.statuses(), "0:stopped");
    assert_eq!(bench.fleet.deadline(), None);
}

#[test]
fn instance_numbers_have_an_end() {
    for (instances, fits) in
        [(0, false), (1, true), (MAX_INSTANCES, true), (MAX_INSTANCES + 1, false)]
    {
        let mut bench = Bench { fleet: Fleet::default(), now: Moment(0), tickets: 0 };
        let (app, policy) = (name("a"), fork());
        let effects = bench.ask(Command::Register { app, policy, instances, autostart: true });
        let denied =
            format!("answer 1: denied, a cannot have {instances} instances, only 1 to 4096");
        assert_eq!(effects.len(), if fits { instances as usize } else { 1 });
        assert_eq!(effects[0] == denied, !fits, "{effects:?}");
    }
}

#[test]
fn fork_mode_is_online_when_it_lived_for_min_uptime() {
    let mut bench = Bench::launching(fork(), 1);
    assert_eq!(bench.fleet.deadline(), Some(Moment(2000)));
    assert_eq!(bench.pass(999), NOTHING);
    assert_eq!(bench.pass(1), ["notice 0 online", "answer 1: done [0]"]);
    assert_eq!(bench.fleet.deadline(), None);
}

#[test]
fn a_cluster_app_that_never_listens_is_taken_for_online() {
    let mut bench = Bench::launching(cluster(), 1);
    assert_eq!(bench.pass(2999), NOTHING);
    assert_eq!(bench.pass(1), ["notice 0 online", "answer 1: done [0]"]);
    assert!(!bench.app().listens);
    assert_eq!(bench.ready(0), NOTHING, "late");
    assert!(bench.app().listens);
}

#[test]
fn one_that_is_known_to_listen_gets_longer_and_then_fails() {
    let mut bench = Bench::launching(cluster(), 2);
    bench.ready(0);
    assert_eq!(bench.pass(3000), NOTHING, "worker 1 was given more time when worker 0 listened");
    assert_eq!(bench.fleet.deadline(), Some(Moment(31_000)));
    let failed = "answer 1: failed, instance 1, worker 1, NotReady(30s)";
    assert_eq!(bench.pass(27_000), ["stop 1", failed]);
    assert_eq!(bench.statuses(), "0:online 1:stopping");
    assert_eq!(
        bench.dies(1, 0),
        ["notice 1 exited Code(0) as asked", "spawn 2 in slot 1"],
        "restart policy goes on"
    );
    assert_eq!(bench.slot(1).unstable, 1);
}

#[test]
fn an_app_that_must_say_ready_and_does_not_fails() {
    let mut bench = Bench::launching(Policy { ready: Ready::Message, ..fork() }, 1);
    let failed = "answer 1: failed, instance 0, worker 0, NotReady(3s)";
    assert_eq!(bench.pass(3000), ["stop 0", failed]);
    assert_eq!(bench.pass(1600), ["kill 0"]);
    assert_eq!(bench.fleet.deadline(), None);
    assert_eq!(bench.gone(0), ["spawn 1 in slot 0"]);
}

#[test]
fn a_crash_restarts_at_once() {
    let mut bench = Bench::online(fork(), 1);
    assert_eq!(bench.dies(0, 3), ["notice 0 exited Code(3)", "stop 0", "spawn 1 in slot 0"]);
    let instance = bench.slot(0);
    assert_eq!((instance.restarts, instance.unstable), (1, 1));
    assert_eq!(instance.last_exit, Some((Exit::Code(3), Moment(1000))));
}

#[test]
fn leftovers_of_a_crash_are_swept_before_the_restart() {
    let mut bench = Bench::online(fork(), 1);
    let exited = bench.exited(0, Exit::Signal(11));
    assert_eq!(exited, ["notice 0 exited Signal(11)", "stop 0"]);
    assert_eq!(bench.statuses(), "0:stopping");
    assert_eq!(bench.pass(1600), ["kill 0"]);
    assert_eq!(bench.gone(0), ["spawn 1 in slot 0"]);
}

#[test]
fn the_sixteenth_early_exit_is_the_last() {
    let mut bench = Bench::launching(fork(), 1);
    let mut effects = Vec::new();
    for worker in 0..16 {
        assert_eq!(bench.statuses(), "0:launching");
        effects = bench.dies(worker, 1);
    }
    assert_eq!(
        effects,
        ["notice 0 exited Code(1)", "stop 15", "notice 0 errored", "release slot 0"]
    );
    let instance = bench.slot(0);
    assert_eq!((instance.status(), instance.restarts, instance.unstable), (Status::Errored, 15, 0));
    assert_eq!(bench.ask(Command::Start(ids(&[0]))), ["spawn 16 in slot 0"]);
    assert_eq!(bench.slot(0).restarts, 15);
}

#[test]
fn the_first_exit_fails_the_request() {
    let mut bench = Bench::launching(cluster(), 2);
    bench.dies(1, 9);
    assert_eq!(
        bench.ready(0),
        ["notice 0 online", "answer 1: failed, instance 1, worker 1, Exited(Code(9))",]
    );
}

#[test]
fn a_one_shot_script_is_no_failure() {
    let mut policy = fork();
    policy.restart.autorestart = false;
    let mut bench = Bench::launching(policy, 1);
    assert_eq!(
        bench.dies(0, 0),
        [
            "notice 0 exited Code(0)",
            "stop 0",
            "answer 1: done [0]",
            "notice 0 stopped",
            "release slot 0",
        ]
    );
}

#[test]
fn a_known_listener_that_exits_with_0_at_launch_failed() {
    let mut bench = Bench::launching(cluster(), 2);
    bench.ready(0);
    let effects = bench.dies(1, 0);
    assert!(effects.contains(&"answer 1: failed, instance 1, worker 1, Exited(Code(0))".into()));
}

#[test]
fn a_delay_is_waited_for() {
    let mut policy = fork();
    policy.restart.restart_delay = Duration::from_millis(500);
    let mut bench = Bench::online(policy, 1);
    let waits = ["notice 0 exited Code(1)", "stop 0", "notice 0 waiting 500 ms"];
    assert_eq!(bench.dies(0, 1), waits);
    assert_eq!(bench.statuses(), "0:waiting restart");
    assert_eq!(bench.slot(0).restarts, 0);
    assert_eq!(bench.pass(499), NOTHING);
    assert_eq!(bench.pass(1), ["spawn 1 in slot 0"]);
    assert_eq!(bench.slot(0).restarts, 1);
}

#[test]
fn a_program_that_cannot_be_executed_is_errored() {
    let mut bench = Bench::launching(fork(), 1);
    assert_eq!(
        bench.not_spawned(0),
        [
            "notice 0 not spawned: no such file",
            "notice 0 errored",
            "release slot 0",
            "answer 1: failed, instance 0, worker 0, NotSpawned(\"no such file\")",
        ]
    );
}

#[test]
fn with_a_delay_the_spawn_is_tried_again() {
    let mut policy = fork();
    policy.restart.restart_delay = Duration::from_millis(500);
    let mut bench = Bench::launching(policy, 1);
    bench.not_spawned(0);
    assert_eq!(bench.statuses(), "0:waiting restart");
    assert_eq!(bench.pass(500), ["spawn 1 in slot 0"]);
}

#[test]
fn a_tree_that_goes_without_an_exit_is_not_lost() {
    let mut bench = Bench::online(fork(), 1);
    assert_eq!(bench.gone(0), ["notice 0 exited Unknown", "stop 0", "spawn 1 in slot 0"]);
}

#[test]
fn unknown_workers_are_ignored() {
    let mut bench = Bench::online(cluster(), 1);
    let (before, worker) = (bench.fleet.clone(), WorkerId(77));
    let events = [
        Event::Spawned { worker },
        Event::SpawnFailed { worker, reason: "?".into() },
        Event::Ready { worker, listening: true },
        Event::Exited { worker, exit: Exit::Code(0) },
        Event::TreeGone { worker },
        Event::Drained { worker },
        Event::MemoryExceeded { worker, bytes: 1 },
        Event::Tick,
    ];
    for event in events {
        assert_eq!(bench.on(event), NOTHING);
    }
    assert_eq!(bench.fleet, before);
}

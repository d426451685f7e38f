//! Rolls: with and without overlap, their failures, their queue.

use super::bench::*;
use crate::*;
use std::time::Duration;

const NOTHING: [&str; 0] = [];

fn reload(which: &[u32]) -> Command {
    Command::Reload(ids(which))
}

#[test]
fn the_old_worker_goes_when_the_new_one_is_ready_slot_by_slot() {
    let mut bench = Bench::online(cluster(), 2);
    assert_eq!(bench.ask(reload(&[0, 1])), ["spawn 2 in slot 0"]);
    assert_eq!(bench.statuses(), "0:online 1:online");
    assert_eq!(bench.ready(2), ["notice 0 online", "drain 0", "notice 0 draining"]);
    assert_eq!(bench.slot(0).restarts, 1);
    assert_eq!(bench.drained(0), ["stop 0"]);
    assert_eq!(bench.exited(0, Exit::Code(0)), ["notice 0 exited Code(0) as asked"]);
    assert_eq!(bench.gone(0), ["spawn 3 in slot 1"]);
    bench.ready(3);
    assert_eq!(bench.gone(1), ["answer 2: done [0, 1]"]);
    assert_eq!(bench.app().roll, None);
}

#[test]
fn a_reload_tells_how_far_it_is() {
    let mut bench = Bench::online(Policy { max_surge: 2, ..cluster() }, 3);
    let command = reload(&[0, 1, 2]);
    let begun = bench.told(Event::Command { ticket: Ticket(9), command });
    assert_eq!(begun, ["notice 0 reloading, 1 of 3", "notice 1 reloading, 2 of 3"]);
    bench.ready(4);
    let gone = bench.told(Event::TreeGone { worker: WorkerId(1) });
    assert_eq!(gone, ["notice 1 reloaded", "notice 2 reloading, 3 of 3"]);

    let mut bench = Bench::online(fork(), 1);
    let command = reload(&[0]);
    let begun = bench.told(Event::Command { ticket: Ticket(9), command });
    assert_eq!(begun, ["notice 0 reloading by a restart, 1 of 1"]);
}

#[test]
fn a_drain_tells_how_long_it_may_take() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(reload(&[0]));
    let ready = Event::Ready { worker: WorkerId(1), listening: true };
    let effects = bench.fleet.step(ready, bench.now);
    let told = NoticeKind::Draining { connections: None, left_ms: 30_000 };
    let is_told = |effect: &Effect| matches!(effect, Effect::Notice(n) if n.kind == told);
    assert!(effects.iter().any(is_told), "{effects:?}");
}

#[test]
fn a_drain_has_an_end() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(reload(&[0]));
    bench.ready(1);
    bench.exited(0, Exit::Code(0));
    assert_eq!(bench.pass(29_999), NOTHING, "npm left; the server behind it is still draining");
    assert_eq!(bench.pass(1), ["stop 0"]);
    assert_eq!(bench.pass(1599), NOTHING);
    assert_eq!(bench.pass(1), ["kill 0"]);
    assert_eq!(bench.fleet.deadline(), None);
    assert_eq!(bench.gone(0), ["answer 2: done [0]"]);
}

#[test]
fn max_surge_slots_at_once() {
    let mut bench = Bench::online(Policy { max_surge: 2, ..cluster() }, 3);
    assert_eq!(bench.ask(reload(&[0, 1, 2])), ["spawn 3 in slot 0", "spawn 4 in slot 1"]);
    bench.ready(4);
    assert_eq!(bench.gone(1), ["spawn 5 in slot 2"]);
}

#[test]
fn a_broken_build_leaves_every_old_worker_serving() {
    let mut bench = Bench::online(Policy { max_surge: 2, ..cluster() }, 3);
    bench.ask(reload(&[0, 1, 2]));
    assert_eq!(
        bench.exited(3, Exit::Code(1)),
        [
            "notice 0 exited Code(1)",
            "stop 3",
            "notice 0 reload failed",
            "stop 4",
            "answer 2: failed, instance 0, worker 3, Exited(Code(1))",
        ]
    );
    assert_eq!(bench.statuses(), "0:online 1:online 2:online");
    assert_eq!((bench.gone(3), bench.gone(4)), (Vec::new(), Vec::new()));
    let current: Vec<_> = bench.app().instances.values().map(Instance::current).collect();
    assert_eq!(current, [Some(WorkerId(0)), Some(WorkerId(1)), Some(WorkerId(2))]);
    assert_eq!(bench.slot(0).restarts, 0);
}

#[test]
fn a_replacement_that_is_not_ready_in_time_or_cannot_be_executed_fails_the_roll() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(reload(&[0]));
    assert_eq!(bench.pass(29_999), NOTHING);
    assert_eq!(
        bench.pass(1),
        [
            "drain 1",
            "notice 0 draining",
            "notice 0 reload failed",
            "answer 2: failed, instance 0, worker 1, NotReady(30s)",
        ]
    );
    assert_eq!(bench.pass(30_000), ["stop 1"]);
    assert_eq!(bench.pass(1600), ["kill 1"]);
    assert_eq!(bench.gone(1), NOTHING);

    bench.ask(reload(&[0]));
    assert_eq!(
        bench.not_spawned(2),
        [
            "notice 0 not spawned: no such file",
            "notice 0 reload failed",
            "answer 3: failed, instance 0, worker 2, NotSpawned(\"no such file\")",
        ]
    );
    assert_eq!(bench.statuses(), "0:online");
}

#[test]
fn an_app_that_never_listens_is_reloaded_by_time() {
    let mut bench = Bench::launching(cluster(), 1);
    bench.pass(3000);
    bench.ask(reload(&[0]));
    assert_eq!(bench.pass(3000), ["notice 0 online", "drain 0", "notice 0 draining"]);
}

#[test]
fn when_the_old_one_dies_the_replacement_takes_its_place() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(reload(&[0]));
    assert_eq!(bench.dies(0, 1), ["notice 0 exited Code(1)", "stop 0"]);
    assert_eq!(bench.statuses(), "0:launching");
    assert_eq!(bench.slot(0).restarts, 0);
    assert_eq!(bench.ready(1), ["notice 0 online", "answer 2: done [0]"]);
}

#[test]
fn when_both_die_restart_policy_goes_on() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(reload(&[0, 1]));
    bench.dies(0, 1);
    assert_eq!(
        bench.dies(2, 7),
        [
            "notice 0 exited Code(7)",
            "stop 2",
            "notice 0 reload failed",
            "answer 2: failed, instance 0, worker 2, Exited(Code(7))",
            "spawn 3 in slot 0",
        ]
    );
    assert_eq!(bench.statuses(), "0:launching 1:online");
}

#[test]
fn a_new_worker_that_dies_beside_its_draining_predecessor_ends_the_roll() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(reload(&[0, 1]));
    bench.ready(2);
    let effects = bench.exited(2, Exit::Code(1));
    assert_eq!(
        effects,
        [
            "notice 0 exited Code(1)",
            "stop 2",
            "notice 0 reload failed",
            "answer 2: failed, instance 0, worker 2, Exited(Code(1))",
        ]
    );
    assert_eq!(bench.gone(2), ["spawn 3 in slot 0"]);
    assert_eq!(bench.gone(0), NOTHING, "the predecessor finishes on its own way");
}

#[test]
fn fork_mode_restarts_in_turn() {
    let mut bench = Bench::online(Policy { max_surge: 5, ..fork() }, 2);
    assert_eq!(bench.ask(reload(&[0, 1])), ["stop 0"]);
    assert_eq!(bench.gone(0), ["spawn 2 in slot 0"]);
    assert_eq!(bench.pass(1000), ["notice 0 online", "stop 1"]);
    assert_eq!(bench.gone(1), ["spawn 3 in slot 1"]);
    assert_eq!(bench.pass(1000), ["notice 1 online", "answer 2: done [0, 1]"]);
}

#[test]
fn fork_mode_stops_at_the_first_failure() {
    let mut bench = Bench::online(fork(), 2);
    bench.ask(reload(&[0, 1]));
    bench.gone(0);
    assert_eq!(
        bench.dies(2, 1),
        [
            "notice 0 exited Code(1)",
            "stop 2",
            "notice 0 reload failed",
            "answer 2: failed, instance 0, worker 2, Exited(Code(1))",
            "spawn 3 in slot 0",
        ]
    );
    assert_eq!(bench.statuses(), "0:launching 1:online");
}

#[test]
fn stopped_ones_are_started() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Stop(ids(&[0])));
    bench.gone(0);
    assert_eq!(bench.ask(reload(&[0, 1])), ["spawn 2 in slot 0"]);
    assert_eq!(bench.ready(2), ["notice 0 online", "spawn 3 in slot 1"]);
    assert_eq!(bench.slot(0).restarts, 0);
}

#[test]
fn reloads_of_one_app_queue_and_join_and_of_two_apps_do_not() {
    let mut bench = Bench::online(cluster(), 1);
    let (app, policy) = (name("b"), cluster());
    bench.ask(Command::Register { app, policy, instances: 1, autostart: true });
    bench.on(Event::Ready { worker: WorkerId(1), listening: true });
    assert_eq!(bench.ask(reload(&[0])), ["spawn 2 in slot 0"]);
    assert_eq!(bench.ask(reload(&[0])), NOTHING, "queued");
    assert_eq!(bench.ask(reload(&[0])), NOTHING, "joined");
    assert_eq!(bench.app().queued.len(), 1);
    assert_eq!(bench.ask(reload(&[1])), ["spawn 3 in slot 0"], "another app");
    bench.ready(2);
    assert_eq!(bench.gone(0), ["spawn 4 in slot 0", "answer 3: done [0]"]);
    bench.ready(4);
    assert_eq!(bench.gone(2), ["answer 4: done [0]", "answer 5: done [0]"]);
}

#[test]
fn a_failed_roll_lets_the_next_one_begin() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(reload(&[0]));
    bench.ask(reload(&[0]));
    let effects = bench.exited(1, Exit::Code(1));
    assert!(effects.contains(&"spawn 2 in slot 0".into()), "{effects:?}");
    bench.gone(1);
    bench.ready(2);
    assert_eq!(bench.gone(0), ["answer 3: done [0]"]);
}

#[test]
fn only_so_many_rolls_queue() {
    let count = u32::try_from(MAX_QUEUED_ROLLS).unwrap() + 2;
    let mut bench = Bench::online(cluster(), count);
    for slot in 0..count - 1 {
        let effects = bench.ask(reload(&[slot]));
        assert!(effects.iter().all(|effect| effect.starts_with("spawn")), "{effects:?}");
    }
    let [denied] = &bench.ask(reload(&[count - 1]))[..] else { panic!() };
    assert!(denied.contains("denied, too many requests wait for a"));
    assert_eq!(bench.ask(reload(&[count - 2])), NOTHING, "joined");
}

#[test]
fn a_roll_goes_on_without_what_others_took() {
    let mut bench = Bench::online(cluster(), 3);
    bench.ask(reload(&[0, 1, 2]));
    assert_eq!(bench.ask(Command::Stop(ids(&[0]))), ["stop 3", "stop 0", "spawn 4 in slot 1"]);
    bench.ask(Command::Restart(ids(&[2])));
    bench.ready(4);
    assert_eq!(bench.gone(1), ["answer 2: done [1]"]);
}

#[test]
fn a_reload_of_several_apps_is_answered_once() {
    let mut bench = Bench::online(cluster(), 1);
    let (app, policy) = (name("b"), cluster());
    bench.ask(Command::Register { app, policy, instances: 1, autostart: true });
    bench.on(Event::Ready { worker: WorkerId(1), listening: true });
    bench.ask(reload(&[0, 1]));
    bench.exited(2, Exit::Code(1));
    bench.on(Event::Ready { worker: WorkerId(3), listening: true });
    let failed = "answer 3: failed, instance 0, worker 2, Exited(Code(1))";
    assert_eq!(bench.gone(1), [failed]);
}

#[test]
fn too_much_memory_is_a_reload_of_that_one() {
    let mut bench = Bench::online(cluster(), 2);
    let swells = |worker| Event::MemoryExceeded { worker: WorkerId(worker), bytes: 7 };
    assert_eq!(bench.on(swells(1)), ["notice 1 uses 7 bytes", "spawn 2 in slot 1"]);
    assert_eq!(bench.on(swells(1)), NOTHING, "it is coming");
    assert_eq!(bench.on(swells(2)), NOTHING, "a replacement is not judged");
    assert_eq!(bench.on(swells(0)), ["notice 0 uses 7 bytes"], "queued");
    assert_eq!(bench.on(swells(0)), NOTHING);
    bench.ready(2);
    assert_eq!(bench.on(swells(1)), NOTHING, "it leaves already");
    assert_eq!(bench.gone(1), ["spawn 3 in slot 0"]);

    let mut bench = Bench::online(fork(), 1);
    assert_eq!(bench.on(swells(0)), ["notice 0 uses 7 bytes", "stop 0"]);
}

#[test]
fn lingering_workers_are_bounded() {
    let mut bench = Bench::online(cluster(), 1);
    for new in 1..=5 {
        assert_eq!(bench.slot(0).leaving.len(), new as usize - 1);
        bench.ask(reload(&[0]));
        let effects = bench.exited(new, Exit::Code(1));
        assert_eq!(effects.contains(&"kill 1".into()), new == 5, "{effects:?}");
    }
}

#[test]
fn a_reload_forgives() {
    let mut policy = cluster();
    policy.restart.exp_backoff_restart_delay = Some(Duration::from_millis(100));
    let mut bench = Bench::online(policy, 1);
    bench.dies(0, 1);
    bench.pass(100);
    bench.ready(1);
    assert_eq!((bench.slot(0).unstable, bench.slot(0).previous_delay_ms), (1, 100));
    bench.ask(reload(&[0]));
    let instance = bench.slot(0);
    assert_eq!((instance.unstable, instance.previous_delay_ms), (0, 0));
    assert_eq!(instance.created, Moment(1100));
}

//! More and fewer instances.

use super::bench::*;
use crate::*;

const NOTHING: [&str; 0] = [];

fn scale(instances: u32) -> Command {
    Command::Scale { app: name("a"), instances }
}

#[test]
fn up_fills_the_lowest_slots() {
    let mut bench = Bench::online(cluster(), 3);
    bench.ask(Command::Delete(ids(&[1])));
    bench.gone(1);
    assert_eq!(bench.ask(scale(4)), ["spawn 3 in slot 1", "spawn 4 in slot 3"]);
    bench.ready(3);
    assert_eq!(bench.ready(4), ["notice 4 online", "answer 3: done [3, 4]"]);
    assert_eq!(bench.statuses(), "0:online 1:online 2:online 3:online");
}

#[test]
fn down_drains_the_highest_slots_together() {
    let mut bench = Bench::online(cluster(), 4);
    assert_eq!(
        bench.ask(scale(2)),
        ["drain 2", "notice 2 draining", "drain 3", "notice 3 draining"]
    );
    assert_eq!(bench.statuses(), "0:online 1:online 2:stopping 3:stopping");
    assert_eq!(bench.drained(2), ["stop 2"]);
    assert_eq!(bench.pass(30_000), ["kill 2", "stop 3"]);
    assert_eq!(bench.gone(2), ["release slot 2", "notice 2 deleted"]);
    assert_eq!(bench.gone(3), ["release slot 3", "notice 3 deleted", "answer 2: done [2, 3]"]);
    assert_eq!(bench.statuses(), "0:online 1:online");
}

#[test]
fn fork_mode_stops_without_a_drain() {
    let mut bench = Bench::online(fork(), 2);
    assert_eq!(bench.ask(scale(1)), ["stop 1"]);
    assert_eq!(bench.gone(1), ["release slot 1", "notice 1 deleted", "answer 2: done [1]"]);
}

#[test]
fn four_two_four_gives_the_same_slots() {
    let mut bench = Bench::online(cluster(), 4);
    bench.ask(scale(2));
    bench.gone(2);
    bench.gone(3);
    assert_eq!(bench.ask(scale(4)), ["spawn 4 in slot 2", "spawn 5 in slot 3"]);
    let ids: Vec<_> = bench.app().instances.values().map(|instance| instance.id.0).collect();
    assert_eq!(ids, [0, 1, 4, 5]);
}

#[test]
fn up_before_down_is_done_calls_the_slots_back() {
    let mut bench = Bench::online(cluster(), 4);
    bench.ask(scale(2));
    bench.gone(3);
    assert_eq!(
        bench.ask(scale(4)),
        [
            "spawn 4 in slot 2",
            "spawn 5 in slot 3",
            "answer 2: failed, instance 2, no worker, Superseded",
        ]
    );
    assert_eq!(bench.statuses(), "0:online 1:online 2:launching 3:launching");
    assert_eq!(bench.gone(2), NOTHING, "worker 2 has drained beside its successor");

    let mut bench = Bench::online(fork(), 2);
    bench.ask(scale(1));
    assert_eq!(bench.ask(scale(2)), ["answer 2: failed, instance 1, worker 1, Superseded"]);
    assert_eq!(bench.gone(1), ["spawn 2 in slot 1"]);
}

#[test]
fn what_does_not_run_goes_at_once() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Stop(ids(&[1])));
    bench.gone(1);
    assert_eq!(bench.ask(scale(1)), ["release slot 1", "notice 1 deleted", "answer 3: done [1]"]);
}

#[test]
fn a_roll_loses_what_is_scaled_away() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Reload(ids(&[1])));
    assert_eq!(
        bench.ask(scale(1)),
        [
            "stop 2",
            "drain 1",
            "notice 1 draining",
            "answer 2: failed, instance 1, worker 1, Superseded",
        ]
    );
    assert_eq!(bench.app().roll, None);
}

#[test]
fn what_cannot_be_is_denied() {
    let mut bench = Bench::online(cluster(), 2);
    assert_eq!(bench.ask(scale(2)), ["answer 2: denied, a has that many instances already"]);
    let none = "answer 3: denied, a cannot have 0 instances, only 1 to 4096";
    assert_eq!(bench.ask(scale(0)), [none]);
    bench.ask(Command::Delete(ids(&[0, 1])));
    assert_eq!(bench.ask(scale(3)), ["answer 5: denied, there is no app named a"]);
}

//! Behind a front: a worker finishes its connections before it stops.

use super::bench::*;
use crate::*;

fn bench() -> Bench {
    Bench::online(Policy { proxied: true, ..fork() }, 2)
}

#[test]
fn a_reload_drains_one_after_the_other_and_starts_it_when_the_port_is_free() {
    let mut bench = bench();
    assert_eq!(bench.ask(Command::Reload(ids(&[0, 1]))), ["drain 0", "notice 0 draining"]);
    assert_eq!(bench.drained(0), ["stop 0"]);
    assert_eq!(bench.dies(0, 0), ["notice 0 exited Code(0) as asked", "spawn 2 in slot 0"]);
    assert_eq!(bench.ready(2), ["notice 0 online", "drain 1", "notice 1 draining"]);
}

#[test]
fn a_drain_ends_in_time_and_a_stop_does_not_wait_for_it() {
    let mut bench = bench();
    bench.ask(Command::Reload(ids(&[0])));
    assert_eq!(bench.pass(29_999), [""; 0]);
    assert_eq!(bench.pass(1), ["stop 0"]);
    let mut bench = self::bench();
    bench.ask(Command::Reload(ids(&[0])));
    let stopped = bench.ask(Command::Stop(ids(&[0])));
    assert_eq!(stopped.first().map(String::as_str), Some("stop 0"));
    assert_eq!(bench.statuses(), "0:stopping 1:online");
}

#[test]
fn scaling_down_drains_and_scaling_up_again_takes_the_port_when_it_is_free() {
    let mut bench = bench();
    let scale = |instances| Command::Scale { app: name("a"), instances };
    assert_eq!(bench.ask(scale(1)), ["drain 1", "notice 1 draining"]);
    bench.ask(scale(2));
    bench.drained(1);
    assert_eq!(bench.dies(1, 0), ["notice 1 exited Code(0) as asked", "spawn 2 in slot 1"]);
}

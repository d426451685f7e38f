//! Reset, amend, what is denied, and how many may wait.

use super::bench::*;
use crate::*;

const NOTHING: [&str; 0] = [];

#[test]
fn reset_zeroes_counters() {
    let mut bench = Bench::online(fork(), 1);
    bench.dies(0, 1);
    bench.now = Moment(1100);
    assert_eq!(bench.ask(Command::Reset(ids(&[0]))), ["answer 2: done [0]"]);
    let instance = bench.slot(0);
    assert_eq!((instance.restarts, instance.unstable, instance.created), (0, 0, Moment(1100)));
}

#[test]
fn amend_changes_the_rules_and_no_worker() {
    let mut bench = Bench::online(fork(), 1);
    let mut policy = fork();
    policy.restart.stop_exit_codes = vec![4];
    let amend = Command::Amend { app: name("a"), policy };
    assert_eq!(bench.ask(amend), ["answer 2: done [0]"]);
    assert_eq!(bench.statuses(), "0:online");
    bench.dies(0, 4);
    assert_eq!(bench.statuses(), "0:stopped");
}

#[test]
fn only_what_rests_gets_another_name() {
    let mut bench = Bench::online(fork(), 1);
    let rename = || Command::Rename { app: name("a"), to: name("b") };
    assert_eq!(bench.ask(rename()), ["answer 2: denied, a must be stopped first"]);
    bench.ask(Command::Stop(ids(&[0])));
    bench.dies(0, 0);
    assert_eq!(bench.ask(rename()), ["answer 4: done [0]"]);
    assert_eq!(bench.fleet.apps.keys().collect::<Vec<_>>(), [&name("b")]);
    assert_eq!(bench.ask(rename()), ["answer 5: denied, an app named b exists already"]);
    let unknown = Command::Rename { app: name("c"), to: name("d") };
    assert_eq!(bench.ask(unknown), ["answer 6: denied, there is no app named c"]);
}

#[test]
fn unknown_targets_are_denied_as_a_whole() {
    let mut bench = Bench::online(fork(), 1);
    let before = bench.fleet.clone();
    let some = || ids(&[0, 5]);
    let commands = [
        Command::Start(some()),
        Command::Stop(some()),
        Command::Restart(some()),
        Command::Reload(some()),
        Command::Delete(some()),
        Command::Reset(some()),
    ];
    for command in commands {
        let [answer] = &bench.ask(command)[..] else { panic!() };
        assert!(answer.ends_with("denied, there is no instance 5"), "{answer}");
    }
    let scale = Command::Scale { app: name("b"), instances: 2 };
    assert_eq!(bench.ask(scale), ["answer 8: denied, there is no app named b"]);
    let amend = Command::Amend { app: name("b"), policy: fork() };
    assert_eq!(bench.ask(amend), ["answer 9: denied, there is no app named b"]);
    assert_eq!(bench.fleet, before);
}

#[test]
fn only_so_many_wait_for_one_instance() {
    let mut bench = Bench::launching(fork(), 1);
    for _ in 1..MAX_WAITING {
        assert_eq!(bench.ask(Command::Start(ids(&[0]))), NOTHING);
    }
    let [denied] = &bench.ask(Command::Start(ids(&[0])))[..] else { panic!() };
    assert!(denied.ends_with("denied, too many requests wait for a; try again when they are done"));
    assert_eq!(bench.pass(1000).len(), 1 + MAX_WAITING, "online, and an answer for each");
    assert_eq!(bench.fleet.pending, []);
}

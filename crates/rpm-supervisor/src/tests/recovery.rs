//! A new daemon and the state of its predecessor; and questions about that state.

use super::bench::*;
use crate::*;
use std::collections::BTreeSet;

const NOTHING: [&str; 0] = [];

impl Bench {
    fn recover(&mut self, alive: &[u64]) -> Vec<String> {
        let written = serde_json::to_string(&self.fleet).unwrap();
        let read: Fleet = serde_json::from_str(&written).unwrap();
        assert_eq!(read, self.fleet);
        self.fleet = read;
        let alive: BTreeSet<_> = alive.iter().copied().map(WorkerId).collect();
        let effects = self.fleet.recover(&alive, self.now);
        effects.iter().filter(|effect| !is_progress(effect)).map(show).collect()
    }
}

#[test]
fn what_lives_is_left_alone() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Stop(ids(&[1])));
    bench.now = Moment(1700);
    assert_eq!(bench.recover(&[0, 1]), NOTHING);
    assert_eq!(bench.fleet.deadline(), Some(Moment(2600)), "the kill still comes in time");
    assert_eq!(bench.gone(1), ["notice 1 stopped", "release slot 1"], "nobody is left to answer");
}

#[test]
fn what_never_was_is_spawned_again_under_its_name() {
    let mut bench = Bench::launching(fork(), 1);
    bench.now = Moment(9000);
    assert_eq!(bench.recover(&[]), ["spawn 0 in slot 0"]);
    assert_eq!(bench.fleet.deadline(), Some(Moment(10_000)));

    let mut bench = Bench::online(cluster(), 1);
    bench.ask(Command::Reload(ids(&[0])));
    bench.now = Moment(9000);
    assert_eq!(bench.recover(&[0]), ["spawn 1 in slot 0"]);
    assert_eq!(bench.fleet.deadline(), Some(Moment(39_000)));
}

#[test]
fn what_is_gone_is_restarted() {
    let mut bench = Bench::online(fork(), 1);
    assert_eq!(bench.recover(&[]), ["notice 0 exited Unknown", "stop 0", "spawn 1 in slot 0"]);
    bench.ask(Command::Stop(ids(&[0])));
    assert_eq!(
        bench.recover(&[]),
        ["notice 0 exited Unknown as asked", "notice 0 stopped", "release slot 0"]
    );
}

#[test]
fn a_half_done_reload_is_finished() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Reload(ids(&[0, 1])));
    bench.ready(2);
    assert_eq!(bench.recover(&[0, 1, 2]), ["drain 0"], "the first word may have been lost");
    assert_eq!(bench.gone(0), ["spawn 3 in slot 1"]);
    bench.ready(3);
    assert_eq!(bench.gone(1), NOTHING);
    assert_eq!((&bench.app().roll, bench.statuses()), (&None, "0:online 1:online".into()));
}

#[test]
fn a_new_clients_ticket_is_not_taken_for_an_old_one() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(Command::Reload(ids(&[0])));
    bench.recover(&[0, 1]);
    bench.tickets = 1;
    assert_eq!(bench.ask(Command::Reload(ids(&[0]))), NOTHING, "queued, as number 2 again");
    bench.ready(1);
    assert_eq!(bench.gone(0), ["spawn 2 in slot 0"], "no answer yet");
    bench.ready(2);
    assert_eq!(bench.gone(1), ["answer 2: done [0]"]);
}

#[test]
fn a_reload_goes_on_when_the_old_worker_left_meanwhile() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Reload(ids(&[0, 1])));
    bench.ready(2);
    assert_eq!(bench.recover(&[1, 2]), ["notice 0 exited Unknown as asked", "spawn 3 in slot 1"]);
}

#[test]
fn when_old_and_new_are_both_missing_the_new_one_is_spawned() {
    let mut bench = Bench::online(cluster(), 1);
    bench.ask(Command::Reload(ids(&[0])));
    assert_eq!(bench.recover(&[]), ["notice 0 exited Unknown", "stop 0", "spawn 1 in slot 0"]);
    assert_eq!(bench.statuses(), "0:launching");
}

#[test]
fn a_kill_is_repeated_and_a_stop_is_not() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Reload(ids(&[0])));
    bench.ready(2);
    bench.drained(0);
    bench.ask(Command::Stop(ids(&[1])));
    assert_eq!(bench.recover(&[0, 1, 2]), NOTHING);
    assert_eq!(bench.pass(1600), ["kill 0", "kill 1"]);
    assert_eq!(bench.recover(&[0, 1, 2]), ["kill 0", "kill 1"]);
}

#[test]
fn everyone_is_found_by_name() {
    let mut bench = Bench::online(cluster(), 2);
    bench.ask(Command::Reload(ids(&[1])));
    bench.ready(2);
    bench.gone(1);
    bench.ask(Command::Reload(ids(&[1])));
    bench.ask(Command::Scale { app: name("a"), instances: 3 });
    let app = name("a");
    let place = |worker| {
        let Place { app: of, slot, instance, role } = bench.fleet.worker(WorkerId(worker))?;
        assert_eq!(of, &app);
        Some((slot, instance.0, role))
    };
    assert_eq!(place(0), Some((0, 0, Role::Current)));
    assert_eq!(place(1), None);
    assert_eq!(place(2), Some((1, 1, Role::Current)));
    assert_eq!(place(3), Some((1, 1, Role::Replacement)));
    assert_eq!(place(4), Some((2, 2, Role::Current)));
    let (of, slot, instance) = bench.fleet.instance(InstanceId(1)).unwrap();
    assert_eq!((of, slot, instance.id), (&app, 1, InstanceId(1)));
    assert_eq!(bench.fleet.instance(InstanceId(3)), None);
    let in_order: Vec<_> = bench.fleet.instances().map(|(_, slot, one)| (slot, one.id.0)).collect();
    assert_eq!(in_order, [(0, 0), (1, 1), (2, 2)]);
    bench.ready(3);
    assert_eq!(bench.fleet.worker(WorkerId(2)).unwrap().role, Role::Leaving);
}

#[test]
fn status_words_are_pm2s() {
    let words = [
        (Status::Launching, "launching"),
        (Status::Online, "online"),
        (Status::Stopping, "stopping"),
        (Status::Stopped, "stopped"),
        (Status::Errored, "errored"),
        (Status::Waiting, "waiting restart"),
    ];
    for (status, word) in words {
        assert_eq!(status.to_string(), word);
        assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{word}\""));
    }
}

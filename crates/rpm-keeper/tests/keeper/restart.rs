//! The daemon dies, and the next one finds everything.

use crate::{
    Test,
    fixture::{Keeper, Worker, read_line, shell, wait_readable},
};
use rpm_keeper::Request;
use rpm_unix::{memfd, pidfd, procfs};
use std::{
    io::Write,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    time::{Duration, Instant},
};

pub(crate) const TESTS: &[Test] = &[
    ("the_next_daemon_finds_everything", the_next_daemon_finds_everything),
    ("a_client_waits_for_the_next_daemon", a_client_waits_for_the_next_daemon),
    ("restarts_are_at_once_and_then_a_second_apart", restarts_are_a_second_apart),
    ("a_daemon_that_closes_its_link_is_replaced", a_daemon_that_closes_its_link_is_replaced),
    ("a_full_inventory_reaches_a_slow_daemon", a_full_inventory_reaches_a_slow_daemon),
];

fn the_next_daemon_finds_everything() {
    let (keeper, daemon) = Keeper::with_daemon();
    let mut spec = shell("echo one; echo two; read word <&3; echo $word; exec sleep 1000");
    spec.channel = true;
    let worker = daemon.spawn(3, &spec);
    assert_eq!(read_line(&worker.0.stdout), "one\n");
    for (name, mark) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
        let fd = memfd::seal(&[mark]).unwrap();
        daemon.send(&Request::Hold { name: name.to_owned(), fd });
    }
    daemon.send(&Request::Drop { name: "c".to_owned() });
    daemon.inventory();
    daemon.kill();
    let mut next = keeper.daemon();
    assert_eq!(next.greet(), 1);
    let inventory = next.inventory();
    let held = inventory.held.iter();
    let marks: Vec<_> =
        held.map(|(name, fd)| (name.as_str(), memfd::read(fd, 1).unwrap())).collect();
    assert_eq!(marks, [("a", vec![3]), ("b", vec![2])]);
    assert_eq!(inventory.known.keys().collect::<Vec<_>>(), [&3]);
    let known = inventory.known.get(&3).unwrap();
    let child = &known.child;
    assert_eq!((child.pid, child.start_time), (worker.0.pid, worker.0.start_time));
    assert_eq!((known.label.as_slice(), known.status), (&b"label 3"[..], None));
    // The channel works on, and the pipe goes on where the first daemon stopped reading.
    let channel = child.channel.as_ref().unwrap().try_clone().unwrap();
    UnixStream::from(channel).write_all(b"three\n").unwrap();
    assert_eq!(read_line(&child.stdout), "two\n");
    assert_eq!(read_line(&child.stdout), "three\n");
    pidfd::send_signal(&child.pidfd, 0).unwrap();
}

fn a_client_waits_for_the_next_daemon() {
    let (keeper, daemon) = Keeper::with_daemon();
    daemon.kill();
    let client = UnixStream::connect(keeper.home.socket()).unwrap();
    let next = keeper.daemon();
    let listener = UnixListener::from(next.rpc.try_clone().unwrap());
    wait_readable(listener.as_fd());
    listener.accept().unwrap().0.write_all(b"!").unwrap();
    wait_readable(client.as_fd());
}

fn restarts_are_a_second_apart() {
    let (keeper, daemon) = Keeper::with_daemon();
    let started = Instant::now();
    daemon.kill();
    keeper.daemon().kill();
    let mut third = keeper.daemon();
    // The first daemon was started before this clock, so a millisecond more than enough.
    assert!(started.elapsed() >= Duration::from_millis(990), "{:?}", started.elapsed());
    assert_eq!(third.greet(), 2);
}

fn a_daemon_that_closes_its_link_is_replaced() {
    let (keeper, daemon) = Keeper::with_daemon();
    let pid = daemon.pid;
    let first = pidfd::open(pid).unwrap();
    // The process itself has no copy any more, so this ends the link; the control socket, which
    // would end the process, stays.
    let _control = daemon.close_link();
    wait_readable(first.as_fd());
    let next = keeper.daemon();
    assert_ne!(next.pid, pid);
    // The successor is started when its predecessor is reaped (traps A15).
    assert_eq!(procfs::process(pid), None);
}

fn a_full_inventory_reaches_a_slow_daemon() {
    const COUNT: u64 = 100;
    let (keeper, daemon) = Keeper::with_daemon();
    let workers: Vec<Worker> =
        (0..COUNT).map(|id| daemon.spawn(id, &shell("exec sleep 1000"))).collect();
    for number in 0..COUNT {
        let fd = rpm_unix::pipe::null().unwrap();
        daemon.send(&Request::Hold { name: format!("{number:04}"), fd });
    }
    daemon.kill();
    let mut next = keeper.daemon();
    next.greet();
    let inventory = next.inventory();
    let pids: Vec<i32> = inventory.known.values().map(|known| known.child.pid).collect();
    assert_eq!(pids, workers.iter().map(|worker| worker.0.pid).collect::<Vec<_>>());
    assert_eq!(inventory.held.len() as u64, COUNT);
}

//! Ends of children: true, and kept until acknowledged.

use crate::{
    Test,
    fixture::{Keeper, read_to_end, shell},
};
use rpm_keeper::{ChildId, ExitStatus, Request};

pub(crate) const TESTS: &[Test] = &[
    ("codes_and_signals_are_told_apart", codes_and_signals_are_told_apart),
    ("an_exit_is_kept_until_acknowledged", an_exit_is_kept_until_acknowledged),
    ("an_exit_between_two_daemons_is_noticed", an_exit_between_two_daemons_is_noticed),
];

fn codes_and_signals_are_told_apart() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let table = [
        ("exit 0", ExitStatus::Code(0)),
        ("exit 7", ExitStatus::Code(7)),
        ("exit 255", ExitStatus::Code(255)),
        ("kill -9 $$", ExitStatus::Signal(9)),
        ("kill -15 $$", ExitStatus::Signal(15)),
    ];
    for (id, (script, status)) in (1..).zip(table) {
        let _worker = daemon.spawn(id, &shell(script));
        assert_eq!(daemon.exit(id), status, "{script}");
    }
}

fn an_exit_is_kept_until_acknowledged() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let _worker = daemon.spawn(5, &shell("echo last words; exit 7"));
    assert_eq!(daemon.exit(5), ExitStatus::Code(7));
    for _ in 0..2 {
        let inventory = daemon.inventory();
        let known = inventory.known.get(&5).unwrap();
        assert_eq!(known.label, b"label 5");
        assert_eq!((known.status, known.listening), (Some(ExitStatus::Code(7)), false));
    }
    let inventory = daemon.inventory();
    let known = inventory.known.get(&5).unwrap();
    assert_eq!(read_to_end(&known.child.stdout), "last words\n");
    daemon.send(&Request::Acknowledge { child: ChildId(5) });
    assert!(daemon.inventory().known.is_empty());
}

fn an_exit_between_two_daemons_is_noticed() {
    let (keeper, daemon) = Keeper::with_daemon();
    let worker = daemon.spawn(1, &shell("read line < /proc/self/fd/1; exit 9"));
    daemon.kill();
    // It reads what we write into its own output, which is open for both.
    let into = rpm_unix::procfs::process(worker.0.pid).unwrap();
    let path = format!("/proc/{}/fd/1", into.pid);
    std::fs::write(path, "go\n").unwrap();
    crate::fixture::wait_readable(std::os::fd::AsFd::as_fd(&worker.0.pidfd));
    let mut next = keeper.daemon();
    next.greet();
    let found = (0..100).find_map(|_| next.inventory().known.get(&1).and_then(|one| one.status));
    assert_eq!(found, Some(ExitStatus::Code(9)));
}

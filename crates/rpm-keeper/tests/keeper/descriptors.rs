//! The keeper's own descriptors: nothing of its caller's, nothing that leaks.

use crate::{
    Test,
    fixture::{Keeper, program},
};
use rpm_keeper::{ChildId, ExitStatus, Request};
use std::fs;

pub(crate) const TESTS: &[Test] = &[
    ("what_is_acknowledged_is_closed", what_is_acknowledged_is_closed),
    ("failures_and_garbage_leave_nothing_open", failures_and_garbage_leave_nothing_open),
];

fn open_files(keeper: &Keeper) -> usize {
    fs::read_dir(format!("/proc/{}/fd", keeper.pid())).unwrap().count()
}

fn what_is_acknowledged_is_closed() {
    let (keeper, daemon) = Keeper::with_daemon();
    daemon.inventory();
    let before = open_files(&keeper);
    let mut spec = program(&["true"]);
    spec.channel = true;
    for id in 0..20 {
        let _worker = daemon.spawn(id, &spec);
        assert_eq!(daemon.exit(id), ExitStatus::Code(0));
    }
    // Two read ends, a pidfd and a channel each.
    assert_eq!(open_files(&keeper), before + 4 * 20);
    for id in 0..20 {
        daemon.send(&Request::Acknowledge { child: ChildId(id) });
    }
    daemon.inventory();
    assert_eq!(open_files(&keeper), before);
}

fn failures_and_garbage_leave_nothing_open() {
    let (keeper, daemon) = Keeper::with_daemon();
    daemon.inventory();
    let before = open_files(&keeper);
    for id in 0..20 {
        daemon.ask(id, &program(&["/no/such/file"]));
        daemon.event();
        let fd = rpm_unix::pipe::null().unwrap();
        let garbage = std::os::fd::AsFd::as_fd(&fd);
        rpm_unix::fdpass::send(&daemon.link, b"\x01\x09", &[garbage, garbage]).unwrap();
        daemon.event();
    }
    daemon.inventory();
    assert_eq!(open_files(&keeper), before);
}

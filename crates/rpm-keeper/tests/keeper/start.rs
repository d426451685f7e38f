//! From the start of a keeper to its end.

use crate::{
    Test,
    fixture::{Keeper, keeper_command, wait_readable},
};
use rpm_keeper::Request;
use rpm_unix::{home::Home, lock, pidfd, procfs};
use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, net::UnixListener, net::UnixStream},
    },
};

pub(crate) const TESTS: &[Test] = &[
    ("a_second_keeper_is_refused_by_name", a_second_keeper_is_refused_by_name),
    ("a_home_that_cannot_be_is_told", a_home_that_cannot_be_is_told),
    ("a_daemon_that_dies_first_is_told", a_daemon_that_dies_first_is_told),
    ("the_home_is_private_and_listens", the_home_is_private_and_listens),
    ("a_stale_socket_is_replaced", a_stale_socket_is_replaced),
    ("shutdown_ends_the_keeper_after_the_daemon", shutdown_ends_the_keeper_after_the_daemon),
    ("the_lock_lives_as_long_as_keeper_or_daemon", the_lock_lives_as_long_as_keeper_or_daemon),
    ("sigterm_goes_to_the_daemon", sigterm_goes_to_the_daemon),
];

fn told(home: &Home) -> (String, Option<i32>) {
    let mut process = keeper_command(home).spawn().unwrap();
    let mut line = String::new();
    process.stdout.take().unwrap().read_to_string(&mut line).unwrap();
    (line, process.wait().unwrap().code())
}

fn a_second_keeper_is_refused_by_name() {
    let (keeper, _daemon) = Keeper::with_daemon();
    let lock = keeper.home.lock();
    let line = format!("a keeper or daemon already runs here: {} is locked\n", lock.display());
    assert_eq!(told(&keeper.home), (line, Some(1)));
}

fn a_home_that_cannot_be_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let line = format!("{} is not a directory\n", file.display());
    assert_eq!(told(&Home::new(file)), (line, Some(1)));
}

fn a_daemon_that_dies_first_is_told() {
    let mut keeper = Keeper::start();
    // Kept, or the keeper would end a daemon whose link is closed.
    let mut daemon = keeper.daemon();
    daemon.leave(3);
    let line = "the daemon ended at once (exit code 3), see its log\n";
    assert_eq!(keeper.ready_line(), line);
    assert_eq!(keeper.process.wait().unwrap().code(), Some(1));
}

fn the_home_is_private_and_listens() {
    let (keeper, daemon) = Keeper::with_daemon();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(keeper.home.root().to_owned()), 0o700);
    assert_eq!(mode(keeper.home.socket()), 0o600);
    assert_eq!(mode(keeper.home.lock()), 0o600);
    assert_eq!(mode(keeper.home.daemon_log()), 0o600);
    let mut client = UnixStream::connect(keeper.home.socket()).unwrap();
    client.write_all(b"ping").unwrap();
    let listener = UnixListener::from(daemon.rpc.try_clone().unwrap());
    wait_readable(listener.as_fd());
    let mut text = [0; 4];
    listener.accept().unwrap().0.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"ping");
    let process = procfs::process(keeper.pid()).unwrap();
    assert_eq!(process.session, keeper.pid());
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", keeper.pid())).unwrap().to_str(), Some("/"));
}

fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::new(directory.path());
    drop(UnixListener::bind(home.socket()).unwrap());
    fs::set_permissions(home.socket(), Permissions::from_mode(0o644)).unwrap();
    // No daemon can meet us in this home, so it ends, after the socket was bound anew.
    let (line, code) = told(&home);
    assert!(line.starts_with("the daemon ended at once (exit code 101)"), "{line}");
    assert_eq!(code, Some(1));
}

fn shutdown_ends_the_keeper_after_the_daemon() {
    let (mut keeper, mut daemon) = Keeper::with_daemon();
    daemon.send(&Request::Shutdown);
    // The keeper has taken it in once it answers what came after.
    daemon.inventory();
    assert!(keeper.process.try_wait().unwrap().is_none());
    daemon.leave(0);
    assert_eq!(keeper.process.wait().unwrap().code(), Some(0));
    assert!(!keeper.home.socket().exists());
}

fn the_lock_lives_as_long_as_keeper_or_daemon() {
    let (mut keeper, daemon) = Keeper::with_daemon();
    let path = keeper.home.lock();
    keeper.process.kill().unwrap();
    keeper.process.wait().unwrap();
    assert!(lock::try_lock(&path).unwrap().is_none());
    drop(daemon.lock);
    assert!(lock::try_lock(&path).unwrap().is_some());
}

fn sigterm_goes_to_the_daemon() {
    let (mut keeper, mut daemon) = Keeper::with_daemon();
    let term = rpm_unix::signal::number("TERM").unwrap();
    pidfd::send_signal(pidfd::open(keeper.pid()).unwrap(), term).unwrap();
    daemon.terminated();
    // One that is killed before it could obey is followed by one that is told again.
    daemon.kill();
    let mut next = keeper.daemon();
    next.greet();
    next.terminated();
    next.send(&Request::Shutdown);
    next.leave(0);
    assert_eq!(keeper.process.wait().unwrap().code(), Some(0));
}

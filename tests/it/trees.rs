//! Trees, not pids: whatever an app has started goes with it, its ports included, and nobody else.

use crate::harness::{App, Home, LIMIT, Process, port};
use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};

/// Environments in which the deepest of the tree is: with all that marks it, and with nothing but
/// its output.
const KINDS: [&str; 2] = ["", "HIDE = \"1\""];

/// An app whose leader, shell and server are in three places of the process table.
fn deep(home: &Home, port: u16, more: &str) -> BTreeSet<u32> {
    home.copy("deep.py");
    let text = format!(
        "[[apps]]\nname = \"deep\"\nscript = \"deep.py\"\nmax_restarts = 2\n\
         [apps.env]\nPORT = \"{port}\"\n{more}\n"
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).output();
    home.wait_for_line(&home.single("deep").out_log(), "deep\n");
    home.app_processes().iter().map(|process| process.0).collect()
}

fn serves(port: u16) {
    TcpStream::connect(("127.0.0.1", port)).expect("the deepest listens");
}

/// Nothing of it runs, and its port can be bound again.
fn is_gone(home: &Home, port: u16) {
    assert_eq!(home.app_processes(), []);
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
}

#[test]
fn stop_and_delete_end_the_deepest_too() {
    for (kind, verb) in KINDS.into_iter().zip(["stop", "delete"]) {
        let (home, port) = (Home::new(), port());
        // Leader, shell, and the server of its own.
        assert_eq!(deep(&home, port, kind).len(), 3, "{kind}");
        serves(port);
        home.rpm([verb, "deep"]).success();
        is_gone(&home, port);
    }
}

#[test]
fn a_killed_leader_takes_the_deepest_along_and_the_port_is_free_for_its_successor() {
    for kind in KINDS {
        let (home, port) = (Home::new(), port());
        let before = deep(&home, port, kind);
        serves(port);
        let leader = home.single("deep").pid();
        Process(leader).kill();
        home.wait_until("a successor", |apps| apps[0].pid() != leader && apps[0].pid() != 0);
        assert!(before.iter().all(|pid| !Process(*pid).is_alive()), "{kind}");
        home.wait_for_lines(&home.single("deep").out_log(), "deep", 2);
        serves(port);
    }
}

#[test]
fn a_crash_leaves_no_survivor() {
    for kind in KINDS {
        let (home, port) = (Home::new(), port());
        deep(&home, port, &format!("CRASH = \"1\"\n{kind}"));
        home.wait_until("errored", |apps| apps[0].status() == "errored");
        assert_eq!(home.single("deep").exit_code(), Some(3));
        is_gone(&home, port);
    }
}

/// Also in a new daemon's time, which has to find the tree again.
#[test]
fn kill_ends_the_deepest_of_a_former_daemons_time() {
    for kind in KINDS {
        let (home, port) = (Home::new(), port());
        deep(&home, port, kind);
        serves(port);
        let daemon = home.daemon();
        daemon.kill();
        assert!(daemon.ends_within(LIMIT));
        home.rpm(["ping"]).success();
        home.rpm(["kill"]).success();
        is_gone(&home, port);
    }
}

#[test]
fn the_tree_of_one_app_is_not_that_of_another() {
    let (home, port) = (Home::new(), port());
    home.copy("tree.sh");
    home.rpm(["start", "tree.sh", "--name", "tree"]).success();
    home.wait_for_line(&home.single("tree").out_log(), "started");
    let others: BTreeSet<_> = home.app_processes().iter().map(|process| process.0).collect();
    deep(&home, port, KINDS[1]);
    serves(port);
    home.rpm(["delete", "deep"]).success();
    let left: BTreeSet<_> = home.app_processes().iter().map(|process| process.0).collect();
    assert_eq!(left, others);
    assert!(home.jlist().iter().all(App::is_online));
}

/// A double-forked grandchild with a session of its own, no environment and no descriptors, that
/// ignores every signal it can: nothing but its control group says whose it is.
const HIDDEN: &str = "\
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir('/')
    name = os.environ['PID_FILE']
    with open(name + '.new', 'w') as file:
        file.write(str(os.getpid()))
    os.rename(name + '.new', name)
    os.closerange(0, 256)
    os.execve('/bin/sleep', ['sleep', '1000'], {})
os.wait()
signal.pause()
";

/// Starts it; its grandchild, `None` where this machine lets nobody make groups.
fn hidden(home: &Home) -> Option<Process> {
    if !crate::limits::can(home, "cgroup") {
        return None;
    }
    home.write("hidden.py", HIDDEN);
    let file = home.work().join("hidden.pid");
    home.rpm(["start", "hidden.py", "--name", "app", "--kill-timeout", "300"])
        .env("PID_FILE", file.display())
        .success();
    crate::harness::wait_for(&file, "a pid", |text| !text.is_empty());
    let pid = fs::read_to_string(file).unwrap().parse().unwrap();
    Some(Process(pid))
}

/// Fails if it does, and ends it, for nobody else would.
fn must_not_outlive(process: Process, whom: &str) {
    if !process.ends_within(LIMIT) {
        process.kill();
        panic!("it outlived {whom}");
    }
}

#[test]
fn who_hides_from_everything_else_is_killed_by_its_control_group() {
    let home = Home::new();
    let Some(process) = hidden(&home) else { return };
    assert!(process.is_alive());
    home.rpm(["stop", "app"]).success();
    must_not_outlive(process, "its app");
}

/// Also where its leader is killed, and with a daemon that has never seen it.
#[test]
fn who_hides_goes_with_a_crash_of_its_leader_under_another_daemon() {
    let home = Home::new();
    let Some(process) = hidden(&home) else { return };
    let (daemon, leader) = (home.daemon(), Process(home.single("app").pid()));
    daemon.kill();
    assert!(daemon.ends_within(LIMIT));
    home.rpm(["ping"]).success();
    leader.kill();
    must_not_outlive(process, "its leader");
}

/// Each process forks the next and exits, in a session of its own: whoever looks sees only those
/// that are gone already.
const HYDRA: &str = "\
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('up', flush=True)
if os.fork() == 0:
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()
signal.pause()
";

#[test]
fn a_tree_that_forks_for_ever_is_killed_at_once() {
    let home = Home::new();
    if !crate::limits::can(&home, "cgroup") {
        return;
    }
    home.write("hydra.py", HYDRA);
    home.rpm(["start", "hydra.py", "--name", "app", "--kill-timeout", "300"]).success();
    home.wait_for_line(&home.single("app").out_log(), "up\n");
    home.rpm(["stop", "app"]).success();
    assert_eq!(home.app_processes(), []);
    assert_eq!(home.single("app").status(), "stopped");
}

/// A9: npm leaves at the first signal while its server is still finishing.
#[test]
fn a_leader_that_leaves_at_once_does_not_end_the_drain_and_a_signal_comes_once() {
    let home = Home::new();
    home.write(
        "server.py",
        "import signal\n\
         both = {signal.SIGINT, signal.SIGALRM}\n\
         signal.pthread_sigmask(signal.SIG_BLOCK, both)\n\
         print('up', flush=True)\n\
         print(signal.sigwait(both).name, flush=True)\n\
         signal.setitimer(signal.ITIMER_REAL, 0.7)\n\
         print(signal.sigwait(both).name, flush=True)\n\
         print('finished', flush=True)\n",
    );
    // As root of the tree a shell that leaves at SIGINT.
    home.write("leader.sh", "trap 'exit 0' INT\n/usr/bin/python3 server.py &\nwait\n");
    home.rpm(["start", "leader.sh", "--name", "app", "--kill-timeout", "60s"]).success();
    let log = home.single("app").out_log();
    home.wait_for_line(&log, "up\n");
    home.rpm(["stop", "app"]).success();
    // Once by the signal, once by its own alarm.
    assert_eq!(fs::read_to_string(log).unwrap(), "up\nSIGINT\nSIGALRM\nfinished\n");
    assert_eq!(home.app_processes(), []);
}

//! Asking for children: what comes back, and how fast.

use crate::{
    Test,
    fixture::{Keeper, Worker, program, shared, shell, wait_readable},
};
use rpm_keeper::{ChildId, Event, ExitStatus, Request, SpawnStage};
use rpm_unix::{memfd, procfs};
use std::{
    collections::BTreeSet,
    fs,
    os::fd::AsFd,
    time::{Duration, Instant},
};

pub(crate) const TESTS: &[Test] = &[
    ("each_failure_names_its_stage", each_failure_names_its_stage),
    ("a_repeated_id_is_answered_and_not_done_twice", a_repeated_id_is_answered_and_not_done_twice),
    ("a_failed_id_may_be_tried_again", a_failed_id_may_be_tried_again),
    ("many_spawns_are_all_told", many_spawns_are_all_told),
    ("a_daemon_that_does_not_read_loses_nothing", a_daemon_that_does_not_read_loses_nothing),
    ("an_orphan_is_ours_and_is_reaped", an_orphan_is_ours_and_is_reaped),
    ("a_filtered_program_can_keep_its_rights", a_filtered_program_can_keep_its_rights),
];

const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;

fn each_failure_names_its_stage() {
    let (keeper, daemon) = Keeper::with_daemon();
    let plain = keeper.home.root().join("plain");
    fs::write(&plain, "").unwrap();
    let mut lost = shell("true");
    lost.program.directory = "/no/such/directory".into();
    let table = [
        (program(&["/no/such/file"]), SpawnStage::Exec, ENOENT),
        (program(&["no-such-word"]), SpawnStage::Exec, ENOENT),
        (program(&[plain.to_str().unwrap()]), SpawnStage::Exec, EACCES),
        (lost, SpawnStage::Directory, ENOENT),
    ];
    for (id, (spec, expected, number)) in (1..).zip(table) {
        daemon.ask(id, &spec);
        match daemon.event() {
            Event::SpawnFailed { child: ChildId(child), stage, errno } => {
                assert_eq!((child, stage, errno), (id, expected, number), "{spec:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(daemon.inventory().known.is_empty());
}

fn a_repeated_id_is_answered_and_not_done_twice() {
    let (keeper, daemon) = Keeper::with_daemon();
    let file = keeper.home.root().join("starts");
    let spec = shell(&format!("echo started >> {}; exit 3", file.display()));
    let first = daemon.spawn(1, &spec);
    assert_eq!(daemon.exit(1), ExitStatus::Code(3));
    let again = daemon.spawn(1, &spec);
    assert_eq!(daemon.exit(1), ExitStatus::Code(3));
    assert_eq!((again.0.pid, again.0.start_time), (first.0.pid, first.0.start_time));
    assert_eq!(fs::read_to_string(file).unwrap(), "started\n");
}

fn a_failed_id_may_be_tried_again() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let spec = memfd::seal(b"no spec").unwrap();
    daemon.send(&Request::Spawn { child: ChildId(1), label: Vec::new(), spec });
    let event = daemon.event();
    let Event::SpawnFailed { child: ChildId(1), stage: SpawnStage::Spec, errno: EINVAL } = event
    else {
        panic!("{event:?}");
    };
    assert_eq!(daemon.output(1, &program(&["echo", "now"])), "now\n");
}

fn many_spawns_are_all_told() {
    const COUNT: u64 = 300;
    let (_keeper, daemon) = Keeper::with_daemon();
    let spec = program(&["true"]);
    let begin = Instant::now();
    (0..COUNT).for_each(|id| daemon.ask(id, &spec));
    let mut spawned = BTreeSet::new();
    let mut exited = BTreeSet::new();
    while exited.len() < COUNT as usize {
        match daemon.event() {
            Event::Spawned(child) => assert!(spawned.insert(child.child.0)),
            Event::Exited { child, status: ExitStatus::Code(0) } => {
                assert!(spawned.contains(&child.0), "{child:?} ended before it was told");
                assert!(exited.insert(child.0));
            }
            other => panic!("{other:?}"),
        }
    }
    let rate = COUNT as f64 / begin.elapsed().as_secs_f64();
    println!("    {rate:.0} programs run a second");
}

fn a_daemon_that_does_not_read_loses_nothing() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let quick = daemon.spawn(0, &program(&["true"]));
    assert_eq!(daemon.exit(0), ExitStatus::Code(0));
    let again =
        || Request::Spawn { child: ChildId(0), label: Vec::new(), spec: memfd::seal(b"").unwrap() };
    // Until the keeper has no room for answers and leaves requests where they are; each is answered
    // by two events. Should a slow machine make it look so earlier, the test is only a weaker one.
    let mut repeats = 0;
    while daemon.has_room(Duration::from_millis(200)) {
        daemon.link.send(&again()).unwrap();
        repeats += 1;
    }
    let mut told = (0, 0);
    while told != (repeats, repeats) {
        match daemon.event() {
            Event::Spawned(child) => {
                assert_eq!(child.pid, quick.0.pid);
                told.0 += 1;
            }
            Event::Exited { .. } => told.1 += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(daemon.output(1, &program(&["echo", "alive"])), "alive\n");
}

fn an_orphan_is_ours_and_is_reaped() {
    let (keeper, daemon) = Keeper::with_daemon();
    let fifo = keeper.home.root().join("fifo");
    // The leader leaves a process behind, in a session of its own, that waits for us.
    let script = format!(
        "mkfifo {0}; setsid sh -c 'echo $$; read line < {0}' & read_nothing=1; wait_for_nothing=1",
        fifo.display()
    );
    let worker = daemon.spawn(1, &shell(&script));
    assert_eq!(daemon.exit(1), ExitStatus::Code(0));
    let orphan: i32 = crate::fixture::read_line(&worker.0.stdout).trim().parse().unwrap();
    let process = procfs::process(orphan).unwrap();
    assert_eq!((process.ppid, process.session), (keeper.pid(), orphan));
    let pidfd = rpm_unix::pidfd::open(orphan).unwrap();
    fs::write(&fifo, "go\n").unwrap();
    wait_readable(pidfd.as_fd());
    // Each round trip gives the keeper a turn, and its second one begins after the death.
    let reaped = (0..100).any(|_| {
        daemon.inventory();
        procfs::process(orphan).is_none()
    });
    assert!(reaped, "{:?}", procfs::process(orphan));
}

fn a_filtered_program_can_keep_its_rights() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let status = shared(program(&["grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"]));
    daemon.ask(1, &status);
    let Event::Spawned(child) = daemon.event() else { panic!() };
    let worker = Worker(child);
    match daemon.event() {
        // Another filter of its kind is above this test.
        Event::Unfiltered { child: ChildId(1), .. } => {
            assert_eq!(daemon.exit(1), ExitStatus::Code(0));
        }
        Event::Exited { child: ChildId(1), status: ExitStatus::Code(0) } => {
            let text = crate::fixture::read_to_end(&worker.0.stdout);
            // Only somebody without CAP_SYS_ADMIN has to give up set-user-id programs for it.
            let rights = i32::from(rpm_unix::process::effective_uid() != 0);
            assert_eq!(text, format!("NoNewPrivs:\t{rights}\nSeccomp:\t2\n"));
        }
        other => panic!("{other:?}"),
    }
}

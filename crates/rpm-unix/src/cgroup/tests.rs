//! Groups as directories anywhere, and real ones where this machine lets us make them.

use super::*;
use crate::{
    limits::OpenFiles,
    pipe, procfs,
    spawn::{Baseline, Program, Setup, SpawnError, Spawned, spawn},
    wait::{self, End},
};
use std::{ffi::CString, os::fd::AsFd, time::Duration};

const NONE: Limits = Limits { memory: None, cpu: None, pids: None };

fn below(root: &Path, legacy: &[Controller]) -> Groups {
    let place = |controller: &Controller| {
        let directory = root.join(controller.name());
        fs::create_dir_all(&directory).unwrap();
        (*controller, directory)
    };
    let unified = root.join("unified");
    fs::create_dir_all(&unified).unwrap();
    let places = Places { unified: Some(unified), legacy: legacy.iter().map(place).collect() };
    Groups::new(places, "1f")
}

/// A process that waits for ever, in this group.
fn sleeper(group: &Group) -> Result<Spawned, SpawnError> {
    run(group, &["sleep", "600"])
}

fn run(group: &Group, words: &[&str]) -> Result<Spawned, SpawnError> {
    let words: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    let program = Program {
        file: words[0].clone(),
        arguments: words,
        environment: vec![c"PATH=/usr/bin:/bin".to_owned()],
        directory: "/".into(),
        credentials: None,
    };
    let open_files = OpenFiles { soft: 100, hard: 200 };
    let baseline = Baseline { open_files, umask: 0o022, oom_score_adj: None, nice: None };
    let null = pipe::null().unwrap();
    let setup = Setup {
        input: null.as_fd(),
        output: null.as_fd(),
        error: null.as_fd(),
        inherited: &[],
        pid_variable: None,
        filter: false,
        group: Some(&group.entry(true).unwrap()),
        baseline: &baseline,
    };
    spawn(&program, &setup)
}

/// Groups below our own; `None` where this machine does not let us make any.
fn real(name: &str) -> Option<Groups> {
    let own = std::process::id();
    let groups = Groups::of_process(own as i32, &format!("{name}-{own}"));
    matches!(groups.standing(), Standing::Ours(_)).then_some(groups)
}

#[test]
fn a_worker_has_a_directory_in_each_hierarchy_that_limits_it() {
    let root = tempfile::tempdir().unwrap();
    let mut groups = below(root.path(), &[Controller::Memory, Controller::Pids]);
    let limits = Limits { memory: Some(5000), cpu: None, pids: None };
    let Made { group, refused } = groups.make(17, &limits);
    assert!(refused.is_empty(), "{refused:?}");
    let all = groups.group(17);
    assert_eq!((&group.unified, group.legacy.len(), all.legacy.len()), (&all.unified, 1, 2));
    assert_eq!(group.directory(), Some(&*root.path().join("unified/rpm-1f/17")));
    let file = root.path().join("memory/rpm-1f/17/memory.limit_in_bytes");
    assert_eq!(fs::read_to_string(file).unwrap(), "5000");
    assert!(!root.path().join("pids/rpm-1f").exists());
    assert_eq!(group.lacks(&limits), []);
    assert_eq!(group.lacks(&Limits { pids: Some(3), ..limits }), [Controller::Pids]);
}

#[test]
fn what_no_hierarchy_has_is_refused_and_the_rest_is_done() {
    let root = tempfile::tempdir().unwrap();
    let mut groups = below(root.path(), &[Controller::Pids]);
    assert_eq!(groups.standing_of(Controller::Memory), Standing::Absent);
    let limits = Limits { memory: Some(5000), cpu: Some(500), pids: Some(9) };
    let Made { group, refused } = groups.make(1, &limits);
    let refused: Vec<_> = refused.into_iter().map(|(one, why)| (one, why.raw_os_error())).collect();
    let absent = Some(libc::ENODEV);
    assert_eq!(refused, [(Controller::Memory, absent), (Controller::Cpu, absent)]);
    assert_eq!(group.lacks(&limits), [Controller::Memory, Controller::Cpu]);
    let file = root.path().join("pids/rpm-1f/1/pids.max");
    assert_eq!(fs::read_to_string(file).unwrap(), "9");
}

#[test]
fn limits_of_version_2_are_passed_down_from_group_to_group() {
    let root = tempfile::tempdir().unwrap();
    let mut groups = below(root.path(), &[]);
    let unified = root.path().join("unified");
    fs::write(unified.join("cgroup.controllers"), "cpuset cpu memory\n").unwrap();
    fs::write(unified.join("cgroup.procs"), "").unwrap();
    fs::write(unified.join("cgroup.subtree_control"), "memory\n").unwrap();
    assert_eq!(groups.standing_of(Controller::Cpu), Standing::Ours(unified.clone()));
    assert_eq!(groups.standing_of(Controller::Pids), Standing::Absent);
    let limits = Limits { memory: Some(5000), cpu: Some(500), pids: None };
    let Made { group, refused } = groups.make(3, &limits);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(group.lacks(&limits), []);
    let written = |path: &str| fs::read_to_string(unified.join(path)).unwrap();
    assert_eq!(written("cgroup.subtree_control"), "+cpu");
    assert_eq!(written("rpm-1f/cgroup.subtree_control"), "+cpu");
    assert_eq!(written("rpm-1f/3/cpu.max"), "50000 100000");
    assert_eq!(written("rpm-1f/3/memory.max"), "5000");
    // Somebody else lives there, and it is not the group above all others.
    fs::write(unified.join("cgroup.events"), "populated 1\n").unwrap();
    fs::write(unified.join("cgroup.procs"), "1\n").unwrap();
    fs::write(unified.join("cgroup.subtree_control"), "memory\n").unwrap();
    assert_eq!(groups.standing_of(Controller::Cpu), Standing::Crowded(unified.clone()));
    assert_eq!(groups.standing_of(Controller::Memory), Standing::Ours(unified));
}

#[test]
fn what_is_not_there_is_not_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let mut groups = below(root.path(), &[]);
    fs::remove_dir(root.path().join("unified")).unwrap();
    assert_eq!(groups.make(1, &NONE).group, Group::default());
    fs::create_dir(root.path().join("unified")).unwrap();
    assert_eq!(groups.make(2, &NONE).group, Group::default());
}

#[test]
fn kills_for_memory_are_counted_in_either_version() {
    let root = tempfile::tempdir().unwrap();
    let mut groups = below(root.path(), &[Controller::Memory]);
    let limits = Limits { memory: Some(5000), ..NONE };
    let old = groups.make(1, &limits).group;
    assert_eq!(old.oom_kills(), 0);
    let oom_control = root.path().join("memory/rpm-1f/1/memory.oom_control");
    fs::write(oom_control, "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n").unwrap();
    assert_eq!(old.oom_kills(), 3);
    let new = Group { legacy: BTreeMap::new(), ..old };
    let events = root.path().join("unified/rpm-1f/1/memory.events");
    fs::write(events, "low 0\noom 4\noom_kill 2\noom_group_kill 7\n").unwrap();
    assert_eq!(new.oom_kills(), 2);
}

#[test]
fn homes_are_read_back_from_their_file() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("cgroups");
    assert_eq!(recorded(&file), Vec::<PathBuf>::new());
    fs::write(&file, "/sys/fs/cgroup/a b/rpm-1f\nnonsense\n\n/x\n").unwrap();
    assert_eq!(recorded(&file), [PathBuf::from("/sys/fs/cgroup/a b/rpm-1f"), "/x".into()]);
}

/// The whole way of a real one: made, entered by a fork, seen, killed, removed.
#[test]
fn a_real_group_is_killed_as_a_whole() {
    let Some(mut groups) = real("test-kill") else { return };
    let group = groups.make(1, &NONE).group;
    let spawned = sleeper(&group).unwrap();
    assert_eq!(group.members(), [spawned.pid]);
    assert_eq!(groups.find(1, spawned.pid), groups.group(1));
    assert!(!group.excludes(spawned.pid) && groups.group(2).excludes(spawned.pid));
    assert!(remove(group.directory().unwrap()).is_err(), "something lives in it");
    assert!(groups.make(1, &NONE).group.is_none(), "it is somebody else's");
    assert!(group.kill());
    assert_eq!(wait::reap(spawned.pid).unwrap(), End::Signal(libc::SIGKILL));
    groups.end(Duration::from_secs(10));
    assert_eq!(sweep(groups.homes()), Vec::<PathBuf>::new());
}

/// What a program makes in its own group goes with it.
#[test]
fn groups_below_a_workers_belong_to_it() {
    let Some(mut groups) = real("test-below") else { return };
    let group = groups.make(1, &NONE).group;
    let inner = Group {
        unified: group.directory().map(|directory| directory.join("of-the-app")),
        ..Group::default()
    };
    fs::create_dir(inner.directory().unwrap()).unwrap();
    let spawned = sleeper(&inner).unwrap();
    assert_eq!(group.members(), [spawned.pid]);
    assert!(group.kill());
    wait::reap(spawned.pid).unwrap();
    groups.end(Duration::from_secs(10));
    assert_eq!(sweep(groups.homes()), Vec::<PathBuf>::new());
}

/// The limits are the kernel's: a shell under a limit of processes cannot fork, and has the limit
/// before it runs at all.
#[test]
fn real_limits_hold_from_the_first_instruction() {
    let Some(mut groups) = real("test-limit") else { return };
    if !matches!(groups.standing_of(Controller::Pids), Standing::Ours(_)) {
        return;
    }
    let limits = Limits { pids: Some(1), ..NONE };
    let Made { group, refused } = groups.make(1, &limits);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(group.lacks(&limits), []);
    let shell = run(&group, &["sh", "-c", "/bin/true || exit 7; exit 0"]).unwrap();
    assert_ne!(wait::reap(shell.pid).unwrap(), End::Code(0));
    groups.end(Duration::from_secs(10));
    assert_eq!(sweep(groups.homes()), Vec::<PathBuf>::new());
}

/// "No internal processes", on a kernel whose version 2 has controllers for groups below ours: our
/// own processes, of which the test's child is one, move aside before there are limits.
#[test]
fn our_own_processes_make_room_for_limits() {
    let Some(outer) = real("test-room") else { return };
    let [base, ..] = &*outer.homes() else { panic!("no home") };
    fs::create_dir(base).unwrap();
    let offered = fs::read_to_string(base.join("cgroup.controllers")).unwrap();
    if let Some(controller) = offered.split_ascii_whitespace().next() {
        let inside = sleeper(&Group::at(base.clone())).unwrap();
        let home = base.join("rpm-1f");
        fs::create_dir(&home).unwrap();
        own::enable(base, &home, controller).unwrap();
        assert_eq!(Group::at(home.join("keeper")).members(), [inside.pid]);
        fs::create_dir(home.join("1")).unwrap();
        let worker = Group::at(home.join("1"));
        let limited = sleeper(&worker).unwrap();
        assert_eq!(worker.members(), [limited.pid]);
        let offered = fs::read_to_string(home.join("1/cgroup.controllers")).unwrap();
        assert!(offered.contains(controller), "{offered}");
        assert!(Group::at(base.clone()).kill());
        wait::reap(inside.pid).unwrap();
        wait::reap(limited.pid).unwrap();
    }
    remove(base).unwrap();
}

#[test]
fn an_empty_group_that_was_left_is_swept() {
    let Some(mut groups) = real("test-sweep") else { return };
    groups.make(1, &NONE);
    let living = groups.make(2, &NONE).group;
    let spawned = sleeper(&living).unwrap();
    let left = sweep(groups.homes());
    let [home] = &*left else { panic!("{left:?}") };
    assert_eq!(workers_in(home), [(2, living.directory().unwrap().to_owned())]);
    assert!(procfs::process(spawned.pid).is_some());
    assert!(living.kill());
    wait::reap(spawned.pid).unwrap();
    groups.end(Duration::from_secs(10));
    assert_eq!(sweep(left), Vec::<PathBuf>::new());
}

//! What a program finds when it starts: exactly what it was given.

use super::*;
use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
};

fn strings(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

fn program(words: &[&str]) -> Program {
    Program {
        file: CString::new(words[0]).unwrap(),
        arguments: strings(words),
        environment: strings(&["PATH=/usr/bin:/bin"]),
        directory: PathBuf::from("/"),
        credentials: None,
    }
}

fn shell(script: &str) -> Program {
    program(&["sh", "-c", script])
}

fn baseline() -> Baseline {
    let open_files = OpenFiles { soft: 100, hard: 200 };
    Baseline { open_files, umask: 0o027, oom_score_adj: Some(500), nice: Some(0) }
}

/// Runs a program to its end with these descriptors more, and gives what it wrote to its output.
fn output_with(program: &Program, inherited: &[(BorrowedFd<'_>, RawFd)]) -> String {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let null = crate::pipe::null().unwrap();
    let setup = Setup {
        input: null.as_fd(),
        output: write.as_fd(),
        error: write.as_fd(),
        inherited,
        pid_variable: None,
        filter: false,
        group: None,
        baseline: &baseline(),
    };
    let spawned = spawn(program, &setup).unwrap();
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    wait::reap(spawned.pid).unwrap();
    text
}

fn output(program: &Program) -> String {
    output_with(program, &[])
}

fn failure(program: &Program) -> (Stage, i32) {
    let null = crate::pipe::null().unwrap();
    let setup = Setup {
        input: null.as_fd(),
        output: null.as_fd(),
        error: null.as_fd(),
        inherited: &[],
        pid_variable: None,
        filter: false,
        group: None,
        baseline: &baseline(),
    };
    let error = spawn(program, &setup).unwrap_err();
    (error.stage, error.errno)
}

fn executable(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn arguments_and_environment_are_exactly_the_given_ones() {
    let mut env = program(&["env"]);
    env.environment = strings(&["PATH=/usr/bin:/bin", "A=1", "EMPTY=", "B=x y\nz"]);
    assert_eq!(output(&env), "PATH=/usr/bin:/bin\nA=1\nEMPTY=\nB=x y\nz\n");
    let mut printf = program(&["printf", "%s|", "a b", "", "c"]);
    printf.environment = strings(&["PATH=/usr/bin:/bin"]);
    assert_eq!(output(&printf), "a b||c|");
}

#[test]
fn signals_mask_limits_and_priority_are_the_callers() {
    // What the test process has: an ignored and a blocked signal, as keepers do.
    let ignore = nix::sys::signal::SigHandler::SigIgn;
    // SAFETY: ignoring a signal runs no code.
    unsafe { nix::sys::signal::signal(nix::sys::signal::SIGUSR1, ignore) }.unwrap();
    let _blocked = crate::signal::Signals::block(&[libc::SIGTERM]).unwrap();
    let status = output(&program(&["cat", "/proc/self/status"]));
    for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "Umask:\t0027"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let limits = output(&program(&["cat", "/proc/self/limits"]));
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = files.split_ascii_whitespace().collect();
    assert_eq!(words[3..], ["100", "200", "files"]);
    assert_eq!(output(&program(&["cat", "/proc/self/oom_score_adj"])), "500\n");
}

#[test]
fn only_the_given_descriptors_are_there() {
    let stray = File::open("/dev/null").unwrap();
    crate::fd::set_cloexec(&stray, false).unwrap();
    let (one, other) = fdpass::stream_pair().unwrap();
    // ls has its own descriptor for the directory, at the first free number.
    let list = program(&["ls", "/proc/self/fd"]);
    assert_eq!(output(&list), "0\n1\n2\n3\n");
    let inherited = [(one.as_fd(), 4), (other.as_fd(), 3), (stray.as_fd(), 7)];
    assert_eq!(output_with(&list, &inherited), "0\n1\n2\n3\n4\n5\n7\n");
    let links = program(&["readlink", "/proc/self/fd/0", "/proc/self/fd/7"]);
    assert_eq!(output_with(&links, &inherited), "/dev/null\n/dev/null\n");
}

#[test]
fn descriptors_may_change_places() {
    let (one, other) = fdpass::stream_pair().unwrap();
    let name = |fd: &OwnedFd| {
        let link = format!("/proc/self/fd/{}", crate::fd::number(fd));
        fs::read_link(link).unwrap().into_os_string().into_string().unwrap()
    };
    // Each is asked for at the number the other has here.
    let inherited =
        [(one.as_fd(), crate::fd::number(&other)), (other.as_fd(), crate::fd::number(&one))];
    let paths = inherited.map(|(_, target)| format!("/proc/self/fd/{target}"));
    let links = program(&["readlink", &paths[0], &paths[1]]);
    assert_eq!(output_with(&links, &inherited), format!("{}\n{}\n", name(&one), name(&other)));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let null = crate::pipe::null().unwrap();
    for (target, valid) in [(2, false), (3, true), (63, true), (64, false)] {
        let inherited = [(null.as_fd(), target)];
        let setup = Setup {
            input: null.as_fd(),
            output: null.as_fd(),
            error: null.as_fd(),
            inherited: &inherited,
            pid_variable: None,
            filter: false,
            group: None,
            baseline: &baseline(),
        };
        match spawn(&program(&["true"]), &setup) {
            Ok(spawned) => {
                wait::reap(spawned.pid).unwrap();
                assert!(valid, "{target}");
            }
            Err(error) => {
                let expected = SpawnError { stage: Stage::Descriptors, errno: libc::EINVAL };
                assert_eq!((error, false), (expected, valid), "{target}");
            }
        }
    }
}

#[test]
fn the_leader_has_a_session_of_its_own_and_a_name_for_ever() {
    let null = crate::pipe::null().unwrap();
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let setup = Setup {
        input: read.as_fd(),
        output: null.as_fd(),
        error: null.as_fd(),
        inherited: &[],
        pid_variable: None,
        filter: false,
        group: None,
        baseline: &baseline(),
    };
    let spawned = spawn(&program(&["cat"]), &setup).unwrap();
    let process = procfs::process(spawned.pid).unwrap();
    assert_eq!((process.session, process.start_time), (spawned.pid, spawned.start_time));
    pidfd::send_signal(&spawned.pidfd, libc::SIGKILL).unwrap();
    assert_eq!(wait::reap(spawned.pid).unwrap(), wait::End::Signal(libc::SIGKILL));
    drop(write);
}

#[test]
fn each_failure_names_its_stage() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    executable(&plain, "x", 0o644);
    let text = directory.path().join("text");
    executable(&text, "no shebang", 0o755);
    let orphan = directory.path().join("orphan");
    executable(&orphan, "#!/no/such/interpreter\n", 0o755);
    let table = [
        ("/no/such/file", libc::ENOENT),
        ("no-such-word", libc::ENOENT),
        (plain.to_str().unwrap(), libc::EACCES),
        (directory.path().to_str().unwrap(), libc::EACCES),
        (text.to_str().unwrap(), libc::ENOEXEC),
        (orphan.to_str().unwrap(), libc::ENOENT),
    ];
    for (file, errno) in table {
        assert_eq!(failure(&program(&[file])), (Stage::Exec, errno), "{file}");
    }
    let mut lost = program(&["true"]);
    lost.directory = PathBuf::from("/no/such/directory");
    assert_eq!(failure(&lost), (Stage::Directory, libc::ENOENT));
}

#[test]
fn the_search_remembers_what_it_may_not_execute() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    executable(&directory.path().join("one/probe"), "x", 0o644);
    let mut probe = program(&["probe"]);
    // Relative directories count from the program's own directory.
    probe.environment = strings(&["PATH=/no/such:one:two"]);
    probe.directory = directory.path().to_owned();
    assert_eq!(failure(&probe), (Stage::Exec, libc::EACCES));
    executable(&directory.path().join("two/probe"), "#!/bin/sh\necho found", 0o755);
    assert_eq!(output(&probe), "found\n");
    probe.file = c"two/probe".to_owned();
    assert_eq!(output(&probe), "found\n");
}

#[test]
fn root_becomes_another_user_with_exactly_its_groups() {
    if process::effective_uid() != 0 {
        return;
    }
    let mut id = shell("id -u; id -g; id -G; grep NoNewPrivs /proc/self/status");
    id.credentials = Some(Credentials { uid: 65534, gid: 12, groups: vec![12, 34, 56] });
    assert_eq!(output(&id), "65534\n12\n12 34 56\nNoNewPrivs:\t0\n");
}

#[test]
fn the_filter_is_handed_over_or_its_refusal_told() {
    let null = crate::pipe::null().unwrap();
    let setup = Setup {
        input: null.as_fd(),
        output: null.as_fd(),
        error: null.as_fd(),
        inherited: &[],
        pid_variable: None,
        filter: true,
        group: None,
        baseline: &baseline(),
    };
    let spawned = spawn(&program(&["true"]), &setup).unwrap();
    assert_eq!(wait::reap(spawned.pid).unwrap(), wait::End::Code(0));
    match spawned.filter {
        Filter::Installed(_) | Filter::Refused(libc::EBUSY | libc::ENOSYS | libc::EINVAL) => {}
        Filter::Refused(_) | Filter::None => panic!("{:?}", spawned.filter),
    }
}

/// What systemd's own library checks first: the variable is the pid of whoever reads it.
#[test]
fn a_program_is_told_its_own_pid() {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let null = crate::pipe::null().unwrap();
    let setup = Setup {
        input: null.as_fd(),
        output: write.as_fd(),
        error: write.as_fd(),
        inherited: &[],
        pid_variable: Some(c"LISTEN_PID"),
        filter: false,
        group: None,
        baseline: &baseline(),
    };
    let mut program = shell("echo $LISTEN_PID $$ $A");
    program.environment.push(c"A=1".to_owned());
    let spawned = spawn(&program, &setup).unwrap();
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    wait::reap(spawned.pid).unwrap();
    assert_eq!(text, format!("{0} {0} 1\n", spawned.pid));
}

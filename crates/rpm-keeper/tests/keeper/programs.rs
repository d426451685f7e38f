//! What a program finds when the keeper has started it.

use crate::{
    Test,
    fixture::{Keeper, program, read_line, read_to_end, shell, strings},
};
use rpm_keeper::ExitStatus;
use rpm_unix::limits::OpenFiles;
use std::{fs::File, io::Write};

pub(crate) const TESTS: &[Test] = &[
    ("the_environment_is_exactly_the_given_one", the_environment_is_exactly_the_given_one),
    ("output_and_errors_are_apart", output_and_errors_are_apart),
    ("only_the_standard_streams_are_open", only_the_standard_streams_are_open),
    ("signals_limits_and_priority_are_the_callers", signals_limits_and_priority_are_the_callers),
    ("a_node_program_has_a_channel_and_its_other_end", a_channel_and_its_other_end),
];

fn the_environment_is_exactly_the_given_one() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let mut env = program(&["env"]);
    env.program.environment = strings(&["PATH=/usr/bin:/bin", "A=1", "B=x y"]);
    assert_eq!(daemon.output(1, &env), "PATH=/usr/bin:/bin\nA=1\nB=x y\n");
    let mut pwd = program(&["/bin/pwd"]);
    pwd.program.directory = "/usr/bin".into();
    assert_eq!(daemon.output(2, &pwd), "/usr/bin\n");
}

fn output_and_errors_are_apart() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let worker = daemon.spawn(1, &shell("echo out; echo err >&2; cat"));
    assert_eq!(daemon.exit(1), ExitStatus::Code(0));
    assert_eq!(read_to_end(&worker.0.stdout), "out\n");
    assert_eq!(read_to_end(&worker.0.stderr), "err\n");
}

fn only_the_standard_streams_are_open() {
    let (_keeper, daemon) = Keeper::with_daemon();
    // 3 is the directory that ls reads.
    assert_eq!(daemon.output(1, &program(&["ls", "/proc/self/fd"])), "0\n1\n2\n3\n");
    assert_eq!(daemon.output(2, &program(&["readlink", "/proc/self/fd/0"])), "/dev/null\n");
    // Open for both, so that the program waits and does not die when nobody reads (traps A4).
    let flags = "grep flags /proc/self/fdinfo/1 /proc/self/fdinfo/2";
    let text = daemon.output(3, &shell(flags));
    let modes: Vec<&str> = text.lines().filter_map(|line| line.get(line.len() - 1..)).collect();
    assert_eq!(modes, ["2", "2"], "{text}");
}

fn signals_limits_and_priority_are_the_callers() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let status = daemon.output(1, &program(&["cat", "/proc/self/status"]));
    for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let ours = std::fs::read_to_string("/proc/self/status").unwrap();
    let umask = |text: &str| text.lines().find(|line| line.starts_with("Umask")).map(str::to_owned);
    assert_eq!(umask(&status), umask(&ours));
    let limits = OpenFiles::current().unwrap();
    let expected = format!("{}\n{}\n", limits.soft, limits.hard);
    assert_eq!(daemon.output(2, &shell("ulimit -Sn; ulimit -Hn")), expected);
    let priority = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(daemon.output(3, &program(&["cat", "/proc/self/oom_score_adj"])), priority);
}

fn a_channel_and_its_other_end() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let mut spec = shell(
        "echo $NODE_CHANNEL_FD $NODE_CHANNEL_SERIALIZATION_MODE; read word <&3; echo $word; \
         echo up >&3; echo self >&4; read word <&3; echo $word",
    );
    spec.channel = true;
    let worker = daemon.spawn(1, &spec);
    let channel = worker.0.channel.as_ref().unwrap();
    File::from(channel.try_clone().unwrap()).write_all(b"down\n").unwrap();
    assert_eq!(read_line(channel), "up\n");
    assert_eq!(daemon.exit(1), ExitStatus::Code(0));
    assert_eq!(read_to_end(&worker.0.stdout), "3 json\ndown\nself\n");
}

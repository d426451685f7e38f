//! Where a keeper may not look into living apps (traps A6): under Yama one that is no ancestor of
//! theirs, in a container's profile any. A filter that refuses the two calls stands for both.

use super::{both::kill_both, essence, kill_keeper};
use crate::harness::{App, Home, Load, Rpm, made, pids_answering, port};
use std::process::Command;

const BLIND: &str = "the present keeper may not look into it (kernel.yama.ptrace_scope): sockets \
                     that it binds from now on are not held";

/// `rpm` that may not look into other processes; nor may what it starts.
fn denied(home: &Home, words: &[&str]) -> Rpm {
    let program = made("denied", "c/denied.c", |source, target| {
        Command::new("gcc").args(["-O1", "-Wall", "-Werror", "-o"]).arg(target).arg(source).status()
    });
    home.rpm_under(&[program.to_str().unwrap()], words)
}

fn reasons(home: &Home) -> Vec<Option<String>> {
    let reason = |app: &App| app.env("needs_roll").as_str().map(str::to_owned);
    home.jlist().iter().map(reason).collect()
}

/// Apps that live, and a pair that comes after theirs and may not look into them.
#[test]
fn a_pair_that_may_not_look_into_survivors_leaves_them_serving() {
    for program in ["hello.js", "server.py"] {
        let (home, port) = (Home::new(), port());
        home.start_web(program, "2", port);
        let before = essence(&home.jlist());
        let load = Load::on(port).fresh(3);
        load.more(20);
        kill_both(&home);
        denied(&home, &["ping"]).success();
        load.more(20);
        assert_eq!(essence(&home.jlist()), before, "{program}");
        assert_eq!(pids_answering(port, 2).len(), 2);
        let told = reasons(&home);
        assert!(told.iter().all(Option::is_some), "{program}: {told:?}");
        // One that may puts it right.
        kill_both(&home);
        home.rpm(["reload", "web"]).success();
        assert_eq!(reasons(&home), [None, None]);
        load.more(20);
        let report = load.stop();
        // The sockets that the second pair could not hold are of unknown order in their group, so a
        // replacement shares its predecessor's, which may cut one (docs/reliability.md).
        assert_eq!(report.refused, 0, "{program}: {report:#?}");
        assert!(report.failures <= 2, "{program}: {report:#?}");
        assert!(home.pids("web").iter().all(|pid| before.iter().all(|row| row.2 != *pid)));
    }
}

/// In a container whose profile forbids it from the beginning; Node does not need it.
#[test]
fn where_nobody_may_look_node_shares_and_others_are_told_the_way_out() {
    let home = Home::new();
    let [node, python] = [port(), port()];
    home.copy("hello.js");
    home.copy("server.py");
    let start = |words: &[&str], port: u16| denied(&home, words).env("PORT", port);
    let words = ["start", "hello.js", "--name", "node", "-i", "2", "--listen-timeout", "30s"];
    start(&words, node).success();
    assert_eq!(pids_answering(node, 2), home.pids("node").into_iter().collect());
    let words = "start server.py --name python -i 2 --no-autorestart --listen-timeout 30s";
    start(&words.split(' ').collect::<Vec<_>>(), python).refused(&[
        "python",
        "only Node's own servers share",
        "`listen`",
    ]);
    let doctor = denied(&home, &["doctor"]).output();
    assert!(
        doctor.stdout.contains("allow pidfd_open and pidfd_getfd in the sandbox"),
        "{doctor:?}"
    );
}

/// A keeper in the midst of its life, and all after it.
#[test]
fn an_heir_that_may_not_look_leaves_a_living_app_serving_and_says_so() {
    let (home, port) = (Home::new(), port());
    home.copy("server.py");
    let words = ["start", "server.py", "--name", "web", "-i", "1", "--listen-timeout", "30s"];
    let start = denied(&home, &words);
    start.env("PORT", port).success();
    let before = essence(&home.jlist());
    let load = Load::on(port).fresh(3);
    load.more(20);
    kill_keeper(&home);
    load.more(20);
    assert_eq!(essence(&home.jlist()), before);
    assert_eq!(reasons(&home), [Some(BLIND.to_owned())]);
    load.stop().is_clean(40);
    // What needs no look works: an end, and a start.
    home.rpm(["restart", "web"]).success();
    assert_eq!(pids_answering(port, 1), home.pids("web").into_iter().collect());
    assert_eq!(reasons(&home), [None]);
    home.rpm(["delete", "web"]).success();
}

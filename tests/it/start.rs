//! `rpm start`: every kind of program, on one port, unchanged.

use crate::harness::{
    AT_EASE, App, Home, Output, ask, compiled, get, port, repository, who_answers,
};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

/// CPUs this process may run on: what `max` means without a cgroup quota.
fn cpus() -> usize {
    let set = rustix::thread::sched_getaffinity(None).expect("sched_getaffinity");
    set.count() as usize
}

/// After `rpm start … -i COUNT` returned, COUNT workers of one app answer on one port, each with a
/// slot of its own, none of them restarted.
fn shares(home: &Home, app: &str, port: u16, count: usize) {
    let answering = who_answers(port, count);
    let slots: BTreeSet<_> = answering.iter().map(|who| who.instance.clone()).collect();
    let expected: BTreeSet<_> = (0..count).map(|slot| Some(slot.to_string())).collect();
    assert_eq!(slots, expected, "{answering:?}");
    let apps = home.app(app);
    let seen: Vec<_> = apps.iter().map(|app| (app.status(), app.exec_mode())).collect();
    assert_eq!(seen, vec![("online", "cluster_mode"); count]);
    assert_eq!(apps.iter().map(App::restarts).sum::<u64>(), 0, "{apps:#?}");
}

fn patient(home: &Home, words: &[&str], port: u16) {
    home.rpm_under(&[], &[words, &AT_EASE].concat()).env("PORT", port).success();
}

fn starts_on_one_port(fixture: &str) {
    let (home, port) = (Home::new(), port());
    home.start_web(fixture, "2", port);
    shares(&home, "web", port, 2);
}

#[test]
fn a_node_script() {
    starts_on_one_port("hello.js");
}

#[test]
fn a_node_module() {
    starts_on_one_port("hello.mjs");
}

#[test]
fn a_python_script_by_its_extension() {
    starts_on_one_port("server.py");
}

#[test]
fn a_script_by_its_shebang() {
    starts_on_one_port("server-without-extension");
}

#[test]
fn a_native_binary() {
    let (home, port) = (Home::new(), port());
    let binary = compiled().display().to_string();
    patient(&home, &["start", &binary, "--name", "web", "-i", "2"], port);
    shares(&home, "web", port, 2);
}

#[test]
fn a_shell_script_with_the_server_below_it() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    home.start_web("serve.sh", "2", port);
    shares(&home, "web", port, 2);
}

#[test]
fn a_command_line_in_quotes() {
    let (home, port) = (Home::new(), port());
    let folder = home.copy("npm-app");
    let words = [&["start", "npm start", "--name", "web", "-i", "4"][..], &AT_EASE].concat();
    home.rpm_under(&[], &words).cwd(folder).env("PORT", port).success();
    shares(&home, "web", port, 4);
}

#[test]
fn an_interpreter_named_on_the_command_line() {
    let (home, port) = (Home::new(), port());
    fs::rename(home.copy("server.py"), home.work().join("server.txt")).unwrap();
    let words = ["start", "server.txt", "--interpreter", "python3", "--name", "web", "-i", "2"];
    patient(&home, &words, port);
    shares(&home, "web", port, 2);
}

#[test]
fn max_and_0_are_the_cpus_and_minus_1_leaves_one_free() {
    for (word, count) in [("max", cpus()), ("0", cpus()), ("-1", (cpus() - 1).max(1))] {
        let (home, port) = (Home::new(), port());
        home.start_web("hello.js", word, port);
        assert_eq!(home.app("web").len(), count, "-i {word}");
    }
}

#[test]
fn max_counts_only_cpus_that_may_be_used() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    let words = ["start", "hello.js", "--name", "web", "-i", "max"];
    let words = [&words[..], &AT_EASE].concat();
    home.rpm_under(&["taskset", "-c", "0"], &words).env("PORT", port).success();
    shares(&home, "web", port, 1);
}

#[test]
fn one_instance_is_fork_mode_and_named_after_its_script() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    patient(&home, &["start", "hello.js"], port);
    let app = home.single("hello");
    assert_eq!((app.exec_mode(), app.id(), app.slot()), ("fork_mode", 0, 0));
    assert_eq!(ask(port).pid, app.pid());
}

#[test]
fn arguments_after_two_dashes_are_the_apps() {
    let home = Home::new();
    home.copy("environment.js");
    home.rpm(["start", "environment.js", "--name", "env", "--", "GREETING", "--not-for-rpm"])
        .env("GREETING", "good morning")
        .success();
    let text = home.wait_for_line(&home.single("env").out_log(), "end of environment");
    let expected = format!(
        "GREETING=good morning\n--not-for-rpm=\ncwd={}\nend of environment\n",
        home.work().display()
    );
    assert_eq!(text, expected);
}

#[test]
fn a_name_that_runs_is_refused_and_force_starts_another() {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "one"]).success();
    let before = home.single("one").pid();
    home.rpm(["start", "streams.js", "--name", "one"]).refused(&["one"]);
    assert_eq!(home.single("one").pid(), before);
}

#[test]
fn start_without_a_daemon_says_so_and_answers_within_the_first_command() {
    let (home, port) = (Home::new(), port());
    let output: Output = home.start_web("hello.js", "2", port);
    assert!(output.text().contains("web"), "{output:?}");
    ask(port);
}

/// The two commands of the README, on a machine without Node.
#[test]
fn the_example_serves_a_page_on_one_port_without_node() {
    let (home, port) = (Home::new(), port());
    let example = fs::read_to_string(repository().join("ecosystem.example.toml")).unwrap();
    assert!(example.contains("\"8080\""), "the README says port 8080");
    // Somebody else may have that port on this machine.
    let example = example.replace("8080", &port.to_string());
    let patient = "instances = \"max\"\nlisten_timeout = \"30s\"\n";
    home.write("ecosystem.example.toml", &example.replacen("instances = \"max\"\n", patient, 1));
    symlink(repository().join("examples"), home.work().join("examples")).unwrap();
    let empty = home.work().display().to_string();
    home.rpm(["start", "ecosystem.example.toml"]).env("PATH", empty).success();
    let pids: BTreeSet<u32> = home.pids("hello").into_iter().collect();
    assert_eq!(pids.len(), cpus());
    assert_eq!(pages_come_from(port, &pids), pids);
}

/// The workers that sent the example's page, asked until all of `wanted` did, or 500 times.
fn pages_come_from(port: u16, wanted: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    for _ in 0..500 {
        let page = get(port, "/?probe").expect("the page");
        assert_eq!(page.status, 200);
        assert!(page.body.contains("rpm is running"), "{}", page.body);
        seen.insert(page.header("x-rpm-pid").and_then(|pid| pid.parse().ok()).expect("a pid"));
        if seen == *wanted {
            break;
        }
    }
    seen
}

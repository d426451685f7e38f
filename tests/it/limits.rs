//! `limits`: what an instance may use, as its own process sees it.

use crate::harness::{App, Home, LIMIT, Process, Rpm, wait_for};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Starts `script` with these limits as `app`.
fn start(home: &Home, limits: &str) -> Rpm {
    home.copy("ticker.js");
    let text = format!("[[apps]]\nname = \"app\"\nscript = \"ticker.js\"\nlimits = {limits}\n");
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"])
}

#[test]
fn open_files_and_niceness_hold_for_the_app_and_after_a_restart() {
    let home = Home::new();
    start(&home, "{ nofile = 777, nice = 7 }").success();
    for _ in 0..2 {
        let pid = home.single("app").pid();
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let words: Vec<&str> = files.split_whitespace().collect();
        assert_eq!(words[3..5], ["777", "777"], "{files}");
        // The 19th field of proc_pid_stat(5); the second is in brackets and may hold blanks.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit(") ").next().unwrap();
        assert_eq!(after_name.split(' ').nth(16), Some("7"), "{stat}");
        home.rpm(["restart", "app"]).success();
    }
    let shown = home.rpm(["show", "app"]).success().stdout;
    assert!(shown.contains("nofile 777, nice 7"), "{shown}");
}

/// Whether `rpm doctor` says that this machine can: `cgroup`, `memory limit`, `cpu limit`,
/// `pids limit`.
pub(crate) fn can(home: &Home, what: &str) -> bool {
    let report = home.rpm(["doctor", "--json"]).output().stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let can = checks.iter().any(|check| check["name"] == what && check["state"] == "ok");
    if !can {
        eprintln!("not tested, because this machine gives nobody control groups: {what}");
    }
    can
}

/// Starts a Python program with these limits as `app`.
fn start_python(home: &Home, program: &str, more: &str) -> Rpm {
    home.write("app.py", program);
    home.write("ecosystem.toml", &format!("[[apps]]\nname = \"app\"\nscript = \"app.py\"\n{more}"));
    home.rpm(["start", "ecosystem.toml"])
}

/// A directory of the app's group that has this file.
fn group_with(home: &Home, file: &str) -> PathBuf {
    let workers = home.cgroups().into_iter().filter_map(|home| fs::read_dir(home).ok());
    let groups = workers.flatten().flatten().map(|group| group.path());
    let mut found = groups.filter(|group| group.join(file).exists());
    found.next().unwrap_or_else(|| panic!("no group has {file}: {:?}", home.cgroups()))
}

/// The program itself measures what it got: noise can only make that less. A tenth is so little
/// that it would have more on any machine.
#[test]
fn a_burner_gets_a_tenth_of_a_cpu() {
    let home = Home::new();
    if !can(&home, "cpu limit") {
        return;
    }
    let burner = "\
import signal, time
start = time.monotonic()
while time.monotonic() - start < 3:
    pass
print('used', time.process_time() / (time.monotonic() - start), flush=True)
signal.pause()
";
    start_python(&home, burner, "limits = { cpu = 0.1 }\n").success();
    let log = home.single("app").out_log();
    let text = home.wait_for_line(&log, "\n");
    let used: f64 = text.trim().strip_prefix("used ").unwrap().parse().unwrap();
    assert!(used <= 0.15, "{used}");
    let throttled = fs::read_to_string(group_with(&home, "cpu.stat").join("cpu.stat")).unwrap();
    assert!(!throttled.contains("nr_throttled 0\n"), "{throttled}");
    let shown = home.rpm(["show", "app"]).success().stdout;
    assert!(shown.contains("cpu 0.1 ") && !shown.contains("not enforced"), "{shown}");
}

#[test]
fn a_hog_is_killed_at_its_limit_and_that_is_said() {
    let home = Home::new();
    if !can(&home, "memory limit") {
        return;
    }
    let hog = "\
all = []
while True:
    all.append(bytearray(b'x') * (8 << 20))
";
    let told = home.work().join("told");
    let more = format!(
        "autorestart = false\nlimits = {{ memory = \"64M\" }}\n\
         on = {{ oom = 'echo \"$RPM_REASON\" > {0}.new; mv {0}.new {0}' }}\n",
        told.display()
    );
    start_python(&home, hog, &more).output();
    let apps = home.wait_until("the end", |apps| apps[0].status() == "stopped");
    assert_eq!(apps[0].exit_code(), Some(137));
    assert_eq!(apps[0].env("exit_oom_kills"), 1);
    let shown = home.rpm(["show", "app"]).success().stdout;
    let said = "by SIGKILL, killed at its memory limit (cgroup OOM), at ";
    assert!(shown.contains(&format!("Ended: {said}")), "{shown}");
    let reason = "it was ended by SIGKILL: at its `limits.memory` (cgroup OOM)\n";
    wait_for(&told, "the reason", |text| text == reason);
}

#[test]
fn a_start_that_dies_of_its_limit_says_what_to_do() {
    let home = Home::new();
    if !can(&home, "memory limit") {
        return;
    }
    let hog = "x = bytearray(b'x') * (256 << 20)\n";
    let more = "autorestart = false\nlisten_timeout = \"30s\"\nlimits = { memory = \"64M\" }\n";
    let output = start_python(&home, hog, more).exits(1);
    let hint = "the kernel killed it at its `limits.memory` (cgroup OOM): raise it";
    assert!(output.stderr.contains(hint), "{output:?}");
}

/// A fork bomb harms itself alone, and goes with its app.
#[test]
fn a_fork_bomb_gets_no_more_processes_than_it_may() {
    let home = Home::new();
    if !can(&home, "pids limit") {
        return;
    }
    let bomb = "\
import errno, os, signal
count = 1
while True:
    try:
        if os.fork() == 0:
            signal.pause()
        count += 1
    except OSError as error:
        print(errno.errorcode[error.errno], count, flush=True)
        break
signal.pause()
";
    start_python(&home, bomb, "limits = { pids = 10 }\n").success();
    home.wait_for_line(&home.single("app").out_log(), "EAGAIN 10\n");
    assert_eq!(home.app_processes().len(), 10);
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "other"]).success();
    home.rpm(["stop", "app"]).success();
    assert_eq!(home.app_processes().len(), 1);
    assert!(home.single("other").is_online());
}

/// A reload with other limits: the new worker has the new ones, from its first instruction on.
#[test]
fn a_changed_limit_holds_for_the_next_worker() {
    let home = Home::new();
    if !can(&home, "pids limit") {
        return;
    }
    let idle = "import signal\nsignal.pause()\n";
    let max = || {
        let text = fs::read_to_string(group_with(&home, "pids.max").join("pids.max")).unwrap();
        text.trim().to_owned()
    };
    start_python(&home, idle, "limits = { pids = 10 }\n").success();
    assert_eq!(max(), "10");
    let text = fs::read_to_string(home.work().join("ecosystem.toml")).unwrap();
    home.write("ecosystem.toml", &text.replace("10", "12"));
    home.rpm(["apply", "ecosystem.toml"]).success();
    assert_eq!(max(), "12");
}

/// Keeper, daemon and apps killed at once leave their groups; the next keeper removes them, and
/// whoever lives in one goes on in it.
#[test]
fn groups_of_a_dead_pair_are_removed_by_the_next() {
    let home = Home::new();
    if !can(&home, "cgroup") {
        return;
    }
    home.copy("ticker.js");
    for name in ["dies", "lives"] {
        home.rpm(["start", "ticker.js", "--name", name]).success();
    }
    let [groups] = <[PathBuf; 1]>::try_from(home.cgroups()).unwrap();
    let count =
        || fs::read_dir(&groups).unwrap().flatten().filter(|one| one.path().is_dir()).count();
    assert_eq!(count(), 2);
    let lives = Process(home.single("lives").pid());
    let dies = Process(home.single("dies").pid());
    let all = [home.keeper(), home.daemon(), dies];
    all.into_iter().for_each(Process::freeze);
    for process in all {
        process.kill();
        assert!(process.ends_within(LIMIT));
    }
    assert_eq!(count(), 2);
    home.rpm(["ping"]).success();
    home.wait_until("both", |apps| apps.iter().all(App::is_online));
    assert_eq!(home.single("lives").pid(), lives.0);
    assert_eq!(count(), 2, "that of the one that lives, and of the other's successor");
    home.rpm(["delete", "all"]).success();
    assert_eq!(count(), 0);
}

/// Without control groups everything else works, and what is missing is said aloud.
#[test]
fn what_is_not_enforced_is_said() {
    let home = Home::new();
    home.write("app.py", "import signal\nprint('up', flush=True)\nsignal.pause()\n");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"app\"\nscript = \"app.py\"\n\
         limits = { memory = \"100M\", pids = 10, nice = 3 }\n",
    );
    // As in containers: no group can be seen, or only looked at.
    let all = "$(awk '$3 ~ /^cgroup/ { print $2 }' /proc/self/mounts)";
    let none = "no control group with `memory` is there for rpm (rpm doctor tells more)";
    for (command, why) in [
        ("umount -l", none),
        ("mount -o remount,bind,ro", "is not ours; run rpm as a service (rpm startup)"),
    ] {
        let wrapper = format!("for m in {all}; do {command} $m || exit 9; done; exec \"$@\"");
        let wrapper = ["unshare", "-m", "sh", "-c", &wrapper, "sh"];
        let started = home.rpm_under(&wrapper, &["start", "ecosystem.toml"]).output();
        if started.code == 9 || started.stderr.contains("unshare") {
            eprintln!("not tested, because nobody may mount here: {started:?}");
            return;
        }
        assert_eq!(started.code, 0, "{started:?}");
        let said = "app app: `limits` are not enforced for memory, pids: ";
        let both = started.stderr.contains(said) && started.stderr.contains(why);
        assert!(both, "{started:?}");
        let shown = home.rpm(["show", "app"]).success().stdout;
        assert!(shown.contains("memory 100M, pids 10, nice 3"), "{shown}");
        assert!(shown.contains("memory, pids: ") && shown.contains("not enforced"), "{shown}");
        let missing = home.single("app").env("limits_unenforced").clone();
        assert_eq!(missing, serde_json::json!(["memory", "pids"]));
        assert_eq!(home.cgroups(), Vec::<PathBuf>::new());
        home.rpm(["stop", "app"]).success();
        assert_eq!(home.app_processes(), []);
        home.rpm(["kill"]).success();
    }
}

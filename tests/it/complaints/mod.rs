//! Acceptance tests of complaints about PM2 that no other file of the tests is about. The list of
//! all is docs/complaints.md.

mod table;

use crate::harness::{AT_EASE, App, Home, LIMIT, Process, Rpm, ask, get, port};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

/// What a process was started with: a file of its /proc, its parts apart.
fn started_with(app: &App, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{}/{file}", app.pid())).expect("it runs");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

/// E2 and E6: what is one app's never becomes another's.
#[test]
fn variables_and_arguments_of_two_apps_are_never_swapped() {
    let home = Home::new();
    home.copy("ticker.js");
    let app = |name: &str, port: u16, args: &str| {
        format!(
            "[[apps]]\nname = '{name}'\nscript = 'ticker.js'\nport = {port}\nmin_uptime = 100\n\
             node_args = '{args}'\n"
        )
    };
    let text = app("one", 4001, "--max-old-space-size=64") + &app("two", 4002, "--no-warnings");
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    let check = |name: &str, port: u16, argument: &str| {
        let app = home.single(name);
        let variables = started_with(&app, "environ");
        assert!(variables.contains(&format!("PORT={port}")), "{name}: {variables:?}");
        let script = home.work().join("ticker.js").display().to_string();
        assert_eq!(started_with(&app, "cmdline")[1..], [argument.to_owned(), script], "{name}");
    };
    for _ in 0..10 {
        for restarted in ["one", "two"] {
            home.rpm(["restart", restarted]).success();
            check("one", 4001, "--max-old-space-size=64");
            check("two", 4002, "--no-warnings");
        }
    }
}

/// E3: values are the app's and its file's, never ours to keep.
#[test]
fn a_secret_of_a_file_of_variables_is_in_no_file_of_rpms() {
    const SECRET: &str = "hunter2-is-no-password";
    let home = Home::new();
    home.copy("environment.js");
    home.write(".env", &format!("TOKEN={SECRET}\n"));
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = 'app'\nscript = 'environment.js'\nargs = 'PLAIN'\nenv_file = '.env'\n",
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    let app = home.single("app");
    home.wait_for_line(&app.out_log(), "end of environment");
    assert!(started_with(&app, "environ").contains(&format!("TOKEN={SECRET}")));
    home.rpm(["save"]).success();
    home.rpm(["restart", "app"]).success();
    // The next daemon reads what this one left.
    home.daemon().kill();
    home.rpm(["save"]).success();
    let found = Rpm::new(&home, &["grep", "-rl", SECRET, home.path().to_str().unwrap()]).output();
    assert_eq!((found.stdout.as_str(), found.code), ("", 1));
}

/// A server that says in which folder it really is.
const RELEASE: &str = "const release = require('path').basename(__dirname);\n\
    require('http').createServer((request, response) => response.end(JSON.stringify(\n\
      {pid: process.pid, instance: release}))).listen(process.env.PORT);\n";

/// E5: `current` is looked up at each start, whether it was named or stood in.
#[test]
fn a_symlink_that_is_flipped_counts_from_the_next_reload_on() {
    for inside in [false, true] {
        let (home, port) = (Home::new(), port());
        let current = home.work().join("current");
        for release in ["v1", "v2"] {
            fs::create_dir(home.work().join(release)).unwrap();
            home.write(&format!("{release}/app.js"), RELEASE);
        }
        symlink("v1", &current).unwrap();
        // As a shell that has gone there says it.
        let words =
            |script| [&["start", script, "--name", "web", "-i", "2"][..], &AT_EASE].concat();
        let start = match inside {
            false => home.rpm_under(&[], &words("current/app.js")),
            true => home
                .rpm_under(&[], &words("app.js"))
                .cwd(current.clone())
                .env("PWD", current.display()),
        };
        start.env("PORT", port).success();
        assert_eq!(ask(port).instance.as_deref(), Some("v1"));
        symlink("v2", home.work().join("next")).unwrap();
        fs::rename(home.work().join("next"), &current).unwrap();
        home.rpm(["reload", "web"]).success();
        for _ in 0..10 {
            assert_eq!(ask(port).instance.as_deref(), Some("v2"), "inside: {inside}");
        }
    }
}

/// F2: what runs an app is looked up at each start; what of rpm runs needs none of it.
#[test]
fn a_node_that_was_removed_is_named_and_its_successor_taken() {
    let home = Home::new();
    let versions = home.work().join("versions");
    fs::create_dir(&versions).unwrap();
    let real = Rpm::new(&home, &["sh", "-c", "command -v node"]).success().stdout;
    let node = versions.join("node");
    symlink(real.trim(), &node).unwrap();
    home.copy("ticker.js");
    let start = home.rpm(["start", "ticker.js", "--name", "app"]);
    start.env("PATH", format!("{}:/nowhere", versions.display())).success();
    fs::remove_file(&node).unwrap();
    home.rpm(["restart", "app"]).env("PATH", "/usr/bin:/bin").refused(&["app", "node"]);
    assert_eq!(home.single("app").status(), "errored");
    // A manager that starts meanwhile misses nothing, either.
    home.daemon().kill();
    home.rpm(["ping"]).env("PATH", "/nowhere").success();
    symlink(real.trim(), &node).unwrap();
    home.rpm(["restart", "app"]).env("PATH", "/usr/bin:/bin").success();
    assert!(home.single("app").is_online());
}

/// H3: no version check, no telemetry, no banner: nothing of rpm connects to another machine.
#[test]
fn nothing_of_rpm_calls_anybody_on_the_network() {
    let home = Home::new();
    home.copy("ticker.js");
    let script = "set -e\n\
        $RPM start ticker.js --name app -i 2 --listen-timeout 100\n\
        $RPM reload app; $RPM ls; $RPM jlist | jq . >jlist; $RPM logs --nostream; $RPM save\n\
        $RPM scale app 1; $RPM show app; $RPM doctor || true; $RPM update; $RPM kill\n";
    home.write("session.sh", script);
    let calls = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", "calls"];
    let words = [&calls[..], &["sh", "session.sh"]].concat();
    let output = Rpm::new(&home, &words).env("RPM", env!("CARGO_BIN_EXE_rpm")).output();
    if output.stderr.contains("ptrace") || output.code == 127 {
        eprintln!("skipped: nothing can be traced here");
        return;
    }
    assert_eq!(output.code, 0, "{output:?}");
    let calls = fs::read_to_string(home.work().join("calls")).unwrap();
    let outside: Vec<&str> = calls.lines().filter(|line| line.contains("AF_INET")).collect();
    assert_eq!(outside, Vec::<&str>::new());
    // The trace is of rpm, and it did talk.
    assert!(calls.contains("rpm.sock"), "{calls}");
    let list: serde_json::Value =
        serde_json::from_slice(&fs::read(home.work().join("jlist")).unwrap()).unwrap();
    assert_eq!(list.as_array().map(Vec::len), Some(2));
}

/// D2: apps whose names begin alike, and a file that was there before.
#[test]
fn rotation_of_one_app_leaves_alike_names_and_what_was_there_alone() {
    const OLD: u64 = 5 << 30;
    let home = Home::new();
    home.rpm(["ping"]).success();
    let logs = home.path().join("logs");
    fs::create_dir_all(&logs).unwrap();
    // As PM2 left it: larger than any limit, and without a byte on the disk.
    let old = fs::File::create(logs.join("old-out.log")).unwrap();
    old.set_len(OLD).unwrap();
    home.write("flood.sh", "seq 1 40000; echo done >&2; exec sleep 86442\n");
    let app = |name: &str, keep: u32| {
        format!(
            "[[apps]]\nname = '{name}'\nscript = 'flood.sh'\n\
             rotate = {{ max_size = '16K', keep = {keep}, compress = false }}\n"
        )
    };
    // The one with the shortest name keeps the fewest.
    let text = app("a", 1) + &app("aa", 100) + &app("a-b", 100) + &app("old", 100);
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    for name in ["aa", "a-b"] {
        let log = home.single(name).out_log();
        home.wait_for_line(&log, "\n40000\n");
        let all =
            home.rpm(["logs", name, "--nostream", "--raw", "--lines", "1000000"]).success().stdout;
        let want: String = (1..=40_000).map(|number| format!("{number}\n")).collect();
        assert!(all == want, "{name}: {} bytes of {}", all.len(), want.len());
    }
    home.wait_for_line(&home.single("old").error_log(), "done\n");
    // The other stream may still be on its way.
    let follower = home.rpm(["logs", "old", "--raw", "--out", "--lines", "2"]).spawn();
    follower.until("the last line", |text| text.lines().any(|line| line == "40000"));
    follower.interrupt();
    let last = home.rpm(["logs", "old", "--nostream", "--raw", "--out", "--lines", "2"]).success();
    assert_eq!(last.stdout, "39999\n40000\n");
    let files = || fs::read_dir(&logs).unwrap().flatten();
    let kept = files().filter(|file| file.metadata().is_ok_and(|found| found.len() >= OLD));
    assert_eq!(kept.count(), 1);
    let names = files().map(|file| file.file_name().into_string().unwrap());
    let of_a: Vec<_> = names.filter(|name| name.starts_with("a-out.log.")).collect();
    assert!(of_a.len() <= 2, "{of_a:?}");
}

/// A6: while a process is there, its instance is not called stopped.
#[test]
fn an_app_that_ignores_its_signal_is_stopped_when_it_is_gone() {
    let home = Home::new();
    home.copy("ignores-sigint.js");
    let words = ["start", "ignores-sigint.js", "--name", "app", "--kill-timeout", "8s"];
    home.rpm(words).success();
    let app = home.single("app");
    home.wait_for_line(&app.out_log(), "ready to ignore\n");
    let stop = home.rpm(["stop", "app"]).spawn();
    home.wait_for_line(&app.out_log(), "SIGINT ignored\n");
    // Looked at without a pause, and whenever something happens until it is gone.
    for _ in 0..20 {
        let seen = home.single("app").status().to_owned();
        let alive = Process(app.pid()).is_alive();
        assert!(seen == "stopping" || seen == "stopped" && !alive, "{seen}, alive: {alive}");
    }
    home.wait_until("it is stopped", |apps| apps[0].status() == "stopped");
    assert!(!Process(app.pid()).is_alive());
    assert_eq!(stop.finish(LIMIT).code, 0);
}

/// G4: from the breach to the end of the reload.
#[test]
fn memory_beyond_the_limit_is_noticed_within_two_seconds() {
    let (home, port) = (Home::new(), port());
    home.copy("memory.js");
    let words = ["start", "memory.js", "--name", "web", "-i", "2", "--max-memory-restart", "300M"];
    home.rpm(words).env("PORT", port).success();
    let noticed = || {
        let mut events = home.events();
        get(port, "/grow?mb=400").expect("grown");
        let began = Instant::now();
        events.until("it is noticed", |event| event.to_string().contains("memory_exceeded"));
        let taken = began.elapsed();
        events.until("it is replaced", |event| event.to_string().contains("reloaded"));
        taken
    };
    // Where the machine stands still meanwhile it is measured again.
    assert!((0..3).any(|_| noticed() < Duration::from_secs(2)), "it takes longer each time");
    home.rpm(["restart", "web", "--max-memory-restart", "100"])
        .refused_with(2, &["max-memory-restart", "100"]);
}

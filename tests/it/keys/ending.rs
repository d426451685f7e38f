//! The keys about beginning and ending: what is waited for, whom a stop means, what comes after.

use super::{STAYS, script};
use crate::harness::{App, Home, LIMIT, Process};
use std::time::{Duration, Instant};

/// Says `ready` after a while, and what it is told before it ends.
const TALKS: &str = "setTimeout(() => process.send('ready'), 600);\n\
                     process.on('SIGINT', () => { console.log('SIGINT'); process.exit(0); });\n\
                     process.on('message', (said) => { console.log('told', said); \
                     process.exit(0); });\n";

#[test]
fn wait_ready_waits_for_the_message_and_shutdown_comes_as_one() {
    let home = Home::new();
    home.write("talks.js", TALKS);
    home.write("mute.js", "setInterval(() => {}, 1000);\n");
    home.write(
        "talks.json",
        "[{ name: 'talks', script: 'talks.js', waitReady: true, listen_timeout: 30000,\n\
         kill_timeout: 30000, shutdown_with_message: true }]",
    );
    let began = Instant::now();
    home.rpm(["start", "talks.json"]).success();
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
    let talks = home.single("talks");
    assert!(talks.is_online());
    home.rpm(["stop", "talks"]).success();
    let said = home.wait_for_line(&talks.out_log(), "told shutdown\n");
    assert_eq!(said, "told shutdown\n");

    // Who does not say it in time has failed.
    home.write(
        "mute.json",
        "[{ name: 'mute', script: 'mute.js', wait_ready: true, listenTimeout: '400ms',\n\
         autorestart: false }]",
    );
    home.rpm(["start", "mute.json"]).refused(&["mute", "400"]);
    // It is told to end first.
    home.wait_until("it has failed", |apps| {
        apps.iter().any(|app| app.name() == "mute" && app.status() == "errored")
    });
}

#[test]
fn without_treekill_children_are_left_alone() {
    let home = Home::new();
    script(
        &home,
        "parent.sh",
        "#!/bin/sh\nsleep 86450 </dev/null >/dev/null 2>&1 &\necho $!\nread line\n",
    );
    home.write("tree.json", "[{ name: 'tree', script: 'parent.sh', treekill: false }]");
    home.rpm(["start", "tree.json"]).success();
    let tree = home.single("tree");
    let child = home.wait_for_lines(&tree.out_log(), "", 1);
    let child = Process(child.trim().parse().expect("a pid"));
    home.rpm(["stop", "tree"]).success();
    assert!(!Process(tree.pid()).is_alive());
    assert!(child.is_alive(), "only the leader was told");
    child.kill();
    assert!(child.ends_within(LIMIT));
}

#[test]
fn what_is_only_registered_can_be_started_later_by_name_and_by_restart() {
    let home = Home::new();
    script(&home, "run.sh", STAYS);
    home.write(
        "later.json",
        "[{ name: 'a', script: 'run.sh', autostart: false },\n\
         { name: 'b', script: 'run.sh', autostart: 'false' }]",
    );
    home.rpm(["start", "later.json"]).success();
    let statuses =
        || -> Vec<String> { home.jlist().iter().map(|app| app.status().to_owned()).collect() };
    assert_eq!(statuses(), ["stopped", "stopped"]);
    home.rpm(["start", "a"]).success();
    home.rpm(["restart", "b"]).success();
    assert_eq!(statuses(), ["online", "online"]);
    assert!(home.jlist().iter().all(|app| app.env("autostart") == false));
}

#[test]
fn a_stop_signal_of_its_own_is_the_one_that_comes() {
    let home = Home::new();
    let script_of = |signals: &str| {
        format!(
            "#!/bin/sh\ntrap 'echo {signals}; exit 0' {signals}\necho up\n\
             while :; do read line; done\n"
        )
    };
    script(&home, "term.sh", &script_of("TERM"));
    script(&home, "int.sh", &script_of("INT"));
    home.write(
        "signals.json",
        "[{ name: 'term', script: 'term.sh', stop_signal: 'SIGTERM', kill_timeout: 30000 },\n\
         { name: 'int', script: 'int.sh', kill_timeout: 30000 }]",
    );
    home.rpm(["start", "signals.json"]).success();
    let logs = [home.single("int").out_log(), home.single("term").out_log()];
    for log in &logs {
        home.wait_for_line(log, "up\n");
    }
    home.rpm(["stop", "all"]).success();
    assert_eq!(home.wait_for_line(&logs[0], "INT\n"), "up\nINT\n");
    assert_eq!(home.wait_for_line(&logs[1], "TERM\n"), "up\nTERM\n");
}

/// PM2 leaves all of these at `waiting restart` for ever.
#[test]
fn what_is_not_restarted_does_not_wait_for_a_restart() {
    let home = Home::new();
    script(&home, "three.sh", "#!/bin/sh\nexit 3\n");
    script(&home, "killed.sh", "#!/bin/sh\nkill -9 $$\n");
    home.write(
        "ends.json",
        "[{ name: 'never', script: 'three.sh', autorestart: false, restart_delay: 3600000 },\n\
         { name: 'codes', script: 'three.sh', stop_exit_codes: [3],\n\
         exp_backoff_restart_delay: 60000 },\n\
         { name: 'often', script: 'three.sh', max_restarts: 1, restart_delay: '1h' },\n\
         { name: 'zero', script: 'killed.sh', stop_exit_codes: [0], restart_delay: '1h' }]",
    );
    home.rpm(["start", "ends.json"]).output();
    let settled = |apps: &[App]| {
        apps.iter().all(|app| !matches!(app.status(), "launching" | "online" | "stopping"))
    };
    let apps = home.wait_until("all have ended", settled);
    let seen: Vec<_> = apps.iter().map(|app| (app.name(), app.status(), app.exit_code())).collect();
    let want = [
        ("never", "stopped", Some(3)),
        ("codes", "stopped", Some(3)),
        ("often", "errored", Some(3)),
        // A signal is no exit code 0.
        ("zero", "waiting restart", Some(137)),
    ];
    assert_eq!(seen, want);
}

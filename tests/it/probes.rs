//! Probes: what proves that an instance is ready, and that it still works.

use crate::harness::{App, Home, LIMIT, Load, Rpm, get, port};
use std::time::{Duration, Instant};

/// Starts one app `app` of `script` with these lines.
fn app(home: &Home, script: &str, lines: &str) -> Rpm {
    home.copy(script);
    let head = format!("[[apps]]\nname = \"app\"\nscript = \"{script}\"\n");
    home.write("ecosystem.toml", &format!("{head}{lines}"));
    home.rpm(["start", "ecosystem.toml"])
}

fn statuses(home: &Home) -> Vec<String> {
    home.app("app").iter().map(|app| app.status().to_owned()).collect()
}

#[test]
fn ready_is_said_to_the_notify_socket_by_any_process_of_the_tree() {
    for env in ["{}", "{ CHILD = \"1\" }"] {
        let home = Home::new();
        app(&home, "notify.py", &format!("ready = \"notify\"\nenv = {env}\n")).success();
        assert_eq!(statuses(&home), ["online"], "{env}");
        home.wait_for_line(&home.single("app").out_log(), "said as");
    }
}

#[test]
fn an_app_with_a_user_of_its_own_reaches_the_notify_socket() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    let script = home.copy("notify.py");
    // The user must get at the script; the home itself stays closed.
    for directory in script.ancestors().skip(1).take(2) {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory, open).unwrap();
    }
    app(&home, "notify.py", "ready = \"notify\"\nuid = \"nobody\"\n").success();
    assert_eq!(statuses(&home), ["online"]);
    home.wait_for_line(&home.single("app").out_log(), "said as 65534");
}

#[test]
fn who_never_says_ready_fails_the_start() {
    let home = Home::new();
    let lines = "ready = \"notify\"\nlisten_timeout = \"500ms\"\nautorestart = false\n\
                 env = { NEVER = \"1\" }\n";
    let failed = app(&home, "notify.py", lines).exits(1);
    assert!(failed.stderr.contains("not ready in 500 ms"), "{failed:?}");
    assert!(failed.stderr.contains("it must send READY=1 to NOTIFY_SOCKET"), "{failed:?}");
}

#[test]
fn a_strangers_ready_counts_for_nobody() {
    let home = Home::new();
    // Its files are watched before it is started.
    home.rpm(["ping"]).success();
    let lines = "ready = \"notify\"\nlisten_timeout = \"10s\"\nautorestart = false\n\
                 env = { NEVER = \"1\" }\n";
    let starting = app(&home, "notify.py", lines).spawn();
    home.wait_for_line(&home.path().join("logs/app-out.log"), "waits");
    let file = format!("/proc/{}/environ", home.single("app").pid());
    let environment = std::fs::read_to_string(file).unwrap();
    let path = environment.split('\0').find_map(|pair| pair.strip_prefix("NOTIFY_SOCKET="));
    let stranger = std::os::unix::net::UnixDatagram::unbound().unwrap();
    stranger.send_to(b"READY=1", path.unwrap()).unwrap();
    assert_eq!(starting.finish(LIMIT).code, 1);
}

#[test]
fn http_answers_when_it_is_ready() {
    let (home, port) = (Home::new(), port());
    let lines = format!(
        "ready = {{ http = \"http://127.0.0.1:{{port}}/healthz\" }}\nport = {port}\n\
         env = {{ READY_AFTER = \"700\" }}\n"
    );
    let began = Instant::now();
    app(&home, "healthz.js", &lines).success();
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert_eq!(statuses(&home), ["online"]);
}

#[test]
fn an_http_probe_that_is_never_answered_well_fails_the_start_and_says_how() {
    let (home, port) = (Home::new(), port());
    let lines = format!(
        "ready = {{ http = \"http://127.0.0.1:{{port}}/healthz\" }}\nport = {port}\n\
         listen_timeout = \"10s\"\nautorestart = false\nenv = {{ READY_AFTER = \"60000\" }}\n"
    );
    let failed = app(&home, "healthz.js", &lines).exits(1);
    assert!(failed.stderr.contains("not ready in 10 s"), "{failed:?}");
    let answer = format!("http://127.0.0.1:{port}/healthz: answered 503 Service Unavailable");
    assert!(failed.stderr.contains(&answer), "{failed:?}");
}

#[test]
fn tcp_and_exec_probes() {
    let (home, port) = (Home::new(), port());
    let tcp = format!("ready = {{ tcp = \"{{port}}\" }}\nport = {port}\n");
    app(&home, "healthz.js", &tcp).success();
    get(port, "/pid").expect("it serves");
    home.rpm(["delete", "all"]).success();
    // It gets the app's directory and variables, and its children end with it.
    let exec = "listen_timeout = \"20s\"\nenv = { FLAG = \"it's\" }\n\
                ready = { exec = \"test \\\"$FLAG\\\" = \\\"it's\\\" && touch asked-$name\" }\n";
    app(&home, "ticker.js", exec).success();
    assert!(home.work().join("asked-app").exists());
}

#[test]
fn an_ill_instance_of_a_cluster_is_replaced_without_a_failed_request() {
    let (home, port) = (Home::new(), port());
    let lines = format!(
        "instances = 2\nport = {port}\nlisten_timeout = \"30s\"\n\
         health = {{ http = \"http://127.0.0.1:{{port}}/healthz\", \
         interval = \"200ms\", timeout = \"5s\", failures = 3 }}\n"
    );
    app(&home, "healthz.js", &lines).success();
    let before = home.pids("app");
    let load = Load::on(port).fresh(2).keep_alive(2);
    load.more(20);
    let fallen = get(port, "/fall").expect("fallen").body;
    let fallen: serde_json::Value = serde_json::from_str(&fallen).unwrap();
    let ill = fallen["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap();
    let apps = home.wait_until("the ill one is replaced", |apps| {
        apps.iter().all(|app| app.pid() != ill && app.is_online())
            && apps.iter().map(App::restarts).sum::<u64>() >= 1
    });
    load.more(100);
    load.stop().is_clean(120);
    let kept: Vec<_> = apps.iter().filter(|app| before.contains(&app.pid())).collect();
    assert_eq!((kept.len(), kept[0].restarts()), (1, 0), "the other one was well: {apps:#?}");
    let why = "Unhealthy { reason: \"http://127.0.0.1:";
    assert!(home.log().contains(why), "{}", home.log());
    assert!(home.log().contains("answered 500 Internal Server Error"), "{}", home.log());
}

#[test]
fn an_instance_that_hangs_is_replaced_and_the_others_are_not() {
    let (home, port) = (Home::new(), port());
    let lines = format!(
        "instances = 2\nport = {port}\nkill_timeout = 200\ndrain_timeout = \"500ms\"\n\
         listen_timeout = \"30s\"\n\
         health = {{ http = \"http://127.0.0.1:{{port}}/healthz\", interval = \"200ms\", \
         timeout = \"5s\", failures = 2 }}\n"
    );
    app(&home, "healthz.js", &lines).success();
    let before = home.pids("app");
    get(port, "/hang").expect("hung");
    let apps = home.wait_until("it is replaced", |apps| {
        apps.iter().map(App::restarts).sum::<u64>() == 1 && apps.iter().all(App::is_online)
    });
    assert_eq!(apps.iter().filter(|app| before.contains(&app.pid())).count(), 1, "{apps:#?}");
}

#[test]
fn a_command_that_fails_makes_it_ill() {
    let home = Home::new();
    home.write("well", "");
    let lines = "ready = \"notify\"\nhealth = { exec = \"test -e well || (sleep 86404 & exit 1)\", \
                 interval = \"100ms\", timeout = \"10s\", failures = 2 }\n";
    app(&home, "notify.py", lines).success();
    let before = home.single("app");
    assert!(home.rpm(["show", "app"]).success().stdout.contains("2 failures"));
    std::fs::remove_file(home.work().join("well")).unwrap();
    home.wait_until("it is replaced", |apps| apps[0].restarts() >= 1);
    home.write("well", "");
    home.wait_until("it is well", |apps| apps[0].is_online() && apps[0].pid() != before.pid());
    assert!(home.log().contains("Unhealthy"), "{}", home.log());
}

#[test]
fn wrong_probes_are_refused() {
    let home = Home::new();
    for (line, words) in [
        ("ready = \"soon\"", "`ready` must be \"listening\", \"message\", \"notify\""),
        ("ready = { http = \"ftp://a\" }", "`ready` must be a table whose `http` is a URL"),
        ("ready = { tcp = \"{port}\" }", "`ready` speaks of {port}, but the app is given none"),
        ("health = { interval = 1000 }", "`health` must be a table with one of"),
        ("health = { exec = \"true\", interval = 1 }", "`health` must be at least 50 milliseconds"),
    ] {
        app(&home, "notify.py", &format!("{line}\n")).refused(&[words]);
    }
}

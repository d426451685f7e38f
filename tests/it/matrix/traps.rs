//! Ways in which programs were seen to fail in the obvious design. Those that are a program of the
//! matrix, a refusal (`bad_input.rs`) or seen by the keeper alone are where they belong.

use super::native::c;
use super::program::{Program, path};
use super::stages;
use crate::harness::{App, Door, Home, LIMIT, Load, Output, compiled, copy, port};
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

/// Nobody's user and group, which every Linux has.
const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

matrix! {
    // A1: a look whether the port is free holds no connection back.
    probe: Program::script("probe.js", &[]).keeps_alive();
    probe_behind_a_shell: Program::new(&["sh -c 'node probe.js'"]).file("probe.js").keeps_alive();
}

/// A home that every user can reach, with rpm's own folder for its owner only.
fn open_home() -> Home {
    let home = Home::new();
    fs::set_permissions(home.root(), fs::Permissions::from_mode(0o755)).expect("chmod");
    home
}

fn start(home: &Home, words: &[&str], port: u16) -> Output {
    let words = [&["start", "--name", "web", "-i", "3"], words].concat();
    home.rpm_under(&[], &words).env("PORT", port).env("PATH", path()).success()
}

/// `keep_alive`: clients whose connection only an app that drains ends properly.
fn reloads_cleanly(home: &Home, door: &Door, keep_alive: usize) {
    stages::answers(home, door, 3);
    let load = Load::of(door).through(door, 3).keep_alive(keep_alive);
    load.more(20);
    home.rpm(["reload", "web"]).success();
    load.more(20);
    load.stop().is_clean(40);
    stages::answers(home, door, 3);
}

/// A10: the preload must be in reach of whoever the app runs as, and the home is not.
#[test]
fn an_app_of_another_user_is_drained_too() {
    let (home, port) = (open_home(), port());
    home.copy("hello.js");
    start(&home, &[&format!("{NOBODY} node hello.js")], port);
    reloads_cleanly(&home, &Door::Http(port), 2);
}

/// A10: as every user may connect there, a process of no app is hung up on.
#[test]
fn a_stranger_at_the_control_socket_is_hung_up_on() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    start(&home, &["hello.js"], port);
    let variables = fs::read(format!("/proc/{}/environ", home.pids("web")[0])).expect("environ");
    let variables = String::from_utf8_lossy(&variables).into_owned();
    let path = variables.split('\0').find_map(|one| one.strip_prefix("RPM_CONTROL="));
    let mut stranger = UnixStream::connect(path.expect("RPM_CONTROL")).expect("connect");
    stranger.set_read_timeout(Some(LIMIT)).expect("timeout");
    // Whatever it is told before, the end comes.
    stranger.read_to_end(&mut Vec::new()).expect("the daemon hangs up");
}

/// A10: Node's permission model refuses a preload it was not told about.
#[test]
fn an_app_under_nodes_permission_model_starts() {
    let (home, port) = (Home::new(), port());
    home.copy("hello.js");
    let options = "--experimental-permission --allow-fs-read=*";
    start(&home, &["hello.js", "--node-args", options], port);
    stages::answers(&home, &Door::Http(port), 3);
}

/// B1: shutdown(2) of a shared socket ends it for every holder, the replacement's accept too.
/// Nobody can know before the first time; from then on each worker has a socket of its own.
#[test]
fn a_program_that_stops_by_shutdown_is_known_after_the_first_time() {
    let (home, port) = (Home::new(), port());
    start(&home, &[&c("blocking"), "--", "stops"], port);
    home.rpm(["reload", "web"]).output();
    home.wait_until("three serve again", |apps| apps.iter().all(App::is_online));
    let load = Load::on(port).fresh(3);
    load.more(20);
    home.rpm(["reload", "web"]).success();
    load.more(20);
    let report = load.stop();
    assert_eq!(report.refused, 0, "{report:#?}");
    // What waits in the socket that is shut down is lost with it, by the program's own doing.
    assert!(report.failures <= 3 * 3, "{report:#?}");
    stages::answers(&home, &Door::Http(port), 3);
}

/// B5: the right of a file to a port below 1024 is worth something only without `no_new_privs`.
#[test]
fn a_program_with_file_capabilities_keeps_them() {
    let (home, port) = (open_home(), low_port());
    let program = home.work().join("server");
    copy(&compiled(), &program);
    let setcap = Command::new("setcap").arg("cap_net_bind_service=ep").arg(&program).status();
    assert!(setcap.expect("setcap is missing: run scripts/test once").success());
    start(&home, &[&format!("{NOBODY} ./server")], port);
    reloads_cleanly(&home, &Door::Http(port), 0);
}

/// A port below 1024 that nobody has.
fn low_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    (700..1000).find(free).expect("a free port below 1024")
}

/// B7: node:cluster's variables are for the one Node that rpm starts itself.
#[test]
fn a_node_behind_a_wrapper_is_no_worker_and_one_without_is() {
    for (command, expected) in [
        ("npm start", "worker: false, channel: false\nlistening"),
        ("node server.js", "worker: true, channel: true\nlistening"),
    ] {
        let (home, port) = (Home::new(), port());
        home.copy("matrix/worker/package.json");
        home.copy("matrix/worker/server.js");
        start(&home, &[command], port);
        stages::answers(&home, &Door::Http(port), 3);
        for app in home.app("web") {
            let text = home.wait_for_line(&app.out_log(), "listening\n");
            assert!(text.trim_end().ends_with(expected), "{command}: {text}");
        }
    }
}

//! Ways in which programs were seen to fail in the obvious design. Those that are a program of the
//! matrix, a refusal (`bad_input.rs`) or seen by the keeper alone are where they belong.

use super::native::c;
use super::program::{Program, path};
use super::stages;
use crate::harness::{AT_EASE, App, Door, Home, LIMIT, Load, Output, compiled, copy, port};
use std::fs::{self, File};
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
    let words = [&["start", "--name", "web", "-i", "3"], &AT_EASE[..], words].concat();
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
    // It is dropped after the home, which ends whoever has the port.
    let low = low_port();
    let (home, port) = (open_home(), low.port);
    let program = home.work().join("server");
    copy(&compiled(), &program);
    let setcap = Command::new("setcap").arg("cap_net_bind_service=ep").arg(&program).status();
    assert!(setcap.expect("setcap is missing: run scripts/test once").success());
    start(&home, &[&format!("{NOBODY} ./server")], port);
    reloads_cleanly(&home, &Door::Http(port), 0);
}

/// A user who may not have the port is told so, with the way out, which works.
#[test]
fn a_port_below_1024_without_the_right() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let low = low_port();
    let (home, port) = (open_home(), low.port);
    copy(&compiled(), &home.work().join("server"));
    let program = format!("{NOBODY} ./server");
    let words =
        ["start", "--name", "web", "-i", "2", "--no-autorestart", "--listen-timeout", "30s"];
    let refused = home.rpm_under(&[], &[&words[..], &[&program]].concat());
    let told = [&*format!("0.0.0.0:{port}"), "ports below 1024 are root's", "`listen`"];
    refused.env("PORT", port).env("PATH", path()).refused(&told);
    home.rpm(["delete", "web"]).success();
    let listen = ["--listen", &format!("0.0.0.0:{port}")];
    start(&home, &[&listen[..], &[&program]].concat(), port);
    reloads_cleanly(&home, &Door::Http(port), 0);
}

/// B6: under a filter with a listener there cannot be another one, so binds are not answered. That
/// is said once, by `doctor` too, and Node shares its ports all the same.
#[test]
fn without_user_notification_only_node_shares_and_that_is_said() {
    let (home, inner) = (Home::new(), Home::new());
    let [python, node] = [port(), port()];
    home.copy("hello.js");
    home.copy("server.py");
    let rpm = env!("CARGO_BIN_EXE_rpm");
    let text = format!(
        "#!/bin/bash\n\
         export RPM_HOME={} PATH={}\n\
         PORT={node} {rpm} start hello.js --name node -i 2; echo \"node: $?\"\n\
         PORT={python} {rpm} start server.py --name python -i 2 --no-autorestart \
         --listen-timeout 6s; echo \"python: $?\"\n\
         {rpm} show python; {rpm} doctor; echo done\n\
         exec env -u RPM_HOME sleep infinity\n",
        inner.path().display(),
        path(),
    );
    let script = home.write("nested.sh", &text);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("chmod");
    let words = ["start", "./nested.sh", "--name", "outer", "-i", "1", "--merge-logs"];
    home.rpm_under(&[], &[&words[..], &["--listen-timeout", "100"]].concat()).success();
    let outer = home.single("outer");
    let said = home.wait_for_line(&outer.out_log(), "done\n");
    let errors = fs::read_to_string(outer.error_log()).expect("a log");
    let told = "rpm cannot answer its binds here (Device or resource busy (os error 16)), so only \
                Node's own servers share their port";
    for want in ["node: 0\n", "python: 1\n", "this shell runs under such a filter already"] {
        assert!(said.contains(want), "no {want:?} in {said}");
    }
    assert!(errors.contains(told), "{errors}");
    assert!(said.contains("even (Node's own servers only: no bind filter,"), "{said}");
    stages::answers_of(&inner, "node", &Door::Http(node), 2);
    let log = inner.log();
    assert_eq!(log.lines().filter(|line| line.contains(told)).count(), 2, "once an app: {log}");
}

/// A port below 1024 that nobody has, and that no other test looks for while this one is kept.
struct LowPort {
    port: u16,
    _lock: File,
}

fn low_port() -> LowPort {
    let file = File::options().append(true).create(true).open("/tmp/rpm-test-low-ports");
    let file = file.expect("a file for the lock");
    file.lock().expect("the lock");
    let free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    LowPort { port: (700..1000).find(free).expect("a free port below 1024"), _lock: file }
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

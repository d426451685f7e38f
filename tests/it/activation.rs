//! `listen`: sockets that rpm binds and hands over (sd_listen_fds(3)).

use crate::harness::{
    AT_EASE, App, Home, Load, Process, ask, fixture, get, pids_answering, port, venv, who_answers,
};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn pids(home: &Home) -> BTreeSet<u32> {
    home.pids("web").into_iter().collect()
}

/// Starts a fixture as `web` with these options and `listen` on a new port.
fn start(name: &str, options: &[&str]) -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.copy(name);
    start_as(&home, name, port, options);
    (home, port)
}

fn start_as(home: &Home, name: &str, port: u16, options: &[&str]) {
    let address = address(port);
    let words = [&["start", name, "--name", "web", "--listen", &address], options].concat();
    home.rpm_under(&[], &words).success();
}

#[test]
fn node_takes_its_descriptor_in_both_modes() {
    for options in [&[][..], &["-i", "2"][..]] {
        let (home, port) = start("fd.js", options);
        let count = home.app("web").len();
        assert_eq!(pids_answering(port, count), pids(&home));
        for app in home.app("web") {
            let text = home.wait_for_line(&app.out_log(), "true\n");
            assert_eq!(text, format!("listening 1 127.0.0.1-{port} true\n"));
        }
        assert!(home.app("web").iter().all(|app| app.restarts() == 0));
    }
}

/// An app that says where it listens, as most do, gets the socket that was bound for it.
#[test]
fn an_app_that_binds_by_itself_is_given_what_was_bound_for_it() {
    for fixture in ["hello.js", "server.py"] {
        let (home, port) = (Home::new(), port());
        home.copy(fixture);
        let address = format!("0.0.0.0:{port}");
        let words = ["start", fixture, "--name", "web", "-i", "2", "--listen", &address];
        let words = [&words[..], &AT_EASE].concat();
        home.rpm_under(&[], &words).env("PORT", port).success();
        assert_eq!(pids_answering(port, 2), pids(&home), "{fixture}");
        let load = Load::on(port).fresh(2);
        load.more(30);
        home.rpm(["reload", "web"]).success();
        load.more(30);
        load.stop().is_clean(60);
    }
}

#[test]
fn every_kind_of_socket_is_handed_over_under_its_name() {
    let (home, port) = (Home::new(), port());
    home.copy("activated.py");
    let text = format!(
        "[[apps]]\nname = \"web\"\nscript = \"activated.py\"\nmin_uptime = 100\nlisten = \
         [\"http=127.0.0.1:{port}\", \"unix:x.sock\", \"echo=udp:127.0.0.1:{port}\"]\n"
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    let app = home.single("web");
    let text = home.wait_for_line(&app.out_log(), "serving\n");
    let want = "http AF_INET SOCK_STREAM\nunix-x.sock AF_UNIX SOCK_STREAM\n\
                echo AF_INET SOCK_DGRAM\nserving\n";
    assert_eq!(text, want);
    assert_eq!(ask(port).pid, app.pid());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"hello", address(port)).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    // Nobody accepts there, but it is bound and listens; and it goes with the app.
    let path = home.work().join("x.sock");
    UnixStream::connect(&path).unwrap();
    home.rpm(["stop", "web"]).success();
    assert!(!path.exists());
    TcpListener::bind(address(port)).expect("the port is free");
}

#[test]
fn a_unix_socket_is_one_for_all_workers() {
    let home = Home::new();
    home.copy("fd.js");
    let words = ["start", "fd.js", "--name", "web", "-i", "2", "--listen", "unix:x.sock"];
    home.rpm(words).success();
    let mut found = BTreeSet::new();
    for _ in 0..200 {
        let mut client = UnixStream::connect(home.work().join("x.sock")).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        let body = text.rsplit("\r\n").find(|line| line.contains("pid")).unwrap();
        let who: serde_json::Value = serde_json::from_str(body).unwrap();
        found.insert(u32::try_from(who["pid"].as_u64().unwrap()).unwrap());
    }
    assert!(found.is_subset(&pids(&home)) && !found.is_empty());
}

/// The app is told by a fifo when its boot is over, and the request was sent before.
#[test]
fn the_first_request_waits_for_a_booting_app() {
    let (home, port) = (Home::new(), port());
    home.copy("activated.py");
    let fifo = home.work().join("boot");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let boot = fifo.display().to_string();
    let address = address(port);
    let words = ["start", "activated.py", "--name", "web", "--min-uptime", "100", "--listen"];
    let words = [&words[..], &[&address]].concat();
    home.rpm_under(&[], &words).env("BOOT", &boot).success();
    let mut client = TcpStream::connect(&address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    fs::write(&fifo, "booted").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.contains(&format!("\"pid\": {}", home.single("web").pid())), "{text}");
}

#[test]
fn a_single_instance_reloads_with_overlap_and_loses_nothing() {
    for fixture in ["fd.js", "activated.py"] {
        let (home, port) = start(fixture, &["--min-uptime", "300"]);
        let load = Load::on(port).fresh(4);
        let load = if fixture == "fd.js" { load.keep_alive(4).slow(2) } else { load };
        load.more(50);
        let before = pids(&home);
        for _ in 0..3 {
            home.rpm(["reload", "web"]).success();
        }
        load.more(50);
        load.stop().is_clean(100);
        let app = home.single("web");
        assert_eq!((app.exec_mode(), app.restarts()), ("fork_mode", 3));
        assert!(!before.contains(&app.pid()));
        assert_eq!(ask(port).pid, app.pid());
    }
}

#[test]
fn a_cluster_reloads_and_scales_on_held_sockets() {
    let (home, port) = start("fd.js", &["-i", "2"]);
    let load = Load::on(port).fresh(4).keep_alive(4).slow(2);
    load.more(50);
    home.rpm(["reload", "web"]).success();
    home.rpm(["scale", "web", "4"]).success();
    assert_eq!(pids_answering(port, 4), pids(&home));
    load.more(50);
    load.stop().is_clean(100);
    home.rpm(["scale", "web", "2"]).success();
    let slots = who_answers(port, 2).into_iter().filter_map(|who| who.instance);
    assert_eq!(slots.collect::<BTreeSet<_>>(), BTreeSet::from(["0".into(), "1".into()]));
}

#[test]
fn a_crash_makes_clients_wait_and_refuses_nobody() {
    let (home, port) = start("fd.js", &["--restart-delay", "300"]);
    let load = Load::on(port).fresh(3);
    for _ in 0..3 {
        load.more(20);
        let victim = home.single("web");
        Process(victim.pid()).kill();
        home.wait_until("it is replaced", |apps| {
            apps[0].pid() != victim.pid() && apps.iter().all(App::is_online)
        });
    }
    load.more(20);
    let report = load.stop();
    assert_eq!(report.refused, 0, "{report:#?}");
    // What was inside the killed worker is cut: at most one request of each client.
    assert!(report.failures <= 3 * 3, "{report:#?}");
}

#[test]
fn a_build_that_throws_leaves_the_old_worker_serving() {
    let (home, port) = (Home::new(), port());
    let app = home.work().join("app.js");
    fs::copy(fixture("fd.js"), &app).unwrap();
    start_as(&home, "app.js", port, &[]);
    let before = home.pids("web");
    fs::copy(fixture("throws.js"), &app).unwrap();
    let load = Load::on(port).fresh(3).slow(1);
    home.rpm(["reload", "web"]).refused(&["the database password is missing, case 4711"]);
    load.more(50);
    load.stop().is_clean(50);
    assert_eq!(home.pids("web"), before);
}

#[test]
fn gunicorn_reloads_and_loses_nothing() {
    let (home, port) = (Home::new(), port());
    home.copy("wsgi.py");
    let text = format!(
        "[[apps]]\nname = \"web\"\nscript = \"{}\"\nargs = \"--workers 2 wsgi\"\n\
         stop_signal = \"SIGTERM\"\nkill_timeout = \"10s\"\nlisten = [\"127.0.0.1:{port}\"]\n",
        venv("gunicorn").display()
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    pids_answering(port, 2);
    let load = Load::on(port).fresh(3);
    load.more(50);
    let before = pids(&home);
    for _ in 0..2 {
        home.rpm(["reload", "web"]).success();
    }
    load.more(50);
    load.stop().is_clean(100);
    assert!(pids(&home).is_disjoint(&before));
}

#[test]
fn an_address_in_use_is_told_with_its_holder_before_anything_runs() {
    let (home, port) = (Home::new(), port());
    home.copy("fd.js");
    let stranger = TcpListener::bind(address(port)).unwrap();
    let address = address(port);
    let words = ["start", "fd.js", "--name", "web", "-i", "2", "--listen", &address];
    let holder = format!("pid {}", std::process::id());
    home.rpm(words).refused(&[&format!("port {port} is in use by"), &holder]);
    assert!(home.pids("web").iter().all(|pid| *pid == 0));
    drop(stranger);
    home.rpm(["restart", "web"]).success();
    assert_eq!(pids_answering(port, 2), pids(&home));
    let other = ["start", "fd.js", "--name", "other", "--listen", &address];
    home.rpm(other).refused(&[&format!("{address} is in use by the app web")]);
    assert_eq!(home.single("other").pid(), 0);
}

#[test]
fn several_in_fork_mode_are_refused() {
    let home = Home::new();
    home.copy("fd.js");
    let words = ["start", "fd.js", "-x", "-i", "2", "--listen", "127.0.0.1:1"];
    home.rpm(words).refused(&["`listen` in fork mode is for one instance, not for 2", "cluster"]);
    let (home, _) = start("fd.js", &[]);
    home.rpm(["scale", "web", "2"]).refused(&["`listen` in fork mode is for one instance"]);
    assert_eq!(home.app("web").len(), 1);
}

#[test]
fn the_sockets_survive_the_daemon() {
    let (home, port) = start("fd.js", &["-i", "2"]);
    let load = Load::on(port).fresh(3);
    load.more(20);
    let before = pids(&home);
    home.daemon().kill();
    load.more(50);
    home.rpm(["reload", "web"]).success();
    load.more(50);
    load.stop().is_clean(100);
    assert!(pids(&home).is_disjoint(&before));
}

#[test]
fn an_address_that_leaves_the_file_is_closed() {
    let (home, port) = (Home::new(), port());
    home.copy("fd.js");
    let file = |listen: &str| {
        let text = format!("[[apps]]\nname = \"web\"\nscript = \"fd.js\"\nlisten = [{listen}]\n");
        home.write("ecosystem.toml", &text);
        home.rpm(["start", "ecosystem.toml"]).success();
    };
    file(&format!("\"127.0.0.1:{port}\", \"unix:x.sock\""));
    assert!(home.work().join("x.sock").exists());
    file(&format!("\"127.0.0.1:{port}\""));
    assert!(!home.work().join("x.sock").exists());
    assert_eq!(get(port, "/").unwrap().status, 200);
}

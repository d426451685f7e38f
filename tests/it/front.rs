//! `proxy`: one address in front of fork-mode instances that each have a port of their own.

use crate::harness::{App, Connection, Home, Load, Process, Who, ask, get, port, ports};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// An app of three instances behind a front, and the front's port.
struct Shop {
    home: Home,
    port: u16,
    first: u16,
}

impl Shop {
    fn new(fixture: &str) -> Self {
        Self::with(fixture, "")
    }

    /// With `more` lines in its description.
    fn with(fixture: &str, more: &str) -> Self {
        let (home, port, first) = (Home::new(), port(), ports(6));
        home.copy(fixture);
        let shop = Self { home, port, first };
        shop.describe(fixture, &format!("proxy = \"127.0.0.1:{port}\"\n{more}"));
        shop.home.rpm(["start", "ecosystem.toml"]).success();
        shop
    }

    /// Its instances are online when they listen, and not just because they are slow to load.
    fn describe(&self, fixture: &str, more: &str) {
        let first = self.first;
        let text = format!(
            "[[apps]]\nname = \"shop\"\nscript = \"{fixture}\"\ninstances = 3\nincrement_var = \
             \"PORT\"\nmin_uptime = \"45s\"\nkill_timeout = \"30s\"\n{more}\n[apps.env]\nPORT = \
             {first}\n"
        );
        self.home.write("ecosystem.toml", &text);
    }

    fn pids(&self) -> BTreeSet<u32> {
        self.home.pids("shop").into_iter().collect()
    }

    fn front(&self) -> Process {
        let app = self.home.app("shop").remove(0);
        Process(u32::try_from(app.env("front")["pid"].as_u64().unwrap()).unwrap())
    }

    fn online(&self, count: usize) -> Vec<App> {
        self.home.wait_until("so many instances online", |apps| {
            apps.len() == count && apps.iter().all(App::is_online)
        })
    }
}

/// Those who answer, asked until there are so many. One that the front could not reach for a moment
/// it tries again after a while, and a few more requests do not wait for that.
fn askers(port: u16, count: usize) -> Vec<Who> {
    let deadline = Instant::now() + PATIENCE;
    let mut found: Vec<Who> = Vec::new();
    while found.len() < count {
        assert!(Instant::now() < deadline, "only {found:?} of {count} answered on {port}");
        let who = ask(port);
        if !found.contains(&who) {
            found.push(who);
        }
    }
    found
}

fn answering(port: u16, count: usize) -> BTreeSet<u32> {
    askers(port, count).iter().map(|who| who.pid).collect()
}

#[test]
fn all_instances_answer_on_one_address_and_show_tells_of_it() {
    let shop = Shop::with("hello.js", "");
    assert_eq!(answering(shop.port, 3), shop.pids());
    let found = askers(shop.port, 3);
    let slots: BTreeSet<String> = found.into_iter().map(|who| who.instance.unwrap()).collect();
    assert_eq!(slots, ["0", "1", "2"].map(str::to_owned).into());
    let shown = shop.home.rpm(["show", "0"]).success().stdout;
    let (port, front) = (shop.port, shop.front().0);
    let want = format!("127.0.0.1:{port} (least_conn), pid {front}");
    assert!(shown.contains(&want), "no {want:?} in {shown}");
    let listed = shop.home.app("shop").remove(2);
    assert_eq!(listed.env("front")["listening"], serde_json::json!([format!("127.0.0.1:{port}")]));
    assert_eq!(listed.env("front")["instance_state"], "up");
    // It is none of the apps, and it goes with them.
    assert_eq!(shop.home.jlist().len(), 3);
    shop.home.rpm(["stop", "shop"]).success();
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    assert!(!Process(front).is_alive());
}

#[test]
fn a_killed_instance_is_skipped_and_no_request_fails() {
    let shop = Shop::new("hello.js");
    let before = shop.pids();
    let load = Load::on(shop.port).fresh(4);
    load.more(50);
    Process(*before.first().unwrap()).kill();
    shop.home.wait_until("another one in its place", |apps| {
        apps.iter().all(App::is_online) && apps.iter().any(|app| !before.contains(&app.pid()))
    });
    load.more(200);
    load.stop().is_clean(250);
}

#[test]
fn a_reload_takes_each_instance_out_before_it_stops() {
    for fixture in ["slow.js", "server.py"] {
        let shop = Shop::new(fixture);
        let before = shop.pids();
        let load = Load::on(shop.port).fresh(3);
        let load = if fixture == "slow.js" { load.keep_alive(3).slow(3) } else { load };
        load.more(50);
        shop.home.rpm(["reload", "shop"]).success();
        load.more(50);
        load.stop().is_clean(100);
        assert!(shop.pids().is_disjoint(&before), "{fixture}: all are new");
    }
}

#[test]
fn clients_of_a_restart_wait_and_none_is_refused() {
    let shop = Shop::new("slow.js");
    shop.home.rpm(["restart", "shop"]).success();
    let load = Load::on(shop.port).fresh(4);
    load.more(50);
    shop.home.rpm(["restart", "shop"]).success();
    load.more(50);
    let report = load.stop();
    assert_eq!(report.refused, 0, "{report:?}");
}

#[test]
fn scaling_refuses_nothing_and_new_instances_are_used() {
    let shop = Shop::new("hello.js");
    // Kept connections come later: an instance with two of them never has the fewest.
    let load = Load::on(shop.port).fresh(3);
    load.more(50);
    shop.home.rpm(["scale", "shop", "5"]).success();
    assert_eq!(shop.online(5).len(), 5);
    assert_eq!(answering(shop.port, 5), shop.pids());
    let load = load.keep_alive(2);
    load.more(50);
    shop.home.rpm(["scale", "shop", "2"]).success();
    assert_eq!(answering(shop.port, 2), shop.pids());
    load.more(50);
    load.stop().is_clean(100);
}

/// With `share_ports` the ports of the instances are held, too, and to listen is the proof.
#[test]
fn held_ports_and_a_front_go_together() {
    let shop = Shop::with("slow.js", "share_ports = true");
    let before = shop.pids();
    let load = Load::on(shop.port).fresh(3).slow(2);
    load.more(50);
    shop.home.rpm(["reload", "shop"]).success();
    load.more(50);
    load.stop().is_clean(100);
    assert!(shop.pids().is_disjoint(&before));
}

#[test]
fn the_daemons_death_cuts_no_connection() {
    let shop = Shop::new("hello.js");
    let (front, before) = (shop.front(), shop.pids());
    let mut kept = Connection::open(shop.port).unwrap();
    let first = kept.get("/", false).unwrap().body;
    let load = Load::on(shop.port).fresh(4).keep_alive(2);
    load.more(50);
    let daemon = shop.home.daemon();
    daemon.kill();
    load.more(50);
    assert_eq!(shop.online(3).len(), 3);
    assert_ne!(shop.home.daemon().0, daemon.0);
    load.more(50);
    load.stop().is_clean(150);
    assert_eq!((shop.front().0, shop.pids()), (front.0, before));
    assert_eq!(kept.get("/", true).unwrap().body, first);
    // The successor steers it as before.
    shop.home.rpm(["scale", "shop", "1"]).success();
    assert_eq!(ask(shop.port).pid, shop.home.single("shop").pid());
}

#[test]
fn clients_wait_for_another_front_when_theirs_dies() {
    let shop = Shop::new("hello.js");
    let (front, before) = (shop.front(), shop.pids());
    assert!(before.contains(&ask(shop.port).pid));
    // With the daemon stopped nobody replaces it, so what comes now must wait.
    let daemon = shop.home.daemon();
    daemon.freeze();
    front.kill();
    assert!(front.ends_within(PATIENCE));
    let mut waiting = Connection::open(shop.port).expect("not refused");
    waiting.send("/", true).unwrap();
    daemon.signal(Signal::CONT);
    let answer = waiting.read_response().expect("answered by the next front");
    assert_eq!(answer.status, 200);
    assert_ne!(shop.front().0, front.0);
    assert_eq!(shop.pids(), before, "the apps are untouched");
}

#[test]
fn a_changed_address_takes_over_and_old_connections_end_by_themselves() {
    let shop = Shop::new("hello.js");
    let other = port();
    let socket = shop.home.work().join("shop.sock");
    let proxy = format!("proxy = {{ listen = [{other}, \"unix:shop.sock\"], balance = \"even\" }}");
    shop.describe("hello.js", &proxy);
    shop.home.rpm(["start", "ecosystem.toml"]).success();
    assert_eq!(answering(other, 3), shop.pids());
    let mut client = UnixStream::connect(&socket).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    TcpListener::bind(("127.0.0.1", shop.port)).expect("the former port is free");
    // Without `proxy` there is no front.
    shop.describe("hello.js", "");
    shop.home.rpm(["start", "ecosystem.toml"]).success();
    assert_eq!(get(other, "/").unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!socket.exists());
}

#[test]
fn an_instance_is_told_who_the_client_is() {
    let home = Home::new();
    let (port, own) = (port(), ports(2));
    let server = "const first = d => d.toString().split('\\r\\n')[0];\n\
                  require('net').createServer(s => s.once('data', d => s.end(first(d))))\n\
                  .listen(process.env.PORT)";
    home.write("raw.js", server);
    let text = format!(
        "[[apps]]\nname = \"raw\"\nscript = \"raw.js\"\nmin_uptime = \"45s\"\nenv = {{ PORT = \
         \"{own}\" }}\nproxy = {{ listen = \"127.0.0.1:{port}\", proxy_protocol = true }}\n"
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    let from = client.local_addr().unwrap().port();
    assert_eq!(said, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {port}"));
}

#[test]
fn an_address_that_a_stranger_has_starts_nothing() {
    let (home, own) = (Home::new(), ports(5));
    home.copy("hello.js");
    let port = own + 4;
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let text = format!(
        "[[apps]]\nname = \"shop\"\nscript = \"hello.js\"\ninstances = 2\nincrement_var = \
         \"PORT\"\nmin_uptime = \"45s\"\nproxy = \"127.0.0.1:{port}\"\n[apps.env]\nPORT = {own}\n"
    );
    home.write("ecosystem.toml", &text);
    let words = [&*format!("port {port} is in use by"), "shop"];
    home.rpm(["start", "ecosystem.toml"]).refused(&words);
    assert!(home.app("shop").iter().all(|app| app.status() == "errored" && app.pid() == 0));
    drop(stranger);
    home.rpm(["restart", "shop"]).success();
    assert_eq!(answering(port, 2).len(), 2);
    // No instance can come to have the front's own port.
    let words = [&*format!("shop: `proxy` listens on {port}, the port of instance 4")];
    home.rpm(["scale", "shop", "5"]).refused(&words);
}

#[test]
fn what_cannot_be_is_refused_with_its_line() {
    let home = Home::new();
    home.copy("hello.js");
    let refused = |lines: &str, words: &[&str]| {
        let text = format!("[[apps]]\nscript = \"hello.js\"\n{lines}\n");
        home.write("ecosystem.toml", &text);
        home.rpm(["start", "ecosystem.toml"]).refused(words);
    };
    let port = "env = { PORT = \"3000\" }\n";
    refused(
        &format!("{port}increment_var = \"PORT\"\ninstances = 3\nproxy = 3002"),
        &["`proxy` listens on 3002, the port of instance 2"],
    );
    refused(&format!("{port}instances = 3\nproxy = 8080"), &["in cluster mode they share"]);
    refused(
        &format!("{port}instances = 3\nexec_mode = \"fork\"\nproxy = 8080"),
        &["`proxy` in front of 3 instances needs `increment_var`"],
    );
    refused("proxy = 8080", &["needs the port of the first instance in PORT"]);
    refused(
        &format!("{port}proxy = {{ listen = 8080, balance = \"fair\" }}"),
        &["`proxy` must be a table whose `balance` is one of", "\"fair\""],
    );
    refused(&format!("{port}proxy = {{ balance = \"even\" }}"), &["without an address"]);
    refused(&format!("{port}proxy = {{ lisen = 1 }}"), &["`lisen`"]);
    refused(&format!("{port}proxy = \"udp:53\""), &["TCP or unix addresses"]);
}

/// An app went without a front for ever, and its clients without an answer, when the address that
/// it was to have next was somebody else's.
#[test]
fn a_change_to_an_address_that_a_stranger_has_changes_nothing() {
    let (home, port, first) = (Home::new(), port(), ports(2));
    home.copy("hello.js");
    let file = |listen: u16| {
        let text = format!(
            "[[apps]]\nname = \"shop\"\nscript = \"hello.js\"\ninstances = 2\n\
             increment_var = \"PORT\"\nmin_uptime = \"45s\"\nport = {first}\n\
             proxy = \"127.0.0.1:{listen}\"\n"
        );
        home.write("ecosystem.toml", &text);
    };
    file(port);
    home.rpm(["start", "ecosystem.toml"]).success();
    let before = home.pids("shop");
    let taken = crate::harness::port();
    let stranger = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    file(taken);
    let holder = format!("(pid {})", std::process::id());
    for words in [&["apply"][..], &["reload", "ecosystem.toml"]] {
        let words = words.to_vec();
        home.rpm_under(&[], &words).refused(&[&taken.to_string(), &holder, "`proxy`"]);
        assert_eq!(home.pids("shop"), before);
        assert!(before.contains(&ask(port).pid));
    }
    drop(stranger);
    home.rpm(["apply"]).success();
    assert!(home.pids("shop").contains(&ask(taken).pid));
}

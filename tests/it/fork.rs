//! Fork mode: separate processes with ports of their own.

use crate::harness::{App, Home, Load, Process, ask, port, ports};
use std::time::{Duration, Instant};

/// Each is online when it listens on its port, and not just because it is slow to load.
fn four_hellos(home: &Home, first: u16) {
    home.copy("hello.js");
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"web\"\nscript = \"hello.js\"\ninstances = 4\n\
             increment_var = \"PORT\"\nmin_uptime = \"45s\"\n[apps.env]\nPORT = {first}\n"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
}

/// (slot, pid, instance as it sees itself) of each of four, by port.
fn by_port(first: u16) -> Vec<(Option<String>, u32)> {
    (first..first + 4).map(ask).map(|who| (who.instance, who.pid)).collect()
}

#[test]
fn increment_var_gives_each_instance_the_next_port() {
    let (home, first) = (Home::new(), ports(4));
    four_hellos(&home, first);
    let apps = home.app("web");
    let expected: Vec<_> =
        apps.iter().map(|app| (Some(app.slot().to_string()), app.pid())).collect();
    assert_eq!(by_port(first), expected);
    assert_eq!(apps.iter().map(App::slot).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(apps.iter().all(|app| app.exec_mode() == "fork_mode"), "{apps:#?}");
}

#[test]
fn slots_and_ports_are_stable_over_crash_restart_and_scale() {
    let (home, first) = (Home::new(), ports(4));
    four_hellos(&home, first);
    let before = home.pids("web");
    Process(before[2]).kill();
    home.wait_until("the third is replaced", |apps| {
        apps.len() == 4 && apps[2].pid() != before[2] && apps.iter().all(App::is_online)
    });
    let pids = home.pids("web");
    assert_eq!((pids[0], pids[1], pids[3]), (before[0], before[1], before[3]));
    assert_eq!(by_port(first)[2], (Some("2".to_owned()), pids[2]));
    home.rpm(["restart", "web"]).success();
    let slots: Vec<_> = by_port(first).into_iter().map(|(slot, _)| slot.unwrap()).collect();
    assert_eq!(slots, ["0", "1", "2", "3"]);
}

#[test]
fn instance_var_names_the_slot() {
    let home = Home::new();
    home.copy("environment.js");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"env\"\nscript = \"environment.js\"\nargs = [\"WORKER\"]\n\
         instances = 3\nexec_mode = \"fork\"\ninstance_var = \"WORKER\"\n",
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    for (slot, app) in home.app("env").iter().enumerate() {
        let text = home.wait_for_line(&app.out_log(), "end of environment");
        assert!(text.contains(&format!("WORKER={slot}\n")), "{text}");
    }
}

/// Listens on PORT, but not at once.
const SLOW_START: &str = "import http.server, json, os, select\n\
    class Who(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n\
    \x20       body = json.dumps({'pid': os.getpid()}).encode()\n\
    \x20       self.send_response(200)\n\
    \x20       self.send_header('Content-Length', str(len(body)))\n\
    \x20       self.end_headers()\n\
    \x20       self.wfile.write(body)\n\
    \x20   def log_message(self, *_): pass\n\
    select.select([], [], [], float(os.environ['AFTER']))\n\
    http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Who).serve_forever()\n";

/// Two of it, which listen at once; if that were not seen, it would take 45 seconds.
fn two_seen_to_listen(home: &Home, first: u16) {
    home.write("slow.py", SLOW_START);
    let text = format!(
        "[[apps]]\nname = \"web\"\nscript = \"slow.py\"\ninstances = 2\n\
         increment_var = \"PORT\"\nmin_uptime = \"45s\"\n[apps.env]\nPORT = {first}\n"
    );
    home.write("ecosystem.toml", &text);
    let began = Instant::now();
    home.rpm(["start", "ecosystem.toml"]).env("AFTER", "0").success();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn an_instance_is_online_as_soon_as_its_own_port_listens() {
    let (home, first) = (Home::new(), ports(2));
    two_seen_to_listen(&home, first);
    for app in home.app("web") {
        let port = first + u16::try_from(app.slot()).unwrap();
        assert_eq!(ask(port).pid, app.pid());
        let id = app.id().to_string();
        let shown = home.rpm(["show", &id]).success().stdout;
        assert!(shown.contains(&format!("127.0.0.1:{port}")), "{shown}");
    }
}

#[test]
fn an_app_that_was_seen_to_listen_is_waited_for_however_slowly_it_starts() {
    let (home, first) = (Home::new(), ports(2));
    two_seen_to_listen(&home, first);
    let slowly = ["restart", "web", "--min-uptime", "100", "--update-env"];
    for words in [&slowly[..], &["restart", "web"], &["reload", "web"]] {
        home.rpm_under(&[], words).env("AFTER", "1.5").success();
        for app in home.app("web") {
            assert_eq!(ask(first + u16::try_from(app.slot()).unwrap()).pid, app.pid(), "{words:?}");
        }
    }
}

#[test]
fn an_instance_that_never_listens_on_its_port_is_online_after_min_uptime() {
    let (home, first) = (Home::new(), ports(2));
    home.copy("ticker.js");
    let text = format!(
        "[[apps]]\nname = \"job\"\nscript = \"ticker.js\"\ninstances = 2\n\
         increment_var = \"PORT\"\nmin_uptime = 300\n[apps.env]\nPORT = {first}\n"
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    for verb in ["restart", "reload"] {
        let began = Instant::now();
        home.rpm([verb, "job"]).success();
        assert!(began.elapsed() < Duration::from_secs(25), "{verb}: {:?}", began.elapsed());
    }
}

#[test]
fn x_means_fork_mode() {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "two", "-i", "2", "-x"]).success();
    let apps = home.app("two");
    assert_eq!(apps.iter().map(App::exec_mode).collect::<Vec<_>>(), ["fork_mode"; 2]);
}

/// One instance in fork mode whose port rpm holds.
fn shared(fixture: &str) -> (Home, u16) {
    let (home, port) = (Home::new(), port());
    home.copy(fixture);
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"web\"\nscript = \"{fixture}\"\nshare_ports = true\n\
             listen_timeout = 30000\nkill_timeout = 30000\n\
             [apps.env]\nPORT = {port}\n"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    assert_eq!(home.single("web").exec_mode(), "fork_mode");
    assert_eq!(ask(port).pid, home.single("web").pid());
    (home, port)
}

#[test]
fn a_single_instance_with_shared_ports_reloads_with_overlap() {
    for fixture in ["slow.js", "server.py"] {
        let (home, port) = shared(fixture);
        let before = home.single("web").pid();
        let load = Load::on(port).fresh(4);
        for _ in 0..5 {
            load.more(50);
            home.rpm(["reload", "web"]).stdout("reloaded web (0)\n").stderr("").success();
        }
        load.more(50);
        load.stop().is_clean(300);
        let app = home.single("web");
        assert!(app.pid() != before && app.restarts() == 5, "{fixture}: {app:?}");
        assert_eq!(ask(port).pid, app.pid(), "{fixture}");
    }
}

#[test]
fn a_crash_with_shared_ports_only_makes_clients_wait() {
    for fixture in ["slow.js", "server.py"] {
        let (home, port) = shared(fixture);
        let load = Load::on(port).fresh(4);
        for _ in 0..3 {
            load.more(50);
            let victim = home.single("web").pid();
            Process(victim).kill();
            home.wait_until("it is replaced", |apps| {
                apps[0].pid() != victim && apps[0].is_online()
            });
        }
        load.more(50);
        let report = load.stop();
        assert_eq!(report.refused, 0, "{fixture}: {report:#?}");
        // Only what was inside the killed worker may be cut: at most one request of each client.
        assert!(report.failures <= 3 * 4, "{fixture}: {report:#?}");
        home.rpm(["restart", "web"]).success();
        assert_eq!(ask(port).pid, home.single("web").pid(), "{fixture}");
    }
}

#[test]
fn a_reload_with_an_outage_says_so_before_it_begins() {
    for (fixture, place) in [("hello.js", "[::]"), ("server.py", "0.0.0.0")] {
        let (home, port) = (Home::new(), port());
        home.copy(fixture);
        let words = ["start", fixture, "--name", "web", "-x"];
        home.rpm(words).env("PORT", port).success();
        home.wait_for_line(&home.single("web").out_log(), "listening\n");
        let warning = format!(
            "warning: web listens on {place}:{port} itself, in fork mode: its reload is a \
             restart, and nobody answers there meanwhile; with share_ports rpm holds its ports\n"
        );
        home.rpm(["reload", "web"]).stdout("reloaded web (0)\n").stderr(&warning).success();
        home.wait_for_lines(&home.single("web").out_log(), "listening", 2);
        // The same where the reload has options, or is that of a file.
        home.rpm(["reload", "web", "--kill-timeout", "3s"]).stderr(&warning).success();
    }
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "job"]).success();
    home.rpm(["reload", "job"]).stdout("reloaded job (0)\n").stderr("").success();
}

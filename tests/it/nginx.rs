//! Real nginx, from Debian, in front of four forked Express apps.

use crate::harness::{Home, Process, ask, port, ports};
use std::process::Command;
use std::time::Duration;

/// An nginx of this test's own; ended when dropped.
struct Nginx(Process);

impl Nginx {
    /// Returns when it listens: nginx goes to the background only then.
    fn start(home: &Home, port: u16, upstreams: u16) -> Self {
        let folder = home.work().display().to_string();
        let servers: String =
            (upstreams..upstreams + 4).map(|port| format!("server 127.0.0.1:{port};")).collect();
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/nginx-{kind};"))
            .concat();
        home.write(
            "nginx.conf",
            &format!(
                "{user} worker_processes 1; pid {folder}/nginx.pid; events {{}}\n\
                 http {{ access_log off; {temporary}\n\
                 upstream apps {{ {servers} }}\n\
                 server {{ listen 127.0.0.1:{port};\n\
                 location / {{ proxy_pass http://apps; }} }} }}\n"
            ),
        );
        let log = format!("{folder}/nginx-error.log");
        let config = format!("{folder}/nginx.conf");
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let started =
            Command::new("nginx").args(["-e", &log, "-c", &config]).env("PATH", path).status();
        assert!(started.expect("nginx is missing: run scripts/test once").success());
        let pid = std::fs::read_to_string(home.work().join("nginx.pid")).unwrap();
        Self(Process(pid.trim().parse().unwrap()))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.0.signal(rustix::process::Signal::TERM);
        if !self.0.ends_within(Duration::from_secs(10)) {
            self.0.kill();
        }
    }
}

#[test]
fn round_robin_reaches_all_four_and_rpm_logs_shows_them() {
    let home = Home::new();
    let (first, front) = (ports(4), port());
    home.copy("express.js");
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"shop\"\nscript = \"express.js\"\ninstances = 4\n\
             increment_var = \"PORT\"\n[apps.env]\nPORT = {first}\n"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    // In fork mode an app without a probe is online once it has lived for a second; nginx would
    // leave one that does not listen by then out of its turns for ten.
    for app in home.app("shop") {
        home.wait_for_line(&app.out_log(), "listening\n");
    }
    let nginx = Nginx::start(&home, front, first);
    let answers: Vec<String> = (0..8).map(|_| ask(front).instance.unwrap()).collect();
    let mut first_round = answers[..4].to_vec();
    first_round.sort();
    assert_eq!(first_round, ["0", "1", "2", "3"]);
    assert_eq!(answers[..4], answers[4..], "in turn");
    for (port, app) in (first..).zip(home.app("shop")) {
        home.wait_for_line(&app.out_log(), &format!("request answered on {port}"));
    }
    let logs = home.rpm(["logs", "all", "--nostream"]).success();
    for (port, app) in (first..).zip(home.app("shop")) {
        let expected = format!("request answered on {port}");
        let line = logs.stdout.lines().find(|line| line.contains(&expected));
        let line = line.unwrap_or_else(|| panic!("no {expected:?} in {logs:#?}"));
        assert!(line.starts_with(&format!("{}|shop", app.id())), "{line}");
    }
    drop(nginx);
}

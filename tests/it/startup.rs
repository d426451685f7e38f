//! `startup`: the file of each init system, and what systemd is told.

use crate::harness::{Home, LIMIT};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

const UNIT: &str = "\
# /etc/systemd/system/rpm-root.service
[Unit]
Description=rpm: the apps of root
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=all
ExitType=cgroup
User=root
Environment=\"PATH=/opt/node/bin:/usr/bin:/bin\"
Environment=\"RPM_HOME=$ROOT/home\"
ExecStart=\"BINARY\" resurrect
ExecReload=\"BINARY\" reload all
KillMode=mixed
OOMPolicy=continue
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
TimeoutStartSec=300
TimeoutStopSec=120
Restart=on-failure

[Install]
WantedBy=multi-user.target
# systemctl enable rpm-root
";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_unit_has_what_systemd_must_know_and_is_one_for_systemd() {
    if !is_root() {
        // A person's own unit is checked below; this one is root's.
        return;
    }
    let home = Home::new();
    let want = UNIT.replace("BINARY", env!("CARGO_BIN_EXE_rpm"));
    let shown = home
        .rpm(["startup", "systemd", "--wait-ip", "--dry-run"])
        .env("PATH", "/opt/node/bin:/usr/bin:/bin")
        .stdout(&want)
        .success();
    let unit = home.write(
        "rpm-root.service",
        &shown.stdout.replace("$ROOT", &home.root().display().to_string()),
    );
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
    let verified = verified.expect("systemd-analyze: scripts/test installs it");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("rpm-root")).collect();
    assert!(ours.is_empty(), "{said}");
}

#[test]
fn every_other_system_has_its_file() {
    let home = Home::new();
    for (system, path, mark) in [
        ("openrc", "/etc/init.d/rpm-me", "#!/sbin/openrc-run"),
        ("runit", "/etc/sv/rpm-me/run", "#!/bin/sh"),
        ("launchd", "Library/LaunchAgents/rpm-me.plist", "<plist version=\"1.0\">"),
        ("rcd", "/usr/local/etc/rc.d/rpm-me", "# PROVIDE: rpm-me"),
    ] {
        let words = ["startup", system, "--dry-run", "--service-name", "rpm-me"];
        let shown = home.rpm(words).success().stdout;
        let first = shown.lines().next().unwrap_or_default();
        assert!(first.ends_with(path) && shown.contains(mark), "{shown}");
        assert!(shown.contains("resurrect"), "{shown}");
        if mark == "#!/bin/sh" || system == "openrc" {
            let script = home.write("script", &shown);
            let status = Command::new("sh").arg("-n").arg(script).status().expect("sh");
            assert!(status.success(), "{shown}");
        }
    }
}

#[test]
fn wrong_words_are_told() {
    let home = Home::new();
    home.rpm(["startup", "windows"]).refused(&["windows", "systemd", "openrc"]);
    home.rpm(["startup", "systemd", "-u", "no-such-user"]).refused(&["no-such-user"]);
    let words = ["unstartup", "systemd", "--service-name", "rpm-is-not-there"];
    home.rpm(words).refused(&["there is no", "rpm-is-not-there.service"]);
}

#[test]
fn the_service_manager_is_told_of_the_keeper_and_then_that_all_is_back() {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "one"]).success();
    home.rpm(["save"]).success();
    home.rpm(["kill"]).success();
    let path = home.work().join("notify");
    let manager = UnixDatagram::bind(&path).expect("bind");
    manager.set_read_timeout(Some(LIMIT)).expect("a limit");
    home.rpm(["resurrect"]).env("NOTIFY_SOCKET", path.display()).success();
    let next = || {
        let mut bytes = [0; 256];
        let count = manager.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    assert_eq!(next(), format!("MAINPID={}", home.keeper().0));
    assert_eq!(next(), "READY=1");
    assert!(home.single("one").is_online());
    assert!(home.single("one").env("NOTIFY_SOCKET").is_null());
}

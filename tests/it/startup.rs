//! `startup`: the file of each init system, and what systemd is told.

use crate::harness::{Home, LIMIT, Rpm, Running, wait_for};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
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
    verified(&unit, "--system");
}

/// systemd finds nothing wrong with the unit.
fn verified(unit: &Path, whose: &str) {
    let verified = Command::new("systemd-analyze").args(["verify", whose]).arg(unit).output();
    let verified = verified.expect("systemd-analyze: scripts/test installs it");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let name = unit.file_name().unwrap().to_str().unwrap();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
    assert!(ours.is_empty(), "{said}");
}

/// The same as another user, for root alone can become one.
fn as_nobody(home: &Home, words: &[&str]) -> Rpm {
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    home.rpm_under(if is_root() { &user } else { &[] }, words)
}

#[test]
fn a_persons_own_unit_needs_no_root_and_is_one_for_systemd() {
    let home = Home::new();
    let words = ["startup", "systemd", "--dry-run", "--service-name", "rpm-mine"];
    let shown = as_nobody(&home, &words).success().stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].ends_with("/.config/systemd/user/rpm-mine.service"), "{shown}");
    assert_eq!(lines.last(), Some(&"# systemctl --user enable rpm-mine"));
    assert!(shown.contains("\nWantedBy=default.target\n"), "{shown}");
    assert!(!shown.contains("\nUser=") && !shown.contains("\nAfter="), "{shown}");
    for setting in UNIT.split("[Service]").nth(1).unwrap().lines().filter(|l| !l.is_empty()) {
        let key = setting.split('=').next().unwrap();
        let is_fixed = !matches!(key, "User" | "Environment" | "WantedBy" | "[Install]");
        let of_rpm = setting.contains("BINARY") || setting.starts_with('#');
        assert!(!is_fixed || of_rpm || shown.contains(setting), "no {setting} in {shown}");
    }
    let unit = home.write("rpm-mine.service", &shown);
    verified(&unit, "--user");
}

#[test]
fn who_may_not_is_given_the_line_that_root_pastes() {
    let home = Home::new();
    let user = if is_root() { "nobody".to_owned() } else { std::env::var("USER").unwrap() };
    let refused = |home_variable: &str| {
        let words = ["startup", "openrc", "--service-name", "rpm-me"];
        let run = as_nobody(&home, &words).env("RPM_HOME", home_variable).env("PATH", "/a b:/bin");
        run.refused(&["/etc/init.d/rpm-me may be written by root only"]).stderr
    };
    let line = |home: &str| {
        let binary = env!("CARGO_BIN_EXE_rpm");
        format!(
            "sudo env 'PATH=/a b:/bin' {binary} startup openrc -u {user} {home} \
             --service-name rpm-me"
        )
    };
    let said = refused("/srv/me/.rpm");
    assert!(said.contains(&line("--hp /srv/me")), "{said}");
    let said = refused("/srv/mine");
    assert!(said.contains(&line("--rpm-home /srv/mine")), "{said}");
}

/// A service whose files are gone with it, whatever becomes of the test.
struct Service {
    name: String,
    files: Vec<PathBuf>,
}

impl Drop for Service {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

#[test]
fn startup_writes_and_enables_and_unstartup_takes_all_of_it_away() {
    if !is_root() {
        // Only root's service has a place that a test can find again.
        return;
    }
    let home = Home::new();
    let name = format!("rpm-test-{}", std::process::id());
    let unit = PathBuf::from(format!("/etc/systemd/system/{name}.service"));
    let wanted =
        PathBuf::from(format!("/etc/systemd/system/multi-user.target.wants/{name}.service"));
    let service = Service { name, files: vec![unit.clone(), wanted.clone()] };
    let run = |word: &str| {
        home.rpm_under(&[], &[word, "systemd", "--service-name", &service.name]).success()
    };
    let said = run("startup");
    assert!(said.stdout.contains(&format!("wrote {}\n", unit.display())), "{said:?}");
    assert!(said.stdout.contains("next: rpm save"), "{said:?}");
    let text = std::fs::read_to_string(&unit).unwrap();
    assert!(text.contains("\nExitType=cgroup\n"), "{text}");
    assert!(wanted.is_symlink(), "{said:?}");
    run("unstartup");
    assert!(!unit.exists() && !wanted.is_symlink());
}

/// What the services of init systems without units do, by their own text.
#[test]
fn scripts_bring_back_what_was_saved_and_end_it() {
    if !is_root() {
        // They become their user by su, which asks others for a password.
        return;
    }
    let stubs = "ebegin() { :; }; eend() { return $1; }; load_rc_config() { :; };\n\
                 run_rc_command() { :; }\n";
    for (system, start, stop) in
        [("openrc", "start", "stop"), ("rcd", "rpm_root_start", "rpm_root_stop")]
    {
        let home = saved();
        let shown = home.rpm_under(&[], &["startup", system, "--dry-run"]).success().stdout;
        let shown = shown.replace("$ROOT", &home.root().display().to_string());
        let shown = shown.replace(". /etc/rc.subr", "");
        let run = |function: &str| {
            let script = home.write("script", &format!("{stubs}{shown}\n{function}\n"));
            let script = script.display().to_string();
            Rpm::new(&home, &["sh", &script]).success()
        };
        run(start);
        is_back(&home);
        run(stop);
        assert_eq!(home.processes(), [], "{system}");
    }
}

#[test]
fn a_runit_service_stays_and_ends_all_when_it_is_told() {
    if !is_root() {
        return;
    }
    let home = saved();
    let service = runit_service(&home);
    wait_for(&home.path().join("rpm.log"), "both are back", |log| {
        log.matches("Online").count() >= 3
    });
    is_back(&home);
    service.process().signal(rustix::process::Signal::TERM);
    assert_eq!(service.finish(LIMIT).code, 0);
    assert_eq!(home.processes(), []);
}

/// It died by the signal, and the apps went on without it.
#[test]
fn a_runit_service_that_is_told_while_it_starts_leaves_no_app() {
    if !is_root() {
        return;
    }
    let home = saved();
    let service = runit_service(&home);
    wait_for(&home.path().join("rpm.log"), "the next daemon", |log| {
        log.matches("daemon ready").count() >= 2
    });
    service.process().signal(rustix::process::Signal::TERM);
    assert_eq!(service.finish(LIMIT).code, 0);
    assert_eq!(home.processes(), []);
    home.rpm(["resurrect"]).success();
    is_back(&home);
}

/// What `startup` writes for runit, as runsv(8) runs it.
fn runit_service(home: &Home) -> Running {
    let shown = home.rpm(["startup", "runit", "--dry-run"]).success().stdout;
    let shown = shown.replace("$ROOT", &home.root().display().to_string());
    let script = home.write("run", &shown).display().to_string();
    Rpm::new(home, &["sh", &script]).spawn()
}

/// A home in which `on` ran and `off` was stopped when it was saved.
fn saved() -> Home {
    let home = Home::new();
    home.write(
        "apps.json",
        "[{ name: 'on', script: 'sleep 86470', stop_signal: 'TERM', min_uptime: 100 },\n\
         { name: 'off', script: 'sleep 86471', stop_signal: 'TERM', min_uptime: 100 }]",
    );
    home.rpm(["start", "apps.json"]).success();
    home.rpm(["stop", "off"]).success();
    home.rpm(["save"]).success();
    home.rpm(["kill"]).success();
    home
}

fn is_back(home: &Home) {
    let statuses: Vec<_> =
        home.jlist().iter().map(|app| (app.name().to_owned(), app.status().to_owned())).collect();
    let of = |name: &str, status: &str| (name.to_owned(), status.to_owned());
    assert_eq!(statuses, [of("on", "online"), of("off", "stopped")]);
}

#[test]
fn a_launchd_service_is_a_property_list() {
    let home = Home::new();
    let shown = home.rpm(["startup", "launchd", "--dry-run"]).env("PATH", "/a&b:<c>").success();
    let list: String = shown.stdout.lines().filter(|l| !l.starts_with('#')).collect();
    let file = home.write("list.plist", &list);
    let print = "import plistlib, sys; d = plistlib.load(open(sys.argv[1], 'rb')); \
                 e = d['EnvironmentVariables']; print(d['ProgramArguments'][1], e['PATH'], \
                 d['RunAtLoad'])";
    let output = Command::new("/usr/bin/python3").args(["-c", print]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "resurrect /a&b:<c> True\n", "{}", String::from_utf8_lossy(&output.stderr));
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

//! [`Manager`]: `pm2` or `rpm` with a home of its own, ended with its test.

use super::daemon::Daemon;
use crate::harness::{
    Home, LIMIT, Output, Process, Rpm, copy, fixture, node_modules, port, wait_for,
};
use serde_json::Value;
use std::{fs, path::PathBuf, time::Instant};

/// How `timeout` exits when it had to end a command (timeout(1)).
const TIMED_OUT: i32 = 124;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Pm2,
    Rpm,
}

pub(super) struct Manager {
    kind: Kind,
    home: Home,
    port: u16,
}

impl Manager {
    /// A manager whose daemon runs: the first answer of PM2's has a banner in it.
    pub(super) fn new(kind: Kind) -> Self {
        let manager = Self { kind, home: Home::new(), port: port() };
        for name in ["streams.js", "hello.js", "server.py", "stdin.js", "messages.js", "lines.js"] {
            copy(&fixture(name), &manager.home.work().join(name));
        }
        for (name, text) in super::cases::WRITTEN {
            manager.home.write(name, text);
        }
        manager.run(&["ping"]);
        manager
    }

    /// Whose program this is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// What is served is served here.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds logs and what was saved: `PM2_HOME` or `RPM_HOME`.
    pub(super) fn folder(&self) -> PathBuf {
        match self.kind {
            Kind::Pm2 => self.home.root().join("pm2"),
            Kind::Rpm => self.home.path(),
        }
    }

    /// `~/NAME` is in [`Self::folder`], anything else where commands run.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        match name.strip_prefix("~/") {
            Some(name) => self.folder().join(name),
            None => self.home.work().join(name),
        }
    }

    /// Runs a command.
    pub(super) fn run(&self, words: &[&str]) -> Output {
        match (self.kind, words[0]) {
            (Kind::Pm2, "kill") => self.kill_pm2(),
            (Kind::Pm2, "trigger") => self.trigger_of_pm2(words),
            (Kind::Pm2 | Kind::Rpm, _) => self.command(words).output(),
        }
    }

    /// `pm2 kill` returns after three seconds, whatever its daemon still does.
    fn kill_pm2(&self) -> Output {
        let pid = fs::read_to_string(self.path("~/pm2.pid")).ok();
        let output = self.command(&["kill"]).output();
        if let Some(pid) = pid.and_then(|pid| pid.trim().parse().ok()) {
            assert!(Process(pid).ends_within(LIMIT), "PM2's daemon {pid} goes on");
        }
        output
    }

    /// `pm2 trigger` waits for ever where a reply is faster than what announces it.
    fn trigger_of_pm2(&self, words: &[&str]) -> Output {
        let try_it = || self.command_under(&["timeout", "20"], words).output();
        let mut output = try_it();
        for _ in 0..3 {
            if output.code == TIMED_OUT {
                output = try_it();
            }
        }
        output
    }

    /// A command to run. `$PORT` is this manager's.
    pub(super) fn command(&self, words: &[&str]) -> Rpm {
        self.command_under(&[], words)
    }

    /// The same below another program.
    pub(super) fn command_under(&self, wrapper: &[&str], words: &[&str]) -> Rpm {
        let port = self.port.to_string();
        let words = words.iter().map(|word| if *word == "$PORT" { &port } else { *word });
        let pm2 = node_modules().join(".bin/pm2").display().to_string();
        let program = match self.kind {
            Kind::Pm2 => &pm2[..],
            Kind::Rpm => env!("CARGO_BIN_EXE_rpm"),
        };
        let pm2_home = self.home.root().join("pm2").display().to_string();
        let words: Vec<&str> = wrapper.iter().copied().chain([program]).chain(words).collect();
        let command = Rpm::new(&self.home, &words);
        // Where one is too slow for PM2's defaults it is another story.
        let command = match self.kind {
            Kind::Pm2 => {
                command.env("PM2_KILL_TIMEOUT", 60_000).env("PM2_GRACEFUL_LISTEN_TIMEOUT", 60_000)
            }
            Kind::Rpm => command,
        };
        command.env("PM2_HOME", pm2_home).env("NO_COLOR", "1").env("PORT", self.port)
    }

    /// Writes a file where its commands run.
    pub(super) fn write(&self, name: &str, text: &str) {
        self.home.write(name, text);
    }

    /// Where its commands run.
    pub(super) fn work(&self) -> String {
        self.home.work().display().to_string()
    }

    /// The list, with this manager's folders by other names.
    pub(super) fn jlist(&self) -> Vec<Value> {
        let text = match self.kind {
            // What `pm2 jlist` prints as it is, without half a second of Node's for the asking.
            Kind::Pm2 => Daemon::of(&self.folder()).list().to_string(),
            Kind::Rpm => self.run(&["jlist"]).stdout,
        };
        let text = self.neutral(&text);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// `text` without the names of this manager's folders.
    pub(super) fn neutral(&self, text: &str) -> String {
        let text = text.replace(&self.home.root().display().to_string(), "$ROOT");
        let text = text.replace("$ROOT/pm2", "$HOME").replace("$ROOT/home", "$HOME");
        let text = text.replace(&node_modules().join("pm2").display().to_string(), "$PM2");
        let text = text.replace(env!("CARGO_BIN_EXE_rpm"), "$RPM");
        text.replace(&format!("\"{}\"", self.port), "\"$PORT\"")
    }

    /// The same on one line.
    pub(super) fn on_one_line(&self, text: &str) -> String {
        self.neutral(text.trim_end()).replace('\n', " ⏎ ")
    }

    /// Deletes all apps.
    pub(super) fn clear(&self) {
        match self.kind {
            Kind::Pm2 => Daemon::of(&self.folder()).delete_all(),
            Kind::Rpm => drop(self.run(&["delete", "all"])),
        }
    }

    /// Waits until the static server of the only app listens: PM2's `serve` returns before.
    pub(super) fn wait_for_server(&self) {
        let list = self.jlist();
        let log = list[0]["pm2_env"]["pm_out_log_path"].as_str().expect("a log").to_owned();
        if self.kind == Kind::Pm2 {
            let log = self.path(&log.replace("$HOME/", "~/"));
            wait_for(&log, "what it says when it listens", |text| !text.is_empty());
        }
    }

    /// Waits until the list is as wanted, and returns it.
    pub(super) fn wait_for(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        match self.kind {
            // It writes a line for whatever happens to an app.
            Kind::Pm2 => drop(wait_for(&self.path("~/pm2.log"), what, |_| wanted(&self.jlist()))),
            Kind::Rpm => drop(self.home.wait_until(what, |_| wanted(&self.jlist()))),
        }
        self.jlist()
    }
}

impl Manager {
    /// Waits until the list is as wanted, also for what PM2 writes no line about.
    pub(super) fn comes_to(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) {
        if self.kind == Kind::Rpm {
            self.wait_for(what, wanted);
            return;
        }
        let deadline = Instant::now() + LIMIT;
        while !wanted(&self.jlist()) {
            assert!(Instant::now() < deadline, "never happened: {what}: {:?}", self.jlist());
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if self.kind == Kind::Pm2 {
            self.run(&["kill"]);
        }
    }
}

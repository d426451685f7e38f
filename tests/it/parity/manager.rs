//! [`Manager`]: `pm2` or `rpm` with a home of its own, ended with its test.

use crate::harness::{Home, Output, Rpm, copy, fixture, node_modules, port};
use serde_json::Value;

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
        for name in ["streams.js", "hello.js", "server.py"] {
            copy(&fixture(name), &manager.home.work().join(name));
        }
        let write = |name, text| manager.home.write(name, text);
        write("package.json", r#"{"name": "parity", "version": "3.2.1"}"#);
        write("eco.json", super::cases::ECOSYSTEM);
        write("later.json", super::cases::LATER);
        write("broken.json", "{ apps: [");
        write("my.app", "#!/bin/sh\nexec sleep 1000\n");
        manager.run(&["ping"]);
        manager
    }

    /// Runs a command.
    pub(super) fn run(&self, words: &[&str]) -> Output {
        let pm2 = node_modules().join(".bin/pm2").display().to_string();
        let program = match self.kind {
            Kind::Pm2 => &pm2[..],
            Kind::Rpm => env!("CARGO_BIN_EXE_rpm"),
        };
        let pm2_home = self.home.root().join("pm2").display().to_string();
        Rpm::new(&self.home, &[&[program], words].concat())
            .env("PM2_HOME", pm2_home)
            .env("NO_COLOR", "1")
            .env("PORT", self.port)
            .output()
    }

    /// Writes a file where its commands run.
    pub(super) fn write(&self, name: &str, text: &str) {
        self.home.write(name, text);
    }

    /// What is served is served here.
    pub(super) fn own_port(&self) -> u16 {
        self.port
    }

    /// Where its commands run.
    pub(super) fn work(&self) -> String {
        self.home.work().display().to_string()
    }

    /// The list, with this manager's folders by other names.
    pub(super) fn jlist(&self) -> Vec<Value> {
        let output = self.run(&["jlist"]);
        let text = output.stdout.replace("$ROOT/pm2", "$HOME").replace("$ROOT/home", "$HOME");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if self.kind == Kind::Pm2 {
            self.run(&["kill"]);
        }
    }
}

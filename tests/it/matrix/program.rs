//! [`Program`]: one row of the matrix, how it is started and what may be expected of it.

use crate::harness::{Door, Home, Output, cache, fixture, port};
use std::fs;
use std::path::{Path, PathBuf};

/// What a program does when it is told to end, and so what a reload may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    /// It finishes what it has begun, or has nothing to do any more when it is told: nothing fails.
    Drains,
    /// It dies of the signal at once, and shares a queue with its replacement until then: what it
    /// was answering is cut, one request of each worker. What waits in the queue is answered by
    /// the replacement.
    CutsOne,
}

impl Manners {
    /// So many requests may fail while `workers` are told to end.
    pub(super) fn may_cut(self, workers: u64) -> u64 {
        match self {
            Self::Drains => 0,
            Self::CutsOne => workers,
        }
    }
}

/// How an app is asked, given the folder it works in and its port.
type Place = fn(&Path, u16) -> Door;

/// A program that answers who it is.
pub(super) struct Program {
    words: Vec<String>,
    files: Vec<PathBuf>,
    modules: bool,
    place: Place,
    pub(super) manners: Manners,
    /// Clients with a connection for each request.
    pub(super) fresh: usize,
    /// Clients that keep their connection; only where the program says goodbye to them.
    pub(super) keep_alive: usize,
}

impl Program {
    /// The words after `rpm start`; `{port}` stands for its port.
    pub(super) fn new(words: &[&str]) -> Self {
        Self {
            words: words.iter().map(|&word| word.to_owned()).collect(),
            files: Vec::new(),
            modules: false,
            place: |_, port| Door::Http(port),
            manners: Manners::Drains,
            fresh: 3,
            keep_alive: 0,
        }
    }

    /// A fixture that is a script, started by its name.
    pub(super) fn script(name: &str, options: &[&str]) -> Self {
        let file = Path::new(name).file_name().and_then(|name| name.to_str()).expect("a name");
        Self::new(&[&[file], options].concat()).file(name)
    }

    /// A fixture that lies in the folder it works in.
    pub(super) fn file(self, name: &str) -> Self {
        self.made(fixture(name))
    }

    /// As [`Self::file`] with a path.
    pub(super) fn made(mut self, path: PathBuf) -> Self {
        self.files.push(path);
        self
    }

    /// With `node_modules` beside it.
    pub(super) fn modules(mut self) -> Self {
        self.modules = true;
        self
    }

    pub(super) fn place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// It says goodbye to clients that keep their connection.
    pub(super) fn keeps_alive(mut self) -> Self {
        self.keep_alive = 2;
        self
    }

    /// It dies of the stop signal at once, and answers one request at a time.
    pub(super) fn cuts_one(self) -> Self {
        Self { manners: Manners::CutsOne, ..self }
    }

    /// Starts it as `web` with three workers.
    pub(super) fn start(&self, home: &Home) -> Door {
        let port = port();
        self.start_on(home, port);
        (self.place)(&home.work(), port)
    }

    fn start_on(&self, home: &Home, port: u16) -> Output {
        for file in &self.files {
            let name = file.file_name().expect("a name");
            crate::harness::copy(file, &home.work().join(name));
        }
        if self.modules {
            let modules = cache().join("node/node_modules");
            std::os::unix::fs::symlink(modules, home.work().join("node_modules")).expect("symlink");
        }
        let words: Vec<String> =
            self.words.iter().map(|word| word.replace("{port}", &port.to_string())).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // Where the program has arguments of its own after `--`, ours come before it.
        let own = words.iter().position(|&word| word == "--").unwrap_or(words.len());
        // On a busy machine a framework needs longer to its first listen than rpm waits for a
        // program of which it does not know whether it listens at all, and longer to end.
        let ours = ["--name", "web", "-i", "3", "--listen-timeout", "30s", "--kill-timeout", "10s"];
        let all = [&["start"], &words[..own], &ours, &words[own..]];
        home.rpm_under(&[], &all.concat()).env("PATH", path()).env("PORT", port).success()
    }
}

/// The search path, with what scripts/test installed; Debian's own before any shims.
pub(super) fn path() -> String {
    let (node, python) = (cache().join("node/node_modules/.bin"), cache().join("venv/bin"));
    assert!(fs::exists(node.join("tsx")).unwrap_or(false), "run scripts/test once");
    assert!(fs::exists(python.join("gunicorn")).unwrap_or(false), "run scripts/test once");
    format!("{}:/usr/local/bin:/usr/bin:/bin:{}", node.display(), python.display())
}

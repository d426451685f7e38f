//! The layout of `RPM_HOME`: every file name rpm uses below it, in one place.

use std::path::{Path, PathBuf};

/// A home: one fleet, one keeper, one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home at `root`, an absolute path. Touches nothing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself, 0700.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The socket of the command line protocol, 0600.
    pub fn socket(&self) -> PathBuf {
        self.root.join("rpm.sock")
    }

    /// The daemon's and keeper's own log.
    pub fn daemon_log(&self) -> PathBuf {
        self.root.join("rpm.log")
    }

    /// The daemon's pid, for people and scripts; nothing of rpm trusts it.
    pub fn pid_file(&self) -> PathBuf {
        self.root.join("rpm.pid")
    }

    /// The apps' logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The apps' pid files.
    pub fn pids(&self) -> PathBuf {
        self.root.join("pids")
    }

    /// The saved list of apps.
    pub fn dump(&self) -> PathBuf {
        self.root.join("dump.pm2")
    }

    /// What only rpm reads: the lock.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Locked as long as a keeper or daemon of this home lives.
    pub fn lock(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Locked by a command line while it looks for a keeper or starts one.
    pub fn start_lock(&self) -> PathBuf {
        self.state().join("start.lock")
    }

    /// What apps must reach: the preload and the control socket (traps A10).
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }
}

//! The version of the Node that runs an app: what `node --version` says, asked once for each
//! executable and kept in the home.

use rpm_unix::home::Home;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

/// Versions by executable, with its time of change: an upgrade is another one.
pub(crate) struct NodeVersions {
    known: BTreeMap<String, String>,
    changed: bool,
}

impl NodeVersions {
    /// What was learnt before.
    pub(crate) fn read(home: &Home) -> Self {
        let text = fs::read(home.node_versions()).unwrap_or_default();
        Self { known: serde_json::from_slice(&text).unwrap_or_default(), changed: false }
    }

    /// Keeps what was learnt; where it cannot be, it is asked again.
    pub(crate) fn write(&self, home: &Home) {
        if let (true, Ok(text)) = (self.changed, serde_json::to_vec(&self.known)) {
            let _ = rpm_unix::atomic::write(&home.node_versions(), &text);
        }
    }

    /// The version of the Node that is the process `pid`, as `20.20.2`.
    pub(crate) fn of(&mut self, pid: i32) -> Option<String> {
        self.of_program(&fs::read_link(format!("/proc/{pid}/exe")).ok()?)
    }

    /// The same of `interpreter`, a path or a word for the folders `path` (environ(7)).
    pub(crate) fn of_interpreter(&mut self, interpreter: &str, path: &str) -> Option<String> {
        let found = path.split(':').map(|folder| Path::new(folder).join(interpreter));
        let found = found.filter_map(|file| file.canonicalize().ok()).next()?;
        self.of_program(&found)
    }

    fn of_program(&mut self, executable: &Path) -> Option<String> {
        let meta = fs::metadata(executable).ok()?;
        let key = format!("{} {} {}", executable.display(), meta.mtime(), meta.size());
        if !self.known.contains_key(&key) {
            self.known.insert(key.clone(), ask(executable)?);
            self.changed = true;
        }
        self.known.get(&key).cloned()
    }
}

/// Only of a program called node: another may do anything when it is executed.
fn ask(executable: &Path) -> Option<String> {
    let name = executable.file_name()?.to_str()?;
    if !matches!(name, "node" | "nodejs") {
        return None;
    }
    let output = Command::new(executable).arg("--version").env_remove("NODE_OPTIONS").output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    text.trim().strip_prefix('v').map(str::to_owned)
}

//! The version of the Node that runs an app: what `node --version` says, asked once for each
//! executable and kept in the home. `jlist` without it is in `jlist.rs`.

use crate::jlist;
use rpm_config::Runtime;
use rpm_protocol::InstanceDetail;
use rpm_unix::home::Home;
use serde_json::Value;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

/// PM2's list of these instances, with what only the machine tells. May execute a Node, and wait.
pub fn whole_list(details: &[InstanceDetail], home: &Home) -> Value {
    let mut list = jlist::value(details);
    let mut versions = NodeVersions::read(home);
    for (item, detail) in list.as_array_mut().into_iter().flatten().zip(details) {
        let env = item.get_mut("pm2_env").and_then(Value::as_object_mut);
        if let (Some(env), Some(version)) = (env, versions.of_instance(detail)) {
            env.insert("node_version".into(), version.into());
        }
    }
    versions.write(home);
    list
}

/// Versions by executable, with its time of change: an upgrade is another one.
struct NodeVersions {
    known: BTreeMap<String, String>,
    changed: bool,
}

impl NodeVersions {
    /// What was learnt before.
    fn read(home: &Home) -> Self {
        let text = fs::read(home.node_versions()).unwrap_or_default();
        Self { known: serde_json::from_slice(&text).unwrap_or_default(), changed: false }
    }

    /// Keeps what was learnt; where it cannot be, it is asked again.
    fn write(&self, home: &Home) {
        if let (true, Ok(text)) = (self.changed, serde_json::to_vec(&self.known)) {
            let _ = rpm_unix::atomic::write(&home.node_versions(), &text);
        }
    }

    fn of_instance(&mut self, detail: &InstanceDetail) -> Option<String> {
        let launch = &detail.spec.launch;
        match detail.view.pid {
            _ if launch.runtime != Runtime::Node => None,
            Some(pid) => self.of(pid),
            // As under PM2 it is known of what ran once.
            None if detail.view.last_exit.is_some() => {
                let path = detail.environment.get("PATH").map_or("", String::as_str);
                self.of_interpreter(launch.interpreter.as_deref()?, path)
            }
            None => None,
        }
    }

    /// The version of the Node that is the process `pid`, as `20.20.2`.
    fn of(&mut self, pid: i32) -> Option<String> {
        self.of_program(&fs::read_link(format!("/proc/{pid}/exe")).ok()?)
    }

    /// The same of `interpreter`, a path or a word for the folders `path` (environ(7)).
    fn of_interpreter(&mut self, interpreter: &str, path: &str) -> Option<String> {
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

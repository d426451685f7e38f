//! PM2's keys and policies, one by one, by their effect on processes and files. `docs/pm2-keys.md`
//! says for each which test proves it, and `table.rs` that it says so of all.

mod ending;
mod launch;
mod names;
mod output;
mod policies;
mod sites;
mod table;

use crate::harness::Home;
use serde_json::Value;
use std::{fs, path::Path};

/// Blocks on its standard input, so that it needs nothing and ends by any signal.
const STAYS: &str = "#!/bin/sh\nread line\n";

/// Writes a script that may be executed.
fn script(home: &Home, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = home.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The words of a process.
fn words(pid: u32) -> Vec<String> {
    parts(&format!("/proc/{pid}/cmdline"))
}

/// A variable of a process.
fn variable(pid: u32, name: &str) -> Option<String> {
    let all = parts(&format!("/proc/{pid}/environ"));
    let named = |pair: String| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned());
    all.into_iter().find_map(named)
}

fn parts(file: &str) -> Vec<String> {
    let text = fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// The description the daemon has of each app, without what it inherited, by name.
fn specs(home: &Home) -> Vec<(String, Value)> {
    let targets = serde_json::json!({ "targets": { "words": ["all"], "cwd": "/" } });
    let details = home.ask("describe", &targets);
    let all = details["result"].as_array().unwrap_or_else(|| panic!("{details}"));
    let named = |one: &Value| {
        let mut spec = one["spec"].clone();
        let name = spec["name"].as_str().expect("a name").to_owned();
        let table = spec.as_object_mut().expect("a table");
        for key in ["name", "file", "inherited_env"] {
            table.remove(key);
        }
        (name, spec)
    };
    all.iter().map(named).collect()
}

/// `text` with this test's folder as `$WORK`.
fn plain(home: &Home, text: &str) -> String {
    text.replace(&home.work().display().to_string(), "$WORK")
}

/// Whether a file of that text is there.
fn has(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == text)
}

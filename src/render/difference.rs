//! What differs between two descriptions of an app, key by key, in the words of ecosystem files.

use super::style::{Colors, Paint};
use rpm_config::{AppSpec, HIDDEN, is_secret};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Keys of a description that say where it came from, and nothing about the app.
const NOT_COMPARED: [&str; 2] = ["file", "name"];

/// Where a description has a key under another name than a file.
const NAMES: [(&str, &str); 25] = [
    ("env_files", "env_file"),
    ("inherited_env", "inherited"),
    ("launch.interpreter_args", "node_args"),
    ("logs.error", "error_file"),
    ("logs.merge", "merge_logs"),
    ("logs.out", "out_file"),
    ("logs.rules.combined", "log_file"),
    ("logs.rules.date_format", "log_date_format"),
    ("logs.rules.group", "log_group"),
    ("logs.rules.json", "log_type"),
    ("logs.rules.mode", "log_mode"),
    ("logs.rules.ship", "log_ship"),
    ("logs.rules.when_full", "log_full"),
    ("mode", "exec_mode"),
    ("stop.signal", "stop_signal"),
    ("stop.tree", "treekill"),
    ("stop.with_message", "shutdown_with_message"),
    ("user.group", "gid"),
    ("user.user", "uid"),
    ("unwatched.delay", "watch_delay"),
    ("unwatched.follow_links", "watch_options.followSymlinks"),
    ("unwatched.ignore", "ignore_watch"),
    ("watch.delay", "watch_delay"),
    ("watch.follow_links", "watch_options.followSymlinks"),
    ("watch.ignore", "ignore_watch"),
];

/// Parts of a description that files do not have: their keys stand alone there.
const PARTS: [&str; 5] = ["launch.", "logs.rules.", "logs.", "restart.", "stop."];

/// One key that differs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The key, `env.NAME` for a variable.
    pub(crate) key: String,
    /// What it was; `None`: it was not there.
    from: Option<Value>,
    to: Option<Value>,
}

/// What differs, in the order of keys.
pub(crate) fn of(former: &AppSpec, wanted: &AppSpec) -> Vec<Change> {
    let (former, mut wanted) = (flat(former), flat(wanted));
    let mut changes = Vec::new();
    for (key, from) in former {
        let to = wanted.remove(&key);
        if to.as_ref() != Some(&from) {
            changes.push(Change { key, from: Some(from), to });
        }
    }
    changes.extend(wanted.into_iter().map(|(key, to)| Change { key, from: None, to: Some(to) }));
    changes.sort_by(|one, other| one.key.cmp(&other.key));
    changes
}

/// Each value by its key; what is absent is not there, lists are one value.
fn flat(spec: &AppSpec) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    if let Ok(Value::Object(table)) = serde_json::to_value(spec) {
        flatten(String::new(), table, &mut keys);
    }
    keys
}

fn flatten(prefix: String, table: Map<String, Value>, keys: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        if prefix.is_empty() && NOT_COMPARED.contains(&key.as_str()) {
            continue;
        }
        let path = format!("{prefix}{key}");
        match value {
            Value::Null => {}
            Value::Object(table) => flatten(format!("{path}."), table, keys),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                keys.insert(in_words_of_files(&path), value);
            }
        }
    }
}

fn in_words_of_files(path: &str) -> String {
    for (ours, theirs) in NAMES {
        match path.strip_prefix(ours) {
            Some("") => return theirs.to_owned(),
            Some(rest) if rest.starts_with('.') => return format!("{theirs}{rest}"),
            Some(_) | None => {}
        }
    }
    let part = PARTS.iter().find_map(|part| path.strip_prefix(part));
    part.unwrap_or(path).to_owned()
}

impl Change {
    /// `{key, from, to}`, without the values of secrets.
    pub(crate) fn json(&self) -> Value {
        let shown = |value: &Option<Value>| value.as_ref().map(|value| self.shown(value));
        json!({ "key": self.key, "from": shown(&self.from), "to": shown(&self.to) })
    }

    /// A line, indented: `~` changes, `+` comes, `-` goes.
    pub(crate) fn text(&self, colors: Colors) -> String {
        let key = &self.key;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => {
                let (from, to) = (self.shown(from), self.shown(to));
                colors.paint(Paint::Busy, &format!("  ~ {key}: {from} -> {to}"))
            }
            (None, Some(to)) => {
                colors.paint(Paint::Good, &format!("  + {key}: {}", self.shown(to)))
            }
            (Some(from), None) => {
                colors.paint(Paint::Bad, &format!("  - {key}: {}", self.shown(from)))
            }
            (None, None) => String::new(),
        }
    }

    fn shown(&self, value: &Value) -> Value {
        if self.is_secret(value) { json!(HIDDEN) } else { value.clone() }
    }

    fn is_secret(&self, value: &Value) -> bool {
        let variable =
            ["env.", "inherited."].iter().find_map(|prefix| self.key.strip_prefix(prefix));
        let text = value.as_str().unwrap_or_default();
        variable.is_some_and(|name| is_secret(name, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;
    use std::time::Duration;

    #[test]
    fn keys_are_those_of_files_and_secrets_stay_secret() {
        let mut former = sample::detail(0, "api").spec;
        former.env = [("A", "1"), ("API_KEY", "x"), ("OLD", "o")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let mut wanted = former.clone();
        wanted.file = Some("/srv/ecosystem.toml".into());
        wanted.env.remove("OLD");
        wanted.env.insert("A".into(), "2".into());
        wanted.env.insert("API_KEY".into(), "y".into());
        wanted.launch.args = vec![];
        wanted.stop.kill_timeout = Duration::from_secs(5);
        wanted.cron_restart = Some("0 3 * * *".into());
        wanted.logs.rules.json = true;
        let changes = of(&former, &wanted);
        let lines: Vec<String> = changes.iter().map(|change| change.text(Colors::Off)).collect();
        let want = [
            "  ~ args: [\"--fast\"] -> []",
            "  + cron_restart: \"0 3 * * *\"",
            "  ~ env.A: \"1\" -> \"2\"",
            "  ~ env.API_KEY: \"***\" -> \"***\"",
            "  - env.OLD: \"o\"",
            "  ~ kill_timeout: 1600 -> 5000",
            "  ~ log_type: false -> true",
        ];
        assert_eq!(lines, want);
        let change = json!({ "key": "env.OLD", "from": "o", "to": null });
        assert_eq!(changes[4].json(), change);
        assert_eq!(of(&former, &former), []);
    }
}

//! The fields of `jlist` and their types.

use super::Seen;
use super::manager::Manager;
use serde_json::Value;

/// Variables of the shell, which both mix into the fields.
fn is_of_the_shell(key: &str, item: &Value) -> bool {
    let is_variable = |c: char| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit();
    let known = [
        "NODE_APP_INSTANCE",
        "unique_id",
        "name",
        "namespace",
        "exec_mode",
        "pm_exec_path",
        "pm_id",
    ];
    let copied = item["pm2_env"]["env"].get(key).is_some();
    !known.contains(&key) && (copied || key.chars().all(is_variable))
}

/// Where each value stands, and what kind it is.
pub(super) fn types(manager: &Manager) -> Seen {
    manager.run(&["start", "streams.js", "--name", "one", "--", "a"]);
    manager.run(&["restart", "one"]);
    let list = manager.jlist();
    let item = &list[0];
    let mut seen = Seen::new();
    for (key, value) in item.as_object().expect("an object") {
        seen.insert(key.clone(), kind(value));
    }
    for (key, value) in item["monit"].as_object().expect("monit") {
        seen.insert(format!("monit.{key}"), kind(value));
    }
    for (key, value) in item["pm2_env"].as_object().expect("pm2_env") {
        if !is_of_the_shell(key, item) {
            seen.insert(format!("pm2_env.{key}"), kind(value));
        }
    }
    seen
}

fn kind(value: &Value) -> String {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    kind.to_owned()
}

//! A JSON Schema of ecosystem files, for editors: made from the same table of keys that reads them,
//! and of the explanations of `docs/ecosystem.md`.
//!
//! It knows types, not values: that a script exists, or a pattern of cron is one, is for the
//! readers.

use crate::keys::{self, IGNORED, KEYS, Key};
use serde_json::{Map, Value, json};

/// Its meaning column explains each key.
const REFERENCE: &str = include_str!("../../../docs/ecosystem.md");

/// The schema, of draft 2020-12 (json-schema.org).
pub fn schema() -> Value {
    let app = json!({ "$ref": "#/$defs/app" });
    let apps = json!({ "anyOf": [app, { "type": "array", "items": app }] });
    let root = |key: &str| {
        json!({ "type": "object", "required": [key], "properties": {
        key: apps, "static": {}, "deploy": { "type": "object" },
    } })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ecosystem file of rpm",
        "anyOf": [
            root("apps"),
            root("pm2"),
            { "type": "object", "required": ["static"] },
            { "type": "array", "items": app },
            { "allOf": [app, { "required": ["script"] }] },
        ],
        "$defs": { "app": app_schema() },
    })
}

fn app_schema() -> Value {
    let mut properties = Map::new();
    for key in KEYS {
        let mut value = shape(key.shape).unwrap_or_else(|| json!({}));
        if let (Value::Object(value), Some(meaning)) = (&mut value, meaning(key)) {
            value.insert("description".into(), meaning.into());
        }
        if let Value::Object(value) = &mut value {
            // Whose name each of them is, for programs.
            value.insert("$comment".into(), key.name.into());
        }
        for name in std::iter::once(&key.name).chain(key.aliases) {
            properties.insert(keys::camel_case(name), value.clone());
            properties.insert((*name).into(), value.clone());
        }
    }
    for (name, why) in IGNORED {
        let value = json!({ "description": format!("Means nothing: {why}."), "deprecated": true });
        properties.insert(keys::camel_case(name), value.clone());
        properties.insert((*name).into(), value);
    }
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^env_.": {} },
        "additionalProperties": false,
    })
}

/// The last column of its row.
fn meaning(key: &Key) -> Option<&'static str> {
    let head = format!("| `{}` |", key.name);
    let row = REFERENCE.lines().find(|line| line.starts_with(&head))?;
    row.trim_end_matches([' ', '|']).rsplit(" | ").next()
}

/// What the reader of this name takes, `null` aside, which is as good as nothing.
fn shape(reader: &str) -> Option<Value> {
    let any = |types: &[&str]| json!({ "type": types });
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": any(&["string", "number", "boolean"]) });
    let words = |words: &[&str]| json!({ "enum": words });
    let truth = json!({ "enum": [true, false, "true", "false"] });
    Some(match reader {
        "text" => text,
        "truth" => truth,
        "follow_links" => any(&["object", "boolean"]),
        "words" => json!({ "anyOf": [any(&["string", "integer"]), texts] }),
        "texts" | "collectors" => json!({ "anyOf": [text, texts] }),
        "variables" => any(&["object"]),
        "instances" => any(&["integer", "string"]),
        "exec_mode" => words(&["fork", "fork_mode", "cluster", "cluster_mode"]),
        "port" | "natural" => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9]+$" },
        ] }),
        "positive" => json!({ "anyOf": [
            { "type": "integer", "minimum": 1 }, { "type": "string", "pattern": "^[0-9]+$" },
        ] }),
        "duration" => json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text] }),
        "size" => json!({ "anyOf": [{ "type": "integer", "minimum": 1_048_576 }, text] }),
        "listen" => json!({ "anyOf": [any(&["string", "integer"]), texts] }),
        "balance" => json!({ "enum": crate::Balance::ALL.map(|balance| balance.word()) }),
        "proxy" => json!({ "anyOf": [any(&["string", "integer", "object"]), texts] }),
        "log_type" => words(&["json", "raw", ""]),
        "when_full" => words(&["drop", "block"]),
        "mode" => text,
        "log_file" => any(&["string", "boolean"]),
        "rotate" => json!({ "anyOf": [truth, rotate()] }),
        "group" | "account" | "stop_signal" => any(&["string", "integer"]),
        "exit_codes" => any(&["array", "integer", "string"]),
        "filter_env" | "watch" => any(&["boolean", "string", "array"]),
        "ignore_watch" => any(&["string", "array"]),
        "cron" => any(&["string", "integer", "boolean"]),
        "ready" => json!({ "anyOf": [words(&["listening", "message", "notify"]), probe(&[])] }),
        "health" => json!({ "anyOf": [{ "const": false }, probe(&[
            ("interval", "duration"),
            ("timeout", "duration"),
            ("failures", "positive"),
            ("start_period", "duration"),
            ("startPeriod", "duration"),
        ])] }),
        "depends_on" => json!({ "anyOf": [{ "const": false }, text, texts, {
            "type": "object",
            "additionalProperties": words(&["ready", "started", "done"]),
        }] }),
        "on" => json!({ "anyOf": [{ "const": false }, hooks()] }),
        "limits" => json!({ "anyOf": [{ "const": false }, limits()] }),
        _ => return None,
    })
}

/// One of the three questions, and these beside it.
fn probe(more: &[(&str, &str)]) -> Value {
    let mut properties = Map::new();
    properties.insert("http".into(), json!({ "type": "string", "pattern": "^http://" }));
    properties.insert("tcp".into(), json!({ "type": ["integer", "string"] }));
    properties.insert("exec".into(), json!({ "type": "string", "minLength": 1 }));
    for (name, reader) in more {
        properties.insert((*name).into(), shape(reader).unwrap_or_default());
    }
    let one = ["http", "tcp", "exec"].map(|name| json!({ "required": [name] }));
    json!({
        "type": "object", "properties": properties, "additionalProperties": false, "oneOf": one,
    })
}

fn rotate() -> Value {
    let size = json!({ "type": ["integer", "string", "boolean"] });
    json!({ "type": "object", "additionalProperties": false, "properties": {
        "max_size": size, "maxSize": size, "max_total": size, "maxTotal": size,
        "keep": { "type": ["integer", "string"] }, "retain": { "type": ["integer", "string"] },
        "compress": { "type": ["boolean", "string"] },
        "interval": { "type": ["string", "boolean"] },
    } })
}

fn hooks() -> Value {
    let hook = json!({ "anyOf": [{ "const": false }, { "type": "string", "minLength": 1 }] });
    json!({ "type": "object", "additionalProperties": false, "properties": {
        "crash": hook, "errored": hook, "reload_failed": hook, "reloadFailed": hook, "oom": hook,
    } })
}

fn limits() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {
        "nofile": { "type": "integer", "minimum": 16 },
        "nice": { "type": "integer", "minimum": -20, "maximum": 19 },
        "memory": shape("size"),
        "cpu": { "type": "number", "exclusiveMinimum": 0 },
        "pids": { "type": "integer", "minimum": 1 },
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_shape_and_a_meaning() {
        for key in KEYS {
            assert!(shape(key.shape).is_some(), "{}: {}", key.name, key.shape);
            assert!(meaning(key).is_some_and(|text| text.len() > 5), "{}", key.name);
        }
    }
}

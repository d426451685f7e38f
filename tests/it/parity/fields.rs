//! The fields of `jlist`, in every state an app can be in and with every key that has a field:
//! their types, and their values where these are not of the moment.

use super::manager::{Kind, Manager};
use super::{Seen, both, differences, settle};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An app for each state and each kind of value.
const APPS: &str = r#"{ "apps": [
    { "name": "fork", "script": "streams.js", "args": "a 'b c'", "node_args": "--trace-warnings",
      "env": { "WHO": "me", "N": 1, "YES": true }, "env_production": { "WHO": "x" },
      "kill_timeout": 60000 },
    { "name": "cluster", "script": "hello.js", "instances": 2, "exec_mode": "cluster",
      "wait_ready": false, "listen_timeout": 5000 },
    { "name": "python", "script": "server.py", "interpreter": "python3", "namespace": "back",
      "env": { "PORT": 0 } },
    { "name": "stopped", "script": "streams.js", "kill_timeout": 60000 },
    { "name": "later", "script": "streams.js", "autostart": false },
    { "name": "ended", "script": "lines.js", "args": "1", "autorestart": false },
    { "name": "failed", "script": "lines.js", "args": ["1", "exit"], "stop_exit_codes": [3],
      "max_memory_restart": "200M" },
    { "name": "errored", "script": "lines.js", "args": "1 exit", "max_restarts": 2,
      "min_uptime": "60s" },
    { "name": "waiting", "script": "lines.js", "args": "1 exit", "restart_delay": 3600000 },
    { "name": "backoff", "script": "streams.js", "exp_backoff_restart_delay": 100 },
    { "name": "watched", "script": "streams.js", "watch": ["lib"], "ignore_watch": ["tmp"],
      "watch_delay": 500 },
    { "name": "cron", "script": "streams.js", "cron_restart": "0 3 * * *" },
    { "name": "logs", "script": "streams.js", "log_type": "json", "time": true, "log": "all.log",
      "out_file": "o.log", "error_file": "e.log", "merge_logs": true },
    { "name": "quiet", "script": "streams.js", "disable_logs": true, "treekill": false,
      "shutdown_with_message": true, "filter_env": ["NOTHING"], "instance_var": "SLOT",
      "source_map_support": true, "force": true, "append_env_to_name": true }
] }"#;

/// What is different each time.
const OF_THE_MOMENT: [&str; 13] = [
    "created_at",
    "cpu",
    "memory",
    "pid",
    "pm_id",
    "pm_uptime",
    "prev_restart_delay",
    "unique_id",
    "unstable_restarts",
    "_tree_pids",
    // What PM2 injects into each Node app offers these, a second after its start.
    "axm_actions",
    "axm_monitor",
    "axm_options",
];

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

/// The app of each name in the state it was made for.
fn apps(manager: &Manager) -> Vec<Value> {
    std::fs::create_dir(manager.path("lib")).expect("lib");
    std::fs::write(manager.path("all.json"), APPS).expect("all.json");
    // Some of these apps end, on purpose.
    manager.run(&["start", "all.json"]);
    manager.run(&["stop", "stopped"]);
    manager.run(&["restart", "fork"]);
    let list = manager.wait_for("every app is in its state", |list| {
        let status = |item: &Value| item["pm2_env"]["status"].as_str().map(str::to_owned);
        list.iter().all(|item| {
            let status = status(item).unwrap_or_default();
            match item["name"].as_str().expect("a name") {
                "stopped" | "later" | "ended" | "failed" => status == "stopped",
                "errored" => status == "errored",
                "waiting" => status == "waiting restart",
                _ => status == "online",
            }
        })
    });
    // Both number the apps of a file as they come up.
    let mut list = list;
    let key =
        |item: &Value| (item["name"].to_string(), item["pm2_env"]["NODE_APP_INSTANCE"].to_string());
    list.sort_by_key(key);
    list
}

/// Where each value stands, and what it is: its kind, or the value where it is the same each time.
fn seen(manager: &Manager) -> Seen {
    let mut seen = Seen::new();
    let list = apps(manager);
    // The very command, once: elsewhere PM2's daemon is asked.
    let printed = manager.run(&["jlist"]).stdout;
    let printed: Vec<Value> = serde_json::from_str(&printed).expect("jlist prints JSON");
    assert_eq!(printed.len(), list.len());
    let mut slot = 0;
    let mut last = "";
    for item in &list {
        let name = item["name"].as_str().expect("a name");
        slot = if name == last { slot + 1 } else { 0 };
        last = name;
        let mut add = |place: String, key: &str, value: &Value| {
            let value = match OF_THE_MOMENT.contains(&key) {
                true => kind(value).to_owned(),
                false => text(value),
            };
            seen.insert(format!("{name}.{slot} {place}{key}"), value);
        };
        if manager.kind() == Kind::Rpm {
            // rpm puts no monitoring into apps: what an app itself offers is here.
            let env = &item["pm2_env"];
            assert_eq!((&env["axm_monitor"], &env["axm_options"]), (&json!({}), &json!({})));
        }
        for (key, value) in item.as_object().expect("an object") {
            match (key.as_str(), value) {
                ("monit", Value::Object(monit)) => {
                    monit.iter().for_each(|(key, value)| add("monit.".into(), key, value));
                }
                ("pm2_env", Value::Object(env)) => {
                    let own = env.iter().filter(|(key, _)| !is_of_the_shell(key, item));
                    own.for_each(|(key, value)| add(String::new(), key, value));
                }
                _ => add("item.".into(), key, value),
            }
        }
    }
    seen
}

/// A value whole where it is small, or else its kind. Ids in file names are left out.
fn text(value: &Value) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => "object".to_owned(),
        Value::String(path) => {
            let (name, end) = path.rsplit_once('.').unwrap_or((path, ""));
            let is_file = matches!(end, "log" | "pid");
            match name.rsplit_once('-').filter(|(_, id)| is_file && id.parse::<u32>().is_ok()) {
                Some((name, _)) => format!("\"{name}-ID.{end}\""),
                None => value.to_string(),
            }
        }
        _ => value.to_string(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The differences, those that many apps have as one line for all.
fn found(pm2: &Seen, rpm: &Seen) -> BTreeSet<super::Difference> {
    let rpm: Seen = rpm
        .iter()
        .filter(|(key, _)| pm2.contains_key(*key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let all = differences("fields.node", pm2, &rpm);
    let of = |place: &str| place.split_once(' ').map_or(place, |(_, key)| key).to_owned();
    let names = |key: &str, pm2: &str, rpm: &str| {
        let same = all
            .iter()
            .filter(|[_, place, one, other]| of(place) == key && one == pm2 && other == rpm);
        same.count()
    };
    let each = all.iter().map(|[case, place, pm2, rpm]| {
        let key = of(place);
        let place = if names(&key, pm2, rpm) > 2 { format!("each {key}") } else { place.clone() };
        [case.clone(), place, pm2.clone(), rpm.clone()]
    });
    each.collect()
}

#[test]
fn jlist_has_every_field_of_pm2_with_its_type_in_every_state() {
    let [pm2, rpm] = both(seen);
    settle("fields.", &found(&pm2, &rpm));
}

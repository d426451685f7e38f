//! The keys of an ecosystem file: one file of many apps, started once by each. What `jlist` says of
//! each app is compared, and what /proc has of its process.

use super::Seen;
use super::manager::{Kind, Manager};
use super::{differences, settle};
use serde_json::Value;
use std::fs;

/// JSON that both read. Nothing of it needs Node: what is compared is PM2's reading of the file.
const FILE: &str = r#"{ "deploy": { "production": { "env": { "A": "deploy", "Z": "deploy" } } },
  "apps": [
  { "name": "camel", "script": "/bin/sleep", "args": "1000", "execInterpreter": "none",
    "maxRestarts": 5, "minUptime": "10s", "maxMemoryRestart": "1G", "killTimeout": "3000",
    "restartDelay": 100, "stopExitCodes": [0, 3], "listenTimeout": 5000,
    "logDateFormat": "YYYY", "mergeLogs": false },
  { "name": "alias", "exec": "/bin/sleep", "args": ["1000"], "interpreter": "none",
    "out": "x.log", "err_log": "y.log", "cron": "0 0 1 1 *", "combine_logs": true,
    "namespace": "back", "expBackoffRestartDelay": 200 },
  { "name": "paths", "cmd": "/bin/sleep", "args": "1000", "interpreter": "none", "cwd": "/tmp",
    "output": "rpm-parity-out.log", "error_file": "/dev/null", "pid": "/tmp/rpm-parity.pid" },
  { "name": "count", "script": "/bin/sleep", "args": "1000", "interpreter": "none",
    "instances": 2, "exec_mode": "fork", "increment_var": "PORT", "env": { "PORT": 4000 },
    "instance_var": "SLOT", "out_file": "count.log" },
  { "name": "texts", "script": "/bin/sleep", "args": "1000", "interpreter": "none",
    "instances": "2", "exec_mode": "fork_mode", "max_restarts": "7", "min_uptime": 2000,
    "max_memory_restart": 314572800, "autorestart": false, "merge_logs": true },
  { "name": "envs", "script": "/bin/sleep", "args": "1000", "interpreter": "none", "port": 4321,
    "env": { "A": 1, "B": true, "C": { "d": [1] }, "E": null }, "env_production": { "A": 2 } },
  { "name": "api", "script": "/bin/sleep", "args": "1000", "interpreter": "none",
    "append_env_to_name": true },
  { "name": "words", "script": "run.sh", "args": "one 'two three' \"four\"",
    "interpreter": "sh", "node_args": "-e -u" },
  { "script": "run.sh", "log_type": "json", "time": true, "log_date_format": "YYYY",
    "ignore_watch": "a b", "shutdown_with_message": true, "treekill": false, "wait_ready": false },
  { "name": "zero", "script": "/bin/sleep", "args": "1000", "interpreter": "none",
    "max_restarts": 0, "kill_timeout": 0, "restart_delay": 0 },
  { "name": "many", "script": "/bin/sleep", "args": "1000", "interpreter": "none",
    "exec_mode": "fork", "instances": -100 }
] }"#;

/// Fields of `pm2_env` that files decide.
const FIELDS: [&str; 34] = [
    "A",
    "B",
    "C",
    "PORT",
    "Z",
    "args",
    "autorestart",
    "autostart",
    "cron_restart",
    "exec_interpreter",
    "exec_mode",
    "exp_backoff_restart_delay",
    "ignore_watch",
    "increment_var",
    "instance_var",
    "instances",
    "kill_timeout",
    "listen_timeout",
    "log_date_format",
    "log_type",
    "max_memory_restart",
    "max_restarts",
    "min_uptime",
    "namespace",
    "node_args",
    "pm_cwd",
    "pm_err_log_path",
    "pm_exec_path",
    "pm_out_log_path",
    "pm_pid_path",
    "restart_delay",
    "shutdown_with_message",
    "stop_exit_codes",
    "treekill",
];

/// What PM2 leaves out where nobody asked for it.
const DEFAULTS: [(&str, u64); 4] =
    [("kill_timeout", 1600), ("max_restarts", 16), ("min_uptime", 1000), ("restart_delay", 0)];

/// Variables of the process.
const VARIABLES: [&str; 9] =
    ["A", "B", "C", "E", "Z", "PORT", "SLOT", "NODE_APP_INSTANCE", "namespace"];

fn observe(kind: Kind) -> Seen {
    let manager = Manager::new(kind);
    manager.write("run.sh", "read line\n");
    manager.write("keys.json", FILE);
    let started = manager.run(&["start", "keys.json", "--env", "production"]);
    let mut seen = Seen::from([("exit".to_owned(), started.code.to_string())]);
    let mut list = manager.jlist();
    list.sort_by_key(|item| item["pm_id"].as_u64());
    let mut numbers = std::collections::BTreeMap::new();
    for item in &list {
        let name = item["name"].as_str().unwrap_or_default();
        let number = numbers.entry(name).or_insert(0);
        // PM2 starts two apps at a time, so that ids say nothing.
        let place = format!("{name}{number}");
        *number += 1;
        seen.insert(format!("{place} name"), name.to_owned());
        let port = manager.port().to_string();
        let plain = |text: String| text.replace(&port, "$PORT");
        seen.extend(fields(item).map(|(key, value)| (format!("{place} {key}"), plain(value))));
        let work = manager.work();
        let process = process(item, &work);
        seen.extend(process.map(|(key, value)| (format!("{place} {key}"), plain(value))));
    }
    seen
}

fn fields(item: &Value) -> impl Iterator<Item = (&'static str, String)> {
    let (env, id) = (&item["pm2_env"], &item["pm_id"]);
    FIELDS.into_iter().map(move |field| {
        let default = DEFAULTS.iter().any(|(name, value)| *name == field && env[field] == *value);
        let value = if default { "null".to_owned() } else { env[field].to_string() };
        (field, value.replace(&format!("-{id}."), "-ID."))
    })
}

/// Words, directory and variables of its process.
fn process(item: &Value, work: &str) -> impl Iterator<Item = (String, String)> {
    let pid = item["pid"].as_u64().unwrap_or(0);
    let text = |name: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace(work, "$WORK")
    };
    let words = text("cmdline").trim_end_matches('\0').replace('\0', "_");
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let cwd = cwd.display().to_string().replace(work, "$WORK");
    let all: Vec<String> = text("environ").split('\0').map(str::to_owned).collect();
    let variable = move |name: &str| {
        let named = |pair: &String| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        all.iter().find_map(named).unwrap_or_else(|| "-".to_owned())
    };
    let own = [("process words".to_owned(), words), ("process cwd".to_owned(), cwd)];
    let variables =
        VARIABLES.into_iter().map(move |name| (format!("process {name}"), variable(name)));
    own.into_iter().chain(variables)
}

#[test]
fn every_key_of_a_file_means_the_same() {
    let [pm2, rpm] = [Kind::Pm2, Kind::Rpm].map(observe);
    settle("keys.", &differences("keys.file", &pm2, &rpm));
}

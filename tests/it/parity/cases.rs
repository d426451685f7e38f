//! What is asked of both, and what of the answers is looked at.

use super::Seen;
use super::manager::Manager;
use serde_json::Value;

/// The file `eco.json` of every case.
pub(super) const ECOSYSTEM: &str = r#"{ "apps": [
    { "name": "a", "script": "streams.js", "namespace": "back", "args": "one two",
      "max_memory_restart": "200M", "kill_timeout": 3000, "env": { "WHO": "a" },
      "env_production": { "WHO": "production" } },
    { "name": "b", "script": "streams.js", "out_file": "b.log" },
    { "name": "c", "script": "server.py", "interpreter": "python3", "merge_logs": true }
] }"#;

/// The file `later.json`: what is not started with the rest.
pub(super) const LATER: &str =
    r#"{ "apps": [{ "name": "b", "script": "streams.js", "autostart": false }] }"#;

/// Commands in turn; all is deleted before them.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) steps: &'static [&'static str],
}

/// Fields of `pm2_env` that are compared.
const FIELDS: [&str; 22] = [
    "NODE_APP_INSTANCE",
    "args",
    "autorestart",
    "autostart",
    "exec_interpreter",
    "exec_mode",
    "exp_backoff_restart_delay",
    "instances",
    "kill_timeout",
    "max_memory_restart",
    "max_restarts",
    "namespace",
    "node_args",
    "pm_cwd",
    "pm_err_log_path",
    "pm_exec_path",
    "pm_out_log_path",
    "pm_pid_path",
    "restart_time",
    "status",
    "version",
    "WHO",
];

const DEFAULTS: [(&str, u64); 2] = [("kill_timeout", 1600), ("max_restarts", 16)];

impl Case {
    /// The exit code of each step, and the list at the end.
    pub(super) fn observe(&self, manager: &Manager) -> Seen {
        manager.run(&["delete", "all"]);
        let mut seen = Seen::new();
        for (number, step) in (1..).zip(self.steps) {
            let words: Vec<&str> = step.split(' ').collect();
            let output = manager.run(&words);
            seen.insert(format!("{number} {step}"), format!("exit {}", output.code));
            if matches!(words[0], "id" | "pid") && output.code == 0 {
                let is_pid = words[0] == "pid" && output.stdout.trim().len() > 1;
                let text = if is_pid { "a pid" } else { output.stdout.trim() };
                seen.insert(format!("{number} stdout"), text.to_owned());
            }
        }
        let list = manager.jlist();
        seen.insert("count".into(), list.len().to_string());
        for item in &list {
            seen.extend(of_item(item));
        }
        seen
    }
}

fn of_item(item: &Value) -> Seen {
    let id = &item["pm_id"];
    let env = &item["pm2_env"];
    let mut seen = Seen::new();
    seen.insert(format!("{id} name"), item["name"].to_string());
    let runs = item["pid"].as_u64().unwrap_or(0) > 0;
    seen.insert(format!("{id} runs"), runs.to_string());
    for field in FIELDS {
        // PM2 leaves out what nobody asked for.
        let default = DEFAULTS.iter().any(|(name, value)| *name == field && env[name] == *value);
        let value = if default { "null".to_owned() } else { env[field].to_string() };
        seen.insert(format!("{id} {field}"), value);
    }
    seen
}

macro_rules! case {
    ($name:literal, $($step:literal),*) => { Case { name: $name, steps: &[$($step),*] } };
}

pub(super) const START: &[Case] = &[
    case!("script", "start streams.js"),
    case!("name", "start streams.js -n x --namespace ns -- one --two"),
    case!(
        "long_options",
        "start streams.js --name x --max-memory-restart 200M --kill-timeout 3000 \
          --max-restarts 5 --exp-backoff-restart-delay 100 --no-autorestart"
    ),
    case!("options_first", "--name x -k 3000 start streams.js"),
    case!("node_args", "start streams.js --node-args --trace-warnings"),
    case!("cwd", "start streams.js --cwd /tmp"),
    case!("logs", "start streams.js -o out.log -e err.log"),
    case!("python", "start server.py"),
    case!("program_in_path", "start sleep -- 1000"),
    case!("command_line", "start missing.js"),
    case!("cluster", "start hello.js -i 2"),
    case!("fork_of_two", "start streams.js -i 2 -x"),
    case!("twice", "start streams.js", "start streams.js"),
    case!("existing_name", "start streams.js -n x", "start x"),
    case!("existing_id", "start streams.js -n x", "start 0", "start 7"),
    case!("existing_stopped", "start streams.js -n x", "stop x", "start x"),
    case!("existing_options", "start streams.js -n x", "start x --kill-timeout 3000 -- a b"),
    case!("existing_scaled", "start streams.js -n x", "start x -i 2"),
    case!("several", "start streams.js hello.js"),
    case!("several_one_missing", "start streams.js nosuch.js"),
    case!("nothing", "start"),
    case!("bad_option", "start streams.js --no-such-option"),
    case!("no_value", "start streams.js --name"),
];

pub(super) const TARGETS: &[Case] = &[
    case!("by_name", "start eco.json", "stop a", "restart a", "delete a"),
    case!("by_id", "start eco.json", "stop 0", "restart 0", "delete 2"),
    case!("by_regex", "start eco.json", "stop /^[ac]$/"),
    case!("by_namespace", "start eco.json", "stop back"),
    case!("all", "start eco.json", "stop all", "restart all", "delete all"),
    case!("by_script", "start streams.js -n x", "restart streams.js", "stop streams.js"),
    case!("unknown", "stop x", "restart x", "delete x", "reload x", "stop 99", "describe x"),
    case!("none", "stop all", "restart all", "delete all", "reload all", "stop /x/"),
    case!("two", "start eco.json", "stop a c"),
    case!("one_unknown", "start eco.json", "stop a nosuch"),
];

pub(super) const CHANGE: &[Case] = &[
    case!("restart", "start streams.js -n x", "restart x", "restart x"),
    case!("rename", "start streams.js -n x", "restart x --name y"),
    case!("options", "start streams.js -n x", "restart x --max-memory-restart 300M -k 5000"),
    case!("args", "start streams.js -n x -- a", "restart x -- b c"),
    case!("instances", "start streams.js -n x", "restart x -i 2"),
    case!("stopped", "start streams.js -n x", "stop x", "stop x", "restart x"),
    case!("reload", "start hello.js -n x -i 2", "reload x"),
    case!("scale", "start hello.js -n x -i 2", "scale x 3", "scale x +1", "scale x 2"),
    case!("scale_wrong", "start hello.js -n x -i 2", "scale x 2", "scale y 2"),
    case!("reset", "start streams.js -n x", "restart x", "reset x", "reset y", "reset all"),
];

pub(super) const FILES: &[Case] = &[
    case!("start", "start eco.json"),
    case!("env", "start eco.json --env production --only a"),
    case!("only", "start eco.json --only a,c", "restart eco.json --only a", "stop eco.json"),
    case!("only_unknown", "start eco.json --only nobody"),
    case!("start_or", "startOrRestart eco.json", "startOrReload eco.json"),
    case!("graceful", "startOrGracefulReload eco.json"),
    case!("again", "start eco.json", "start eco.json"),
    case!("delete", "start eco.json", "delete eco.json"),
    case!("missing", "start nosuch.json", "startOrRestart nosuch.json"),
    case!("broken", "start broken.json"),
    case!("autostart", "start later.json", "start b"),
];

pub(super) const LOOK: &[Case] = &[
    case!("lists", "list", "ls", "l", "ps", "status", "jlist", "prettylist", "ls --sort name:desc"),
    case!("ids", "start hello.js -n x -i 2", "id x", "id y", "pid y"),
    case!("stopped_pid", "start streams.js -n x", "pid x", "stop x", "pid x"),
    case!("describe", "start streams.js -n x", "describe x", "show 0", "desc x", "info x"),
    case!("env", "start streams.js -n x", "env 0", "env 77"),
    case!("flush", "start streams.js -n x", "flush", "flush x"),
    case!("logs", "start streams.js -n x", "logs x --nostream --lines 2", "logs --nostream --raw"),
    case!("dump", "save", "save --force", "start streams.js -n x", "save", "delete x", "resurrect"),
    case!("cleardump", "cleardump", "resurrect"),
    case!("settings", "set a:b 1", "unset a:b", "set c 2", "get c", "get nothing", "unset c"),
    case!("ping", "ping", "report", "--version", "-h", "start --help"),
    case!("usage", "nonsense", "stop", "scale x", "id"),
];

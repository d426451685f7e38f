//! [`Case`]: commands in turn to a manager, and what is seen of them: exit codes, the list at the
//! end, and whatever a step looks at.

use super::Seen;
use super::manager::Manager;
use crate::harness::{Output, get, wait_for};
use serde_json::Value;
use std::fs;

/// Commands in turn; all is deleted before them.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
}

/// What is done, or looked at.
pub(super) enum Step {
    /// A command, its words parted by blanks. Its exit code is compared.
    Run(&'static str),
    /// One whose words have blanks in them.
    Words(&'static [&'static str]),
    /// One with this variable set.
    With(&'static str, &'static str, &'static str),
    /// One that is told this on standard input.
    Told(&'static str, &'static str),
    /// The whole of what the last command printed on standard output.
    Stdout,
    /// The lines it printed with this in them, words parted by one blank.
    Printed(&'static str),
    /// Whether it printed each of these.
    Has(&'static [&'static str]),
    /// Waits until the output of an app (its name) has this in it.
    Says(&'static str, &'static str),
    /// Waits until this app's offer of an action is known: it comes another way than its output.
    Offers(&'static str),
    /// Waits until a file has this in it; its whole text then.
    Written(&'static str, &'static str),
    /// A file's whole text; `~/` is the manager's folder.
    File(&'static str),
    /// The names and statuses in dump.pm2.
    Dump,
    /// The first file gets the name of the second.
    Move(&'static str, &'static str),
    /// What an HTTP server of an app answers: status, type and text.
    Get(&'static str),
}

/// Fields of `pm2_env` that are compared.
const FIELDS: [&str; 44] = [
    "NODE_APP_INSTANCE",
    "SLOT",
    "WHO",
    "args",
    "autorestart",
    "autostart",
    "cron_restart",
    "disable_logs",
    "exec_interpreter",
    "exec_mode",
    "exp_backoff_restart_delay",
    "filter_env",
    "gid",
    "ignore_watch",
    "instance_var",
    "instances",
    "kill_timeout",
    "listen_timeout",
    "log_date_format",
    "log_type",
    "max_memory_restart",
    "max_restarts",
    "merge_logs",
    "namespace",
    "node_args",
    "pm_cwd",
    "pm_err_log_path",
    "pm_exec_path",
    "pm_log_path",
    "pm_out_log_path",
    "pm_pid_path",
    "restart_delay",
    "restart_time",
    "shutdown_with_message",
    "source_map_support",
    "status",
    "stop_exit_codes",
    "treekill",
    "uid",
    "version",
    "wait_ready",
    "watch",
    "watch_delay",
    "windowsHide",
];

/// What rpm says of each app and PM2 leaves out when nobody asked for it.
const DEFAULTS: [(&str, &str); 6] = [
    ("filter_env", "[]"),
    ("kill_timeout", "1600"),
    ("listen_timeout", "3000"),
    ("max_restarts", "16"),
    ("restart_delay", "0"),
    ("watch", "false"),
];

impl Case {
    /// The exit code of each command, what was looked at, and the list at the end.
    pub(super) fn observe(&self, manager: &Manager) -> Seen {
        manager.clear();
        let (mut seen, mut last) = (Seen::new(), None);
        for (number, step) in (1..).zip(self.steps) {
            if let Some((key, output)) = step.run(manager) {
                seen.insert(format!("{number} {key}"), format!("exit {}", output.code));
                if matches!(key.split(' ').next(), Some("id" | "pid")) && output.code == 0 {
                    seen.insert(format!("{number} stdout"), ids(&output));
                }
                last = Some(output);
            } else {
                let text = step.look(manager, last.as_ref());
                seen.insert(format!("{number} {}", step.name()), text);
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

/// What `id` and `pid` printed, with pids that are not 0 by another name.
fn ids(output: &Output) -> String {
    let is_pid = |line: &&str| line.len() > 1 && line.bytes().all(|byte| byte.is_ascii_digit());
    let lines = output.stdout.trim().lines();
    lines.map(|line| if is_pid(&line) { "a pid" } else { line }).collect::<Vec<_>>().join(" ")
}

impl Step {
    /// A command that is run: what it is called, and what came of it.
    fn run(&self, manager: &Manager) -> Option<(String, Output)> {
        let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
        let (line, command) = match self {
            Self::Run(line) => return Some(((*line).to_owned(), manager.run(&words(line)))),
            Self::Words(words) => (words.join(" "), manager.command(words)),
            Self::With(name, value, line) => {
                let command = manager.command(&words(line)).env(name, value);
                (format!("{name}={value} {line}"), command)
            }
            Self::Told(line, text) => {
                ((*line).to_owned(), manager.command(&words(line)).stdin(text))
            }
            Self::Stdout
            | Self::Printed(_)
            | Self::Has(_)
            | Self::Says(..)
            | Self::Offers(_)
            | Self::Written(..)
            | Self::File(_)
            | Self::Dump
            | Self::Move(..)
            | Self::Get(_) => return None,
        };
        Some((line, command.output()))
    }

    /// What is looked at, in one word or two.
    fn name(&self) -> String {
        match self {
            Self::Run(line) | Self::With(_, _, line) | Self::Told(line, _) => (*line).to_owned(),
            Self::Words(words) => words.join(" "),
            Self::Stdout => "stdout".to_owned(),
            Self::Printed(text) => format!("lines with {text}"),
            Self::Has(_) => "printed".to_owned(),
            Self::Says(app, _) => format!("said by {app}"),
            Self::Offers(app) => format!("offered by {app}"),
            Self::File(path) | Self::Written(path, _) => format!("file {path}"),
            Self::Dump => "dump".to_owned(),
            Self::Move(from, _) => format!("moved {from}"),
            Self::Get(path) => format!("GET {path}"),
        }
    }

    fn look(&self, manager: &Manager, last: Option<&Output>) -> String {
        let stdout = || manager.neutral(&last.expect("a command before it").stdout);
        match self {
            Self::Stdout => stdout().trim().to_owned(),
            Self::Printed(text) => {
                let stdout = stdout();
                let found = stdout.lines().filter(|line| line.contains(text));
                let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
                found.map(words).collect::<Vec<_>>().join(" ⏎ ")
            }
            Self::Has(texts) => {
                let stdout = stdout();
                let found: Vec<&str> =
                    texts.iter().copied().filter(|text| stdout.contains(text)).collect();
                format!("{found:?}")
            }
            Self::Says(app, text) => {
                let list = manager.jlist();
                let item = list.iter().find(|item| item["name"] == *app).expect("the app");
                let log = item["pm2_env"]["pm_out_log_path"].as_str().expect("a log");
                let log = manager.path(&log.replace("$HOME/", "~/"));
                wait_for(&log, text, |found| found.contains(text));
                (*text).to_owned()
            }
            Self::Offers(app) => {
                let has = |item: &Value| item["pm2_env"]["axm_actions"][0].is_object();
                manager.comes_to("its offer", |list| {
                    list.iter().any(|item| item["name"] == *app && has(item))
                });
                "an action".to_owned()
            }
            Self::Written(path, text) => {
                let text = wait_for(&manager.path(path), text, |found| found.contains(text));
                manager.on_one_line(&text)
            }
            Self::File(path) => match fs::read_to_string(manager.path(path)) {
                Ok(text) => manager.on_one_line(&text),
                Err(error) => error.kind().to_string(),
            },
            Self::Dump => dump(&fs::read_to_string(manager.path("~/dump.pm2")).expect("a dump")),
            Self::Move(from, to) => {
                let moved = fs::rename(manager.path(from), manager.path(to));
                moved.map_or_else(|error| error.kind().to_string(), |()| "moved".to_owned())
            }
            Self::Get(path) => {
                manager.wait_for_server();
                let answer = get(manager.port(), path).expect("an answer");
                let kind = answer.header("content-type").unwrap_or("-");
                let kind = kind.split(';').next().unwrap_or_default();
                format!("{} {kind} {}", answer.status, answer.body.trim())
            }
            Self::Run(_) | Self::Words(_) | Self::With(..) | Self::Told(..) => String::new(),
        }
    }
}

/// Names and statuses, as they stand in a dump.
fn dump(text: &str) -> String {
    let list: Vec<Value> = serde_json::from_str(text).expect("JSON");
    let entry = |item: &Value| format!("{} {}", item["name"], item["status"]);
    list.iter().map(entry).collect::<Vec<_>>().join(", ")
}

fn of_item(item: &Value) -> Seen {
    let id = &item["pm_id"];
    let env = &item["pm2_env"];
    let mut seen = Seen::new();
    seen.insert(format!("{id} name"), item["name"].to_string());
    let runs = item["pid"].as_u64().unwrap_or(0) > 0;
    seen.insert(format!("{id} runs"), runs.to_string());
    for field in FIELDS {
        let value = env[field].to_string();
        let default = DEFAULTS.contains(&(field, &value));
        seen.insert(format!("{id} {field}"), if default { "null".to_owned() } else { value });
    }
    seen
}

//! [`AppOptions`]: what one app of a file, or the options of `rpm start`, ask for. Every field may
//! be absent; defaults, look-ups and checks against the machine are the business of `resolve`.

use crate::{
    Balance, Health, Instances, InvalidValue, Limits, Listen, Proxy,
    keys::{self, Key},
    spec::{ExecMode, FilterEnv, Ready},
    tree::{Data, Node},
    watch::WatchPaths,
};
use std::{collections::BTreeMap, time::Duration};

/// What is asked for one app. A file and the command line fill the same struct; the fields are
/// PM2's keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppOptions {
    /// The app's name.
    pub name: Option<String>,
    /// The group it belongs to.
    pub namespace: Option<String>,
    /// A file, a program in PATH, a command line, or `serve`.
    pub script: Option<String>,
    /// Arguments after the script.
    pub args: Option<Vec<String>>,
    /// The working directory.
    pub cwd: Option<String>,
    /// What runs the script; `none`: it runs by itself.
    pub interpreter: Option<String>,
    /// Arguments before the script.
    pub interpreter_args: Option<Vec<String>>,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Variables per environment name: `env_production` is under `production`.
    pub env_sets: BTreeMap<String, BTreeMap<String, String>>,
    /// Environments of the root's `deploy`, which every other one wins over.
    pub deploy_env: BTreeMap<String, BTreeMap<String, String>>,
    /// Files of variables; paths may be relative.
    pub env_files: Option<Vec<String>>,
    /// Which inherited variables it does not get.
    pub filter_env: Option<FilterEnv>,
    /// The user it runs as, by name or number.
    pub uid: Option<String>,
    /// The group it runs as, by name or number.
    pub gid: Option<String>,
    /// A pattern of cron; empty: none.
    pub cron_restart: Option<String>,
    /// Whether files are watched, and which.
    pub watch: Option<WatchPaths>,
    /// What of them does not count.
    pub ignore_watch: Option<Vec<String>>,
    /// From a change to the restart.
    pub watch_delay: Option<Duration>,
    /// `followSymlinks` of chokidar's options.
    pub watch_follow_links: Option<bool>,
    /// Have Node give stack traces of the sources.
    pub source_map_support: Option<bool>,
    /// PM2's `-x` in a file.
    pub execute_command: Option<bool>,
    /// How many.
    pub instances: Option<Instances>,
    /// Fork or cluster; `-x` sets fork.
    pub exec_mode: Option<ExecMode>,
    /// The variable that tells the slot.
    pub instance_var: Option<String>,
    /// A variable that counts up by one per slot.
    pub increment_var: Option<String>,
    /// `PORT` in the environment.
    pub port: Option<u16>,
    /// With `--env NAME`, the app is called `name-NAME`.
    pub append_env_to_name: Option<bool>,
    /// Hold listening sockets across restarts.
    pub share_ports: Option<bool>,
    /// Sockets to bind and hand over; paths may be relative.
    pub listen: Option<Vec<Listen>>,
    /// Who gets a new connection.
    pub balance: Option<Balance>,
    /// What listens in front of instances with ports of their own; paths may be relative.
    pub proxy: Option<Proxy>,
    /// The file of standard output.
    pub out_file: Option<String>,
    /// The file of standard error.
    pub error_file: Option<String>,
    /// All instances into one file.
    pub merge_logs: Option<bool>,
    /// No log files.
    pub disable_logs: Option<bool>,
    /// One JSON object a line.
    pub log_json: Option<bool>,
    /// The time before each line, as day.js formats it.
    pub log_date_format: Option<String>,
    /// The same with PM2's default format.
    pub time: Option<bool>,
    /// The file of both streams; empty: the default one.
    pub log_file: Option<String>,
    /// How files are rotated; `Some(None)`: not.
    pub rotate: Option<Option<crate::Rotate>>,
    /// What is done when a file takes nothing.
    pub log_full: Option<crate::WhenFull>,
    /// Permission bits of log files.
    pub log_mode: Option<u32>,
    /// The group of log files.
    pub log_group: Option<String>,
    /// Collectors that get each line too.
    pub log_ship: Option<Vec<String>>,
    /// The file of its pid.
    pub pid_file: Option<String>,
    /// Command lines after its checkout was brought to another commit.
    pub post_update: Option<Vec<String>>,
    /// Restart after an exit.
    pub autorestart: Option<bool>,
    /// Run after `start`.
    pub autostart: Option<bool>,
    /// Exit codes that are no reason to restart.
    pub stop_exit_codes: Option<Vec<i32>>,
    /// Unstable exits until `errored`.
    pub max_restarts: Option<u32>,
    /// What counts as stable.
    pub min_uptime: Option<Duration>,
    /// Wait before each restart.
    pub restart_delay: Option<Duration>,
    /// First wait of an exponential back-off.
    pub exp_backoff_restart_delay: Option<Duration>,
    /// Bytes.
    pub max_memory_restart: Option<u64>,
    /// From `stop_signal` to SIGKILL.
    pub kill_timeout: Option<Duration>,
    /// From spawn to ready.
    pub listen_timeout: Option<Duration>,
    /// Ready means: it sent `ready`.
    pub wait_ready: Option<bool>,
    /// What ready means; wins over `wait_ready`.
    pub ready: Option<Ready>,
    /// When it counts as ill; `Some(None)`: never.
    pub health: Option<Option<Health>>,
    /// What an instance may use.
    pub limits: Option<Limits>,
    /// Which apps it waits for.
    pub depends_on: Option<crate::Dependencies>,
    /// Whom to tell when something goes wrong.
    pub on: Option<crate::Hooks>,
    /// How long an old worker may finish its connections.
    pub drain_timeout: Option<Duration>,
    /// A signal's number.
    pub stop_signal: Option<i32>,
    /// Replacements started at once, at least 1.
    pub max_surge: Option<u32>,
    /// Signal the whole tree.
    pub treekill: Option<bool>,
    /// Send the IPC string `shutdown` instead of a signal.
    pub shutdown_with_message: Option<bool>,
}

impl AppOptions {
    /// Sets `key` (or an alias of it) from the text of a command-line option, read as a file's
    /// string would be: numbers, durations, sizes, `true` and `false`, and lists split at blanks.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), InvalidValue> {
        self.set_data(key, Data::Text(text.to_owned()))
    }

    /// As [`Self::set`], from an option that was repeated: a file's list of strings.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_list(&mut self, key: &str, texts: &[String]) -> Result<(), InvalidValue> {
        let item = |text: &String| Node { line: None, data: Data::Text(text.clone()) };
        self.set_data(key, Data::List(texts.iter().map(item).collect()))
    }

    fn set_data(&mut self, key: &str, data: Data) -> Result<(), InvalidValue> {
        match keys::find(key) {
            Some(Key { read, .. }) => read(&Node { line: None, data }, self),
            None => Err(InvalidValue::text("the name of a key", key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_sets_keys_by_any_name() {
        let mut options = AppOptions::default();
        for (key, text) in [
            ("killTimeout", "5s"),
            ("instances", "max"),
            ("out", "a.log"),
            ("autorestart", "false"),
        ] {
            assert_eq!(options.set(key, text), Ok(()), "{key}");
        }
        let want = AppOptions {
            kill_timeout: Some(Duration::from_secs(5)),
            instances: Some(Instances::Max),
            out_file: Some("a.log".into()),
            autorestart: Some(false),
            ..AppOptions::default()
        };
        assert_eq!(options, want);
    }

    #[test]
    fn bad_texts_say_what_was_expected() {
        let mut options = AppOptions::default();
        let mut error = |key, text| options.set(key, text).map_err(|e| e.to_string());
        let memory = "must be a size with a unit such as \"300M\" or \"1.5GiB\", but is \"12Q\"";
        assert_eq!(error("max_memory_restart", "12Q"), Err(memory.into()));
        assert_eq!(error("nope", "1"), Err("must be the name of a key, but is \"nope\"".into()));
    }
}

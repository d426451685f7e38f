//! What `start` takes, and the options that describe an app.

use super::{After, MoreFlags};
use crate::completion::targets;
use clap::Args;

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Start {
    /// Script, program, "command line", file, `-`, or what is stopped.
    #[arg(add = targets())]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) file: FileOptions,
    /// Replace an app of the same name that runs.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Give stopped apps the environment of this shell.
    #[arg(short = 'a', long)]
    pub(crate) update_env: bool,
    /// Return when all is ready, or exit 1 after so many seconds.
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "60")]
    pub(crate) wait: Option<f64>,
    /// Write what describes it to NAME-pm2.json too.
    #[arg(short, long)]
    pub(crate) write: bool,
    #[command(flatten)]
    pub(crate) after: After,
    #[command(flatten)]
    pub(crate) app: AppFlags,
    /// Arguments of the app.
    #[arg(last = true)]
    pub(crate) app_args: Vec<String>,
}

/// What to take from an ecosystem file.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct FileOptions {
    /// Of a file, only these apps (a,b).
    #[arg(long, value_name = "NAMES")]
    pub(crate) only: Option<String>,
    /// Take the variables of env_NAME from the file.
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

/// The options that describe an app: PM2's names. Values are read by `rpm-config`.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "The app")]
pub(crate) struct AppFlags {
    /// Its name.
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// Its group.
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// How many; max, or -1 for one CPU less.
    #[arg(short, long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) instances: Option<String>,
    /// Fork mode, even with several instances.
    #[arg(short = 'x', long)]
    pub(crate) execute_command: bool,
    /// Who gets a connection: even, shared, random, ip_hash, round_robin, least_conn.
    #[arg(long, value_name = "HOW")]
    pub(crate) balance: Option<String>,
    /// The working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// What runs the script; none: it runs by itself.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) interpreter: Option<String>,
    /// Arguments before the script.
    #[arg(long, visible_alias = "node-args", value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) interpreter_args: Option<String>,
    /// The variable that tells an instance its slot.
    #[arg(long, value_name = "NAME")]
    pub(crate) instance_var: Option<String>,
    /// A variable that counts up by one per instance.
    #[arg(long, value_name = "NAME")]
    pub(crate) increment_var: Option<String>,
    /// The file of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// The file of standard error.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) error: Option<String>,
    /// All instances into the same files.
    #[arg(long)]
    pub(crate) merge_logs: bool,
    /// Keep no logs.
    #[arg(long)]
    pub(crate) disable_logs: bool,
    /// From the stop signal to SIGKILL.
    #[arg(short, long, value_name = "MS")]
    pub(crate) kill_timeout: Option<String>,
    /// From the start to being ready.
    #[arg(long, value_name = "MS")]
    pub(crate) listen_timeout: Option<String>,
    /// A socket to bind and hand over; may be given several times.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// How long an old worker may finish its connections.
    #[arg(long, value_name = "MS")]
    pub(crate) drain_timeout: Option<String>,
    /// The signal that asks it to stop.
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,
    /// Reload it when its processes use more.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory_restart: Option<String>,
    /// Wait before each restart.
    #[arg(long, value_name = "MS")]
    pub(crate) restart_delay: Option<String>,
    /// Wait before restarts, longer each time.
    #[arg(long, value_name = "MS")]
    pub(crate) exp_backoff_restart_delay: Option<String>,
    /// Unstable exits in a row until it is given up.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "16")]
    pub(crate) max_restarts: Option<String>,
    /// An exit before this is unstable.
    #[arg(long, value_name = "MS")]
    pub(crate) min_uptime: Option<String>,
    /// Exit codes after which it is not restarted.
    #[arg(long, value_name = "CODES", num_args = 1)]
    pub(crate) stop_exit_codes: Vec<String>,
    /// Ready means: it sent `ready` (process.send).
    #[arg(long)]
    pub(crate) wait_ready: bool,
    /// Do not restart it.
    #[arg(long)]
    pub(crate) no_autorestart: bool,
    /// Register it as stopped.
    #[arg(long)]
    pub(crate) no_autostart: bool,
    /// Signal only its first process.
    #[arg(long)]
    pub(crate) no_treekill: bool,
    #[command(flatten)]
    pub(crate) more: MoreFlags,
    /// Send the message `shutdown` in place of the signal.
    #[arg(long)]
    pub(crate) shutdown_with_message: bool,
}

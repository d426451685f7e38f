//! [`AppSpec`]: everything rpm knows about an app before it runs.
//!
//! Specs travel from the command line to the daemon, into its durable state and into `dump.pm2`, so
//! each field is plain data with serde. Defaults are PM2's unless `INTERFACE.md` says otherwise.

use crate::{
    Balance, Dependencies, Health, Hooks, Limits, Listen, Probe, Proxy, log_rules::LogRules,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// The name of an app: what a person types, unique in a fleet, part of file names.
///
/// 1 to 128 bytes without control characters; anything else is refused where it enters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

/// Why a text is no [`AppName`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(String);

impl AppName {
    /// The longest name, in bytes: with `-error-<id>.log.gz` it still fits NAME_MAX, 255.
    pub const MAX_BYTES: usize = 128;

    /// Checks `name`.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let fits = (1..=Self::MAX_BYTES).contains(&name.len());
        if fits && !name.chars().any(char::is_control) {
            Ok(Self(name))
        } else {
            Err(InvalidName(name))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as PM2 puts it into file names: all but `[a-zA-Z0-9.\-]` becomes `-`.
    pub fn file_stem(&self) -> String {
        let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        self.0.chars().map(|c| if keep(c) { c } else { '-' }).collect()
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AppName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.0
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        write!(
            f,
            "app name {name:?} must be 1 to {} bytes without control characters",
            AppName::MAX_BYTES
        )
    }
}

impl std::error::Error for InvalidName {}

/// One app, ready to be started `instances` times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// Unique in the fleet.
    pub name: AppName,
    /// The ecosystem file that describes it, absolute; `None`: a command line.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// A group that commands may target; `default` unless given.
    pub namespace: String,
    /// What is executed.
    pub launch: Launch,
    /// Absolute, as written: symlinks are resolved at each spawn: a flipped `current` counts.
    pub cwd: PathBuf,
    /// The environment the file or command line declares (`env` overlaid with `env_NAME`, `port`).
    pub env: BTreeMap<String, String>,
    /// The environment of the shell that ran `rpm start`; `env` wins over it.
    pub inherited_env: BTreeMap<String, String>,
    /// Files of variables, absolute, read at each spawn; a later one wins, and `env` over all.
    #[serde(default)]
    pub env_files: Vec<PathBuf>,
    /// What of `inherited_env` no instance gets.
    #[serde(default)]
    pub filter_env: FilterEnv,
    /// Whom it runs as; `None`: who runs rpm.
    #[serde(default)]
    pub user: Option<RunAs>,
    /// When all its instances are restarted: a pattern of five or six fields, in local time.
    #[serde(default)]
    pub cron_restart: Option<String>,
    /// Which files restart it when they change.
    #[serde(default)]
    pub watch: Option<Watch>,
    /// What would count if its files were watched, which they are not: `restart --watch` may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<Watch>,
    /// Each instance its own ports, or all on one.
    pub mode: ExecMode,
    /// How many instances run; at least 1, `max` already resolved.
    pub instances: u32,
    /// The variable that tells an instance its slot; `NODE_APP_INSTANCE` unless given.
    pub instance_var: String,
    /// A variable that counts up by one per slot from its value in `env` (PM2's `increment_var`).
    pub increment_var: Option<String>,
    /// Whether rpm holds this app's listening sockets across restarts and reloads.
    pub share_ports: bool,
    /// What rpm binds for it and hands over from descriptor 3 on, in this order.
    #[serde(default)]
    pub listen: Vec<Listen>,
    /// Who gets a new connection; absent in states of older versions.
    #[serde(default)]
    pub balance: Balance,
    /// What listens in front of its instances, each of which has a port of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Where output goes.
    pub logs: LogSpec,
    /// The file of its pid, absolute, before the id is added; `None`: in `RPM_HOME/pids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
    /// Command lines that run in its directory when its checkout is at another commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_update: Vec<String>,
    /// What happens after an exit nobody asked for.
    pub restart: RestartPolicy,
    /// What proves that an instance works.
    pub ready: Ready,
    /// When an instance that is online counts as ill, and is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How long a launching instance may take; `None`: 3 s, 30 s once the app is known to listen,
    /// or with a probe.
    #[serde(with = "optional_millis")]
    pub listen_timeout: Option<Duration>,
    /// What an instance may use.
    #[serde(default)]
    pub limits: Limits,
    /// Which apps it waits for before it is started.
    #[serde(default, skip_serializing_if = "Dependencies::is_empty")]
    pub depends_on: Dependencies,
    /// Whom to tell when something goes wrong with it.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub on: Hooks,
    /// How an instance is ended.
    pub stop: StopPolicy,
    /// How many replacements a reload starts at once; at least 1.
    pub max_surge: u32,
    /// `false`: registered as stopped by `start`, until started by name.
    pub autostart: bool,
}

impl AppSpec {
    /// Whether each instance is given a port of its own to listen on, which rpm does not hold.
    pub fn has_own_ports(&self) -> bool {
        let given = self.increment_var.is_some() || self.proxy.is_some();
        let held = self.share_ports || !self.listen.is_empty();
        self.mode == ExecMode::Fork && given && !held
    }
}

/// Which inherited variables an app does not get (PM2's `filter_env`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterEnv {
    /// It gets them all.
    #[default]
    Nothing,
    /// It gets PATH alone, without which little can be executed.
    All,
    /// Not the one of this name.
    Name(String),
    /// None whose name has one of these in it.
    Containing(Vec<String>),
}

/// The user an app runs as, each part as written: a name or a number. Looked up at each spawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// The user; absent: who runs rpm.
    pub user: Option<String>,
    /// The group; absent: the user's own.
    pub group: Option<String>,
}

/// Which files restart an app when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Files, directories with all below them, or patterns; absolute.
    pub paths: Vec<PathBuf>,
    /// Patterns of what does not count; relative ones start at the app's `cwd`. `None`: the
    /// defaults, which leave out `node_modules`, `.git` and logs.
    pub ignore: Option<Vec<String>>,
    /// From the first change to the restart: what changes meanwhile belongs to it.
    #[serde(with = "millis")]
    pub delay: Duration,
    /// Whether directories behind symlinks are looked into.
    pub follow_links: bool,
}

/// What is executed, before any look-up: interpreter and script are found anew at each spawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The file the user named, absolute; PM2's `pm_exec_path`.
    pub script: PathBuf,
    /// The program that runs it, a path or a word for the app's PATH; `None`: the script itself.
    pub interpreter: Option<String>,
    /// Arguments before the script (`node_args`).
    pub interpreter_args: Vec<String>,
    /// Arguments after the script.
    pub args: Vec<String>,
    /// What kind of program the interpreter is, as far as rpm treats it specially.
    pub runtime: Runtime,
}

/// Programs that rpm knows how to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// Node itself running a user's script: gets an IPC channel and, in cluster mode, a worker id.
    Node,
    /// Everything else, wrappers around Node (`npm start`) included.
    Other,
}

/// PM2's two modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecMode {
    /// Separate processes with separate ports.
    Fork,
    /// Instances share every port.
    Cluster,
}

/// Where an app's output goes. Paths are absolute and name one file per stream before instance
/// suffixes are added; `None` is `/dev/null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// Standard output.
    pub out: LogFile,
    /// Standard error.
    pub error: LogFile,
    /// All instances into the same files, without an `-<id>` suffix (PM2's `merge_logs`).
    pub merge: bool,
    /// What is done to lines and files; absent in states of older versions.
    #[serde(default)]
    pub rules: LogRules,
}

/// The file of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFile {
    /// `RPM_HOME/logs/NAME-out.log` or `NAME-error.log`.
    Default,
    /// This file; may contain `{instance}`.
    Path(PathBuf),
    /// Nothing is kept.
    Discard,
}

/// PM2's restart policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// `false`: an exit leaves the instance stopped.
    pub autorestart: bool,
    /// Exit codes after which the instance stays stopped.
    pub stop_exit_codes: Vec<i32>,
    /// So many early exits in a row make the instance `errored`; 16 as PM2, but
    /// [`RestartPolicy::UNLIMITED`] where each restart waits anyway.
    pub max_restarts: u32,
    /// An instance that lived shorter counts as unstable; 1 s as PM2.
    #[serde(with = "millis")]
    pub min_uptime: Duration,
    /// A fixed delay before each restart; zero restarts at once.
    #[serde(with = "millis")]
    pub restart_delay: Duration,
    /// The first delay of an exponential back-off; wins over `restart_delay`.
    #[serde(with = "optional_millis")]
    pub exp_backoff_restart_delay: Option<Duration>,
    /// Bytes of the whole process tree above which an instance is reloaded.
    pub max_memory_restart: Option<u64>,
}

impl RestartPolicy {
    /// As many restarts as it takes.
    pub const UNLIMITED: u32 = u32::MAX;
    /// PM2's `min_uptime`.
    pub const MIN_UPTIME: Duration = Duration::from_secs(1);
    /// What crashes sooner, again and again, is in a loop: systemd's StartLimitIntervalSec
    /// (systemd.unit(5)).
    const STABLE: Duration = Duration::from_secs(10);

    /// A worker that lived so long and then crashed was stable: as long as was asked for, or ten
    /// seconds if nothing was.
    pub fn stable_after(&self) -> Duration {
        if self.min_uptime == Self::MIN_UPTIME { Self::STABLE } else { self.min_uptime }
    }
}

/// What proves that an instance works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// It listens, where rpm can see that; otherwise it stayed alive for `min_uptime`.
    Listening,
    /// It sent `ready` over IPC (PM2's `wait_ready`).
    Message,
    /// It sent `READY=1` to the socket in `NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
    /// This was answered well.
    Probe(Probe),
}

/// How an instance is ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPolicy {
    /// The first signal, as a number of the running kernel; SIGINT as PM2.
    pub signal: i32,
    /// From the signal to SIGKILL; 1.6 s as PM2.
    #[serde(with = "millis")]
    pub kill_timeout: Duration,
    /// How long an old worker may finish its connections during reload and scale-down; 30 s.
    #[serde(with = "millis")]
    pub drain_timeout: Duration,
    /// `false`: only the leader is signalled, its children are left alone (PM2's `treekill`).
    pub tree: bool,
    /// Send the IPC string `shutdown` instead of the signal, where there is a channel.
    pub with_message: bool,
}

/// Durations as whole milliseconds on the wire: what PM2's JSON has.
pub(crate) mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// As [`millis`], `null` for `None`.
mod optional_millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

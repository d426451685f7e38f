//! What a client may see: results of requests, as plain data.

use crate::Way;
use rpm_config::{AppName, AppSpec};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The answer to `hello` and `ping`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The daemon's protocol version.
    pub version: u32,
    /// The daemon's program version.
    pub program: String,
    /// The daemon's pid.
    pub pid: i32,
    /// What everybody who asks should know: that the daemon is in safe mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The answer to `start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The app.
    pub app: AppName,
    /// It existed and was restarted with its new description.
    pub restarted: bool,
    /// Its instances.
    pub instances: Vec<u32>,
    /// The first instance that failed, if one did; the restart policy goes on regardless.
    pub failure: Option<FailureView>,
    /// What a person should know, though it runs: limits that are not enforced.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The answer to `act`, `scale` and `resurrect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// The instances it touched, by id, with their names.
    pub instances: Vec<(u32, AppName)>,
    /// The first instance that failed, if one did.
    pub failure: Option<FailureView>,
}

/// Why an instance failed, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// Its app.
    pub app: AppName,
    /// Its id.
    pub instance: u32,
    /// What happened: `exited with code 1 before it was ready`.
    pub reason: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
    /// The last lines of its standard error, oldest first, at most 50 and 12 KiB.
    pub stderr: Vec<String>,
}

/// One instance, as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// PM2's `pm_id`.
    pub id: u32,
    /// Its app.
    pub name: AppName,
    /// Its app's namespace.
    pub namespace: String,
    /// The version in the `package.json` nearest to its script when its worker was started.
    #[serde(default)]
    pub version: Option<String>,
    /// 0..N-1 within its app.
    pub slot: u32,
    /// `fork` or `cluster`.
    pub mode: String,
    /// PM2's status words.
    pub status: String,
    /// The current worker's leader, if there is one.
    pub pid: Option<i32>,
    /// When the current worker was started, milliseconds since the epoch.
    pub started_at: Option<u64>,
    /// When the instance was created or last restarted by hand, milliseconds since the epoch.
    pub created_at: u64,
    /// PM2's `restart_time`.
    pub restarts: u32,
    /// PM2's `unstable_restarts`.
    pub unstable_restarts: u32,
    /// Percent of one core, of the whole tree, over the last second or so.
    pub cpu: f32,
    /// Resident bytes of the whole tree.
    pub memory: u64,
    /// The user it runs as.
    pub user: String,
    /// Whether changed files restart it.
    #[serde(default)]
    pub watching: bool,
    /// How many connections wait in its slot's queues; `None` where rpm holds no sockets of it.
    #[serde(default)]
    pub queue: Option<u32>,
    /// A log file of it takes nothing now.
    #[serde(default)]
    pub log_trouble: bool,
    /// How the last worker ended.
    pub last_exit: Option<ExitView>,
    /// Former workers that are still finishing.
    pub leaving: Vec<LeavingView>,
    /// Why a reload is due: what runs is not what its description, or this rpm, would start now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_roll: Option<String>,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitView {
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal's name, if one ended it.
    pub signal: Option<String>,
    /// Milliseconds since the epoch.
    pub at: u64,
    /// The last lines of its standard error, oldest first, at most 50; only in details.
    pub stderr: Vec<String>,
    /// How many of its processes the kernel had killed because it was at its `limits.memory`
    /// (`oom_kill` of its control group).
    #[serde(default)]
    pub oom_kills: u64,
}

/// Limits that a worker was to have and does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnenforcedView {
    /// `memory`, `cpu`, `pids`.
    pub limits: Vec<String>,
    /// Why, and what would help.
    pub why: String,
}

/// A worker that was replaced and has not gone yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingView {
    /// Its leader.
    pub pid: i32,
    /// `draining`, `stopping` or `killed`.
    pub phase: String,
    /// Until the next, harder step, in milliseconds.
    pub left_ms: u64,
    /// How many connections it still has, of those it accepted; only while it drains.
    #[serde(default)]
    pub connections: Option<u32>,
}

/// One instance, with all rpm knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceDetail {
    /// What a list shows.
    pub view: InstanceView,
    /// Its app's description.
    pub spec: AppSpec,
    /// The environment of its worker.
    pub environment: BTreeMap<String, String>,
    /// Where its standard output goes; `None`: nowhere.
    pub out_log: Option<PathBuf>,
    /// Where its standard error goes.
    pub error_log: Option<PathBuf>,
    /// Where both go as well.
    #[serde(default)]
    pub log: Option<PathBuf>,
    /// Its pid file.
    pub pid_file: PathBuf,
    /// Addresses it was seen listening on.
    pub listening: Vec<String>,
    /// How its app's connections are shared, with the reason if that is not as asked for:
    /// `round_robin`, `even (round_robin needs CAP_BPF and CAP_NET_ADMIN)`.
    #[serde(default)]
    pub balance: Option<String>,
    /// What listens in front of it, for an app with `proxy` that runs.
    #[serde(default)]
    pub front: Option<FrontView>,
    /// `serving`, `unserved`, `blocked` or `retiring`: only a serving slot gets new connections.
    #[serde(default)]
    pub queue_state: Option<String>,
    /// How its last workers ended, newest first, at most 5.
    pub exits: Vec<ExitView>,
    /// The last delay of an exponential back-off, in milliseconds.
    pub previous_delay_ms: u64,
    /// Bytes of its logs that could not be written.
    pub dropped_log_bytes: u64,
    /// Lines that a collector of `log_ship` did not get.
    #[serde(default)]
    pub unshipped_log_lines: u64,
    /// What it offers over its channel.
    #[serde(default)]
    pub offers: Offers,
    /// Which of its limits are not enforced.
    #[serde(default)]
    pub unenforced: Option<UnenforcedView>,
    /// The directory of its control group in version 2.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
}

/// What an app said of itself over its channel, as PM2's `axm:` messages have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Offers {
    /// What it can be made to do: `{action_name, action_type, opts, arity}`.
    pub actions: Vec<serde_json::Value>,
    /// Its own figures by name: `{value, unit, type, historic}`.
    pub monitor: BTreeMap<String, serde_json::Value>,
    /// Its settings for a monitor.
    pub options: serde_json::Map<String, serde_json::Value>,
}

/// What became of something that was said to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its id.
    pub id: u32,
    /// Its app.
    pub name: AppName,
    /// How it was said.
    pub way: Way,
    /// Why it was not.
    pub failure: Option<String>,
}

/// An app's reply to a triggered action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Triggered {
    /// Its id.
    pub id: u32,
    /// Its app.
    pub name: AppName,
    /// Its app's namespace.
    pub namespace: String,
    /// What it replied; `None`: nothing in time, or it ended.
    pub reply: Option<serde_json::Value>,
}

/// A front, and what it knows of one instance. Figures are those of the last look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontView {
    /// Its process; `None` while there is none.
    pub pid: Option<i32>,
    /// Where clients connect.
    pub listening: Vec<String>,
    /// Which instance takes a connection.
    pub balance: String,
    /// `v1` or `v2`, if instances are told who the client is.
    pub proxy_protocol: Option<String>,
    /// Clients it has.
    pub connections: usize,
    /// Those among them that wait for an instance.
    pub waiting: usize,
    /// `up`, `down` or `draining`; `None`: this instance gets no connections.
    pub instance_state: Option<String>,
    /// How many connections this instance has through it.
    pub instance_connections: u32,
}

/// Where an instance logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSource {
    /// Its id.
    pub id: u32,
    /// Its app.
    pub name: AppName,
    /// Standard output's file.
    pub out: Option<PathBuf>,
    /// Standard error's file.
    pub error: Option<PathBuf>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Counts up; give it back as `since` to continue.
    pub cursor: u64,
    /// Milliseconds since the epoch.
    pub at: u64,
    /// The app.
    pub app: AppName,
    /// The instance's id.
    pub instance: u32,
    /// `online`, `exited`, `draining` … with its data, as the supervisor's `NoticeKind` serialises.
    pub event: serde_json::Value,
}

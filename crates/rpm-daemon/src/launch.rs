//! From an app's spec to one worker's [`SpawnSpec`]: arguments, environment, and what rpm adds.
//!
//! Look-ups of files happen in the keeper at the spawn itself, so that a flipped symlink, a new
//! Node or a new PATH counts from the next start on.

use crate::activation;
use rpm_cluster::preload;
use rpm_config::{AppSpec, ExecMode, Ready, Runtime};
use rpm_keeper::{Limits, Owner, SpawnSpec};
use rpm_supervisor::{InstanceId, WorkerId};
use rpm_unix::{
    cgroup, fnv,
    spawn::{Credentials, Program},
    user::Account,
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Variables that speak about somebody else's process and must not reach an app.
const NOT_INHERITED: [&str; 9] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
    "NOTIFY_SOCKET",
    "RPM_CONTROL",
    "RPM_INSTANCE",
];

/// What all workers of a home have in common.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// `RPM_HOME`.
    pub(crate) home: PathBuf,
    /// Stands for the home in marks on processes.
    pub(crate) hash: String,
    /// The preload file for Node.
    pub(crate) preload: PathBuf,
    /// The control socket for Node behind a wrapper.
    pub(crate) control: PathBuf,
    /// The socket of sd_notify(3).
    pub(crate) notify: PathBuf,
}

/// Which worker of which instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    /// PM2's `pm_id`.
    pub(crate) instance: InstanceId,
    /// Its slot.
    pub(crate) slot: u32,
    /// The worker.
    pub(crate) worker: WorkerId,
}

/// The value of `RPM_INSTANCE`: what marks every process of a worker's tree.
pub(crate) fn token(places: &Places, worker: WorkerId) -> String {
    format!("RPM_INSTANCE={}:{worker}", places.hash)
}

/// Everything the keeper needs to execute this worker. Fails on a NUL byte in a text, and on what
/// has to be looked up anew at each spawn: files of variables, a user.
pub(crate) fn spawn_spec(spec: &AppSpec, places: &Places, seat: Seat) -> Result<SpawnSpec, String> {
    let (spec, credentials) = &looked_up(spec)?;
    let arguments = arguments(spec, seat.slot)?;
    let file = arguments.first().cloned().ok_or("there is nothing to execute")?;
    let environment = environment(spec, places, seat);
    let pairs =
        environment.iter().map(|(key, value)| c_string(format!("{key}={value}").as_bytes()));
    Ok(SpawnSpec {
        program: Program {
            file,
            arguments,
            environment: pairs.collect::<Result<_, _>>()?,
            directory: spec.cwd.clone(),
            credentials: credentials.clone(),
        },
        channel: spec.launch.runtime == Runtime::Node,
        share: shares_ports(spec).then(|| owner(spec, seat.slot)),
        activation: activation::of(spec, seat.slot),
        balance: crate::sharing::balance(spec),
        // As under PM2, where a worker of a cluster has no standard input.
        input: spec.mode == ExecMode::Fork,
        limits: Limits {
            open_files: spec.limits.nofile,
            nice: spec.limits.nice,
            group: Some(group_limits(spec)),
        },
    })
}

/// What its control group is to limit.
pub(crate) fn group_limits(spec: &AppSpec) -> cgroup::Limits {
    let rpm_config::Limits { memory, cpu, pids, .. } = spec.limits;
    cgroup::Limits { memory, cpu, pids }
}

/// The environment and user of a command that looks after this worker, as its probe does: the
/// worker's own, without what speaks of the worker's own process.
pub(crate) fn helper(
    spec: &AppSpec,
    places: &Places,
    seat: Seat,
) -> Result<(BTreeMap<String, String>, Option<Credentials>), String> {
    let (spec, credentials) = looked_up(spec)?;
    let mut environment = environment(&spec, places, seat);
    for name in NOT_INHERITED.iter().filter(|name| **name != "RPM_INSTANCE") {
        environment.remove(*name);
    }
    Ok((environment, credentials))
}

/// The spec with the variables of its files below its own, and its user's where it has one.
fn looked_up(spec: &AppSpec) -> Result<(AppSpec, Option<Credentials>), String> {
    let mut spec = spec.clone();
    let files = rpm_config::read_env_files(&spec.env_files)?;
    spec.env = files.into_iter().chain(spec.env).collect();
    let Some(run_as) = &spec.user else { return Ok((spec, None)) };
    let account = rpm_unix::user::account(run_as.user.as_deref(), run_as.group.as_deref())
        .map_err(|error| error.to_string())?;
    let Account { credentials, name, home, shell } = account;
    if run_as.user.is_some() {
        let own = [("HOME", home), ("USER", name.clone()), ("LOGNAME", name), ("SHELL", shell)];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        spec.inherited_env.extend(own);
    }
    Ok((spec, Some(credentials)))
}

/// Whether rpm holds this app's ports.
pub(crate) fn shares_ports(spec: &AppSpec) -> bool {
    spec.share_ports || spec.mode == ExecMode::Cluster
}

/// In whose name the keeper holds a slot's sockets.
pub(crate) fn owner(spec: &AppSpec, slot: u32) -> Owner {
    Owner { app: spec.name.to_string(), slot }
}

/// The command line of a worker, the program first.
pub(crate) fn arguments(spec: &AppSpec, slot: u32) -> Result<Vec<CString>, String> {
    let launch = &spec.launch;
    let before_script = rpm_config::instance_interpreter_args(spec, slot);
    let interpreter = launch.interpreter.iter().chain(before_script.iter());
    let mut all: Vec<CString> =
        interpreter.map(|text| c_string(text.as_bytes())).collect::<Result<_, _>>()?;
    all.push(c_string(launch.script.as_os_str().as_bytes())?);
    for argument in rpm_config::instance_args(spec, slot) {
        all.push(c_string(argument.as_bytes())?);
    }
    Ok(all)
}

fn c_string(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| format!("{:?} has a NUL byte", String::from_utf8_lossy(bytes)))
}

/// The whole environment of a worker.
pub(crate) fn environment(spec: &AppSpec, places: &Places, seat: Seat) -> BTreeMap<String, String> {
    let mut all = rpm_config::instance_environment(spec, seat.slot);
    for name in NOT_INHERITED {
        all.remove(name);
    }
    let (key, value) = split(&token(places, seat.worker));
    all.insert(key, value);
    all.extend(about_itself(spec, places, seat));
    all.extend(activation::variables(spec));
    if spec.launch.runtime == Runtime::Node && spec.mode == ExecMode::Cluster {
        // node:cluster numbers workers from 1, and the app sees it as `cluster.worker.id`.
        all.insert("NODE_UNIQUE_ID".to_owned(), (seat.worker.0 + 1).to_string());
    }
    if wants_preload(spec) {
        add_preload(&mut all, &places.preload);
        all.insert(preload::CONTROL_VARIABLE.to_owned(), places.control.display().to_string());
    }
    if spec.ready == Ready::Notify {
        all.insert("NOTIFY_SOCKET".to_owned(), places.notify.display().to_string());
    }
    if spec.launch.runtime == Runtime::Node {
        let by_channel = preload::DRAIN_BY_CHANNEL.to_owned();
        all.insert(preload::DRAIN_VARIABLE.to_owned(), by_channel);
    }
    all
}

fn split(pair: &str) -> (String, String) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    (key.to_owned(), value.to_owned())
}

/// What PM2 tells an app about itself, as far as programs rely on it.
fn about_itself(spec: &AppSpec, places: &Places, seat: Seat) -> [(String, String); 7] {
    let mode = match spec.mode {
        ExecMode::Fork => "fork_mode",
        ExecMode::Cluster => "cluster_mode",
    };
    let own = |key: &str, value: String| (key.to_owned(), value);
    [
        own("name", spec.name.to_string()),
        own("namespace", spec.namespace.clone()),
        own("pm_id", seat.instance.to_string()),
        own("unique_id", unique_id(&places.hash, spec, seat)),
        own("exec_mode", mode.to_owned()),
        own("pm_exec_path", spec.launch.script.display().to_string()),
        own("RPM_HOME", places.home.display().to_string()),
    ]
}

/// An id in the form of a UUID of version 4 that an instance keeps as long as it is there: FNV-1a,
/// twice 64 bits, of what it is. PM2's is random.
fn unique_id(home: &str, spec: &AppSpec, seat: Seat) -> String {
    let text = format!("{home} {} {}", spec.name, seat.instance);
    let hash = |basis| fnv::add(basis, text.as_bytes());
    let (high, low) = (hash(fnv::BASIS), hash(fnv::BASIS.rotate_left(32)));
    let (high, low) = (format!("{high:016x}"), format!("{low:016x}"));
    let part =
        |text: &str, range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    let first = format!("{}-{}-4{}", part(&high, 0..8), part(&high, 8..12), part(&high, 12..15));
    format!("{first}-a{}-{}", part(&low, 0..3), part(&low, 4..16))
}

/// Node itself, and anything that may start Node while its ports are shared; not a Node under its
/// permission model, which refuses a file it was not told about (traps A10).
pub(crate) fn wants_preload(spec: &AppSpec) -> bool {
    let restricted = |argument: &String| {
        ["--permission", "--experimental-permission"].contains(&argument.as_str())
    };
    let node = spec.launch.runtime == Runtime::Node;
    (node || shares_ports(spec)) && !spec.launch.interpreter_args.iter().any(restricted)
}

/// Appends to the app's own NODE_OPTIONS; a path with blanks or quotes is quoted as Node parses it.
fn add_preload(environment: &mut BTreeMap<String, String>, preload: &Path) {
    let path = preload.display().to_string().replace('\\', r"\\").replace('"', r#"\""#);
    let options = environment.entry("NODE_OPTIONS".to_owned()).or_default();
    let gap = if options.is_empty() { "" } else { " " };
    *options = format!("{options}{gap}--require \"{path}\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, places};

    const SEAT: Seat = Seat { instance: InstanceId(7), slot: 1, worker: WorkerId(41) };

    fn arguments_of(spec: &AppSpec) -> Vec<String> {
        let spec = spawn_spec(spec, &places(), SEAT).unwrap();
        spec.program.arguments.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn interpreter_then_its_arguments_then_the_script_then_its_own() {
        let all = ["node", "--no-warnings", "/srv/app.js", "--id", "1"];
        assert_eq!(arguments_of(&fixture::spec("api")), all);
    }

    #[test]
    fn a_cluster_worker_of_node_is_told_all_it_needs() {
        let env = environment(&fixture::spec("api"), &places(), SEAT);
        let expected = [
            ("COLOR", "red"),
            ("NODE_APP_INSTANCE", "1"),
            ("NODE_OPTIONS", "--require \"/run/my rpm/preload.cjs\""),
            ("NODE_UNIQUE_ID", "42"),
            ("PATH", "/bin"),
            ("RPM_CONTROL", "/run/my rpm/control.sock"),
            ("RPM_DRAIN", "ipc"),
            ("RPM_HOME", "/h"),
            ("RPM_INSTANCE", "0f:41"),
            ("exec_mode", "cluster_mode"),
            ("name", "api"),
            ("namespace", "default"),
            ("pm_exec_path", "/srv/app.js"),
            ("pm_id", "7"),
            ("unique_id", "1b02ad3e-32cb-4e55-acc0-9b4b40d92807"),
        ];
        let found: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_belongs_to_another_process_is_not_inherited() {
        let mut spec = fixture::spec("api");
        spec.mode = ExecMode::Fork;
        spec.share_ports = false;
        spec.launch.runtime = Runtime::Other;
        for name in NOT_INHERITED {
            spec.inherited_env.insert(name.to_owned(), "old".to_owned());
        }
        let env = environment(&spec, &places(), SEAT);
        assert!(env.values().all(|value| value != "old"));
        assert!(!env.contains_key("NODE_OPTIONS"));
        assert!(spawn_spec(&spec, &places(), SEAT).unwrap().share.is_none());
    }

    #[test]
    fn the_preload_is_added_to_the_apps_own_options_but_not_under_permissions() {
        let mut spec = fixture::spec("api");
        spec.env.insert("NODE_OPTIONS".to_owned(), "--max-old-space-size=64".to_owned());
        let options = environment(&spec, &places(), SEAT)["NODE_OPTIONS"].clone();
        let expected = "--max-old-space-size=64 --require \"/run/my rpm/preload.cjs\"";
        assert_eq!(options, expected);
        spec.launch.interpreter_args.push("--permission".to_owned());
        let options = environment(&spec, &places(), SEAT)["NODE_OPTIONS"].clone();
        assert_eq!(options, "--max-old-space-size=64");
    }

    #[test]
    fn a_nul_byte_is_refused_and_named() {
        let mut spec = fixture::spec("api");
        spec.launch.args = vec!["a\0b".to_owned()];
        assert_eq!(spawn_spec(&spec, &places(), SEAT).unwrap_err(), "\"a\\0b\" has a NUL byte");
    }
}

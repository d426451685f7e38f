//! PM2's description of a process, as its client prepares it, its daemon lists it and its dump keeps
//! it, as an [`AppSpec`]: by the road of any ecosystem file, once what is only PM2's own is left out.
//!
//! How many instances an app has is for the caller to say where PM2 has one entry for each.

use rpm_config::{AppSpec, ConfigError, Context, Ecosystem, Format, Warning, cpus};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// What PM2 knows of a process beside its description, and what has no meaning here.
const STATE: [&str; 39] = [
    "automation",
    "axm_actions",
    "axm_dynamic",
    "axm_monitor",
    "axm_options",
    "command",
    "created_at",
    "current_conf",
    "env",
    "exit_code",
    "kill_retry_time",
    "km_link",
    "node_version",
    "pid_file",
    "pm2_home",
    "pm_cwd",
    "pm_err_log_path",
    "pm_exec_path",
    "pm_id",
    "pm_log_path",
    "pm_out_log_path",
    "pm_pid_path",
    "pm_uptime",
    "pmx",
    "pmx_module",
    "rpm",
    "prev_restart_delay",
    "restart_time",
    "status",
    "unique_id",
    "unstable_restarts",
    "username",
    "version",
    "versioning",
    "vizion",
    "vizion_running",
    "windowsHide",
    "_km_monitored",
    "_pm2_version",
];

/// Variables that PM2 adds, or that name one process of it.
const OF_PM2: [&str; 9] = [
    "PM2_HOME",
    "PM2_INTERACTOR_PROCESSING",
    "PM2_JSON_PROCESSING",
    "PM2_PROGRAMMATIC",
    "PM2_USAGE",
    "current_conf",
    "km_link",
    "unique_id",
    "updateEnv",
];

/// Variables of a login, which nobody declares: another login's values are as good.
const OF_A_LOGIN: [&str; 12] = [
    "COLORTERM",
    "LS_COLORS",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "TERM",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_ID",
    "_",
];

/// Where a description comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// PM2's directory of log files: files in it go to rpm's.
    pub logs: &'a Path,
    /// Whether PM2 has put the process's id behind the names of log files already.
    pub numbered: bool,
    /// What the app inherits; what PM2 has beside it or otherwise was declared.
    pub environment: &'a Variables,
}

/// A description that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// It.
    pub spec: AppSpec,
    /// What of it counts for nothing here, for a person.
    pub notes: Vec<String>,
}

/// Takes PM2's description of a process (`pm2_env`).
///
/// # Errors
/// What rpm cannot run of it, for a person.
pub fn describe(pm2: &Map<String, Value>, origin: Origin<'_>) -> Result<Described, String> {
    let text = |key: &str| pm2.get(key).and_then(Value::as_str);
    let script = text("pm_exec_path").ok_or("it has no pm_exec_path")?;
    let variables = variables(pm2.get("env"));
    let mut app = options(pm2);
    app.insert("script".into(), json!(if is_static_site(script) { "serve" } else { script }));
    let cwd = text("pm_cwd").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    app.insert("cwd".into(), json!(cwd));
    app.extend(log_files(pm2, origin));
    let (declared, inherited) = split(variables, origin.environment);
    app.insert("env".into(), json!(declared));
    resolve(app, &context(cwd, inherited))
}

/// The options of a description: all but state, what PM2 copies there from the environment, and
/// paths, which the caller knows better.
pub(crate) fn options(pm2: &Map<String, Value>) -> Map<String, Value> {
    let variables = pm2.get("env").and_then(Value::as_object);
    let slot = pm2.get("instance_var").and_then(Value::as_str).unwrap_or("NODE_APP_INSTANCE");
    let is_copy = |key: &str, value: &Value| {
        let original = variables.and_then(|variables| variables.get(key));
        original.is_some_and(|original| original == value || !is_option(key))
    };
    let says_something = |key: &str, value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => key == "args" || !list.is_empty(),
        Value::Bool(false) if key == "filter_env" => false,
        Value::String(text) => text != "null",
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    };
    let keeps = |key: &str, value: &Value| {
        let own = STATE.contains(&key) || key == slot || key == "_tree_pids";
        let other = key.starts_with("env_") && value.is_object();
        !own && !other && !is_copy(key, value) && says_something(key, value)
    };
    let kept = pm2.iter().filter(|(key, value)| keeps(key, value));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether a variable of this name must be taken for an option when both are there: PM2's options
/// are small words, variables are written in capitals.
fn is_option(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && key.len() > 1
}

fn is_static_site(script: &str) -> bool {
    script.ends_with("/pm2/lib/API/Serve.js")
}

/// A description with all its paths, through the road of a file.
fn resolve(app: Map<String, Value>, context: &Context) -> Result<Described, String> {
    let file = parse(app)?;
    let resolved = file.resolve(context).map_err(reason)?;
    let notes = resolved.warnings.iter().map(Warning::to_string).collect();
    let spec = resolved.specs.into_iter().next().ok_or("it describes no app")?;
    Ok(Described { spec, notes })
}

/// Options as an ecosystem of one app.
pub(crate) fn parse(app: Map<String, Value>) -> Result<Ecosystem, String> {
    let text = Value::Object(app).to_string();
    Ecosystem::parse(&text, Format::Json, Path::new("-")).map_err(reason)
}

/// What is wrong, without the place in a text that nobody wrote.
fn reason(error: ConfigError) -> String {
    match error {
        ConfigError::Problems(problems) => {
            let faults = problems.iter().map(|problem| problem.fault.to_string());
            faults.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// What a description needs to know besides itself.
pub(crate) fn context(cwd: PathBuf, environment: Variables) -> Context {
    let home = environment.get("HOME").map(PathBuf::from);
    Context {
        cwd,
        home,
        environment,
        env_name: None,
        cpus: cpus::usable().count,
        // Only `serve` needs it; where it cannot be told, PATH has it.
        executable: env::current_exe().unwrap_or_else(|_| PathBuf::from("rpm")),
    }
}

/// PM2's variables as texts, without its own.
pub(crate) fn variables(env: Option<&Value>) -> Variables {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        // PM2 puts an empty object of the app's name there.
        Value::Object(object) if object.is_empty() => None,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    };
    let all = env.and_then(Value::as_object).into_iter().flatten();
    let own = all.filter(|(name, _)| !OF_PM2.contains(&name.as_str()));
    own.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// What was declared, and what is inherited.
fn split(variables: Variables, environment: &Variables) -> (Variables, Variables) {
    let is_inherited = |name: &String, value: &String| {
        environment.get(name) == Some(value) || OF_A_LOGIN.contains(&name.as_str())
    };
    variables.into_iter().partition(|(name, value)| !is_inherited(name, value))
}

/// The keys of log files. PM2's defaults become rpm's.
fn log_files(pm2: &Map<String, Value>, origin: Origin<'_>) -> Map<String, Value> {
    let merged = pm2.get("merge_logs").and_then(Value::as_bool).unwrap_or(false);
    let keys = [
        ("pm_out_log_path", "out_file"),
        ("pm_err_log_path", "error_file"),
        ("pm_log_path", "log_file"),
    ];
    let file = |(from, to): (&str, &str)| {
        let path = pm2.get(from)?.as_str()?;
        if Path::new(path).starts_with(origin.logs) {
            return (to == "log_file").then(|| (to.to_owned(), json!(true)));
        }
        let path = if origin.numbered && !merged { unnumbered(path) } else { path.to_owned() };
        Some((to.to_owned(), json!(path)))
    };
    keys.into_iter().filter_map(file).collect()
}

/// `x-3.log` as the user wrote it, `x.log`.
fn unnumbered(path: &str) -> String {
    let base = path.strip_suffix(".log").and_then(|stem| stem.rsplit_once('-'));
    match base.filter(|(_, id)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((base, _)) => format!("{base}.log"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::{ExecMode, LogFile};

    fn origin(environment: &Variables) -> Origin<'_> {
        Origin { logs: Path::new("/root/.pm2/logs"), numbered: true, environment }
    }

    /// An entry of a dump of PM2 7.0.4, its variables copied as PM2 copies them.
    fn entry(directory: &Path) -> Map<String, Value> {
        let script = directory.join("app.js");
        std::fs::write(&script, "").unwrap();
        let text = r#"{
            "name": "api", "namespace": "back", "exec_interpreter": "sh",
            "exec_mode": "fork_mode", "node_args": [], "args": ["--fast", "a b"], "env": {
                "PATH": "/bin:/usr/bin", "HOME": "/root", "SHLVL": "3", "TOKEN": "x", "RETRIES": 3,
                "api": {}, "unique_id": "u", "PM2_HOME": "/root/.pm2", "PM2_USAGE": "CLI"
            },
            "pm_out_log_path": "/root/.pm2/logs/api-out-0.log",
            "pm_err_log_path": "/var/log/api-0.log", "pm_pid_path": "/root/.pm2/pids/api-0.pid",
            "max_memory_restart": 104857600, "kill_timeout": 5000, "watch": false,
            "instance_var": "NODE_APP_INSTANCE", "NODE_APP_INSTANCE": 0, "autorestart": true,
            "status": "online", "pm_uptime": 1, "created_at": 1, "restart_time": 4,
            "axm_actions": [], "axm_monitor": {}, "axm_options": {}, "axm_dynamic": {},
            "vizion": true, "treekill": true, "windowsHide": true, "username": "root",
            "filter_env": [], "node_version": "20.20.2", "version": "1.0.0", "km_link": false,
            "versioning": null, "vizion_running": false, "pmx": true, "automation": true,
            "kill_retry_time": 100, "unstable_restarts": 0, "exit_code": 0, "command": {},
            "prev_restart_delay": 0, "env_production": { "A": "b" }, "flavour": "sweet"
        }"#;
        let mut entry: Map<String, Value> = serde_json::from_str(text).unwrap();
        entry.extend(entry["env"].as_object().unwrap().clone());
        entry.insert("pm_exec_path".into(), json!(script));
        entry.insert("pm_cwd".into(), json!(directory));
        entry
    }

    #[test]
    fn an_entry_of_a_dump() {
        let directory = tempfile::tempdir().unwrap();
        let environment = Variables::from([("PATH".into(), "/bin:/usr/bin".into())]);
        let pm2 = entry(directory.path());
        let Described { spec, notes } = describe(&pm2, origin(&environment)).unwrap();
        let launch = (&spec.launch.script, &spec.launch.args, spec.mode);
        let args = vec!["--fast".to_owned(), "a b".to_owned()];
        assert_eq!(launch, (&directory.path().join("app.js"), &args, ExecMode::Fork));
        let names: Vec<&str> = spec.env.keys().map(String::as_str).collect();
        assert_eq!(names, ["HOME", "RETRIES", "TOKEN"]);
        assert_eq!(spec.env["RETRIES"], "3");
        let names: Vec<&str> = spec.inherited_env.keys().map(String::as_str).collect();
        assert_eq!(names, ["PATH", "SHLVL"]);
        assert_eq!(spec.logs.out, LogFile::Default);
        assert_eq!(spec.logs.error, LogFile::Path("/var/log/api.log".into()));
        assert_eq!(spec.restart.max_memory_restart, Some(104_857_600));
        assert_eq!(spec.stop.kill_timeout.as_millis(), 5000);
        assert_eq!((spec.namespace.as_str(), spec.instances), ("back", 1));
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("flavour"), "{notes:?}");
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let environment = Variables::new();
        let nothing = describe(&Map::new(), origin(&environment));
        assert_eq!(nothing, Err("it has no pm_exec_path".into()));
        let directory = tempfile::tempdir().unwrap();
        let mut pm2 = entry(directory.path());
        pm2.insert("pm_exec_path".into(), json!("/nowhere/app.js"));
        let error = describe(&pm2, origin(&environment)).unwrap_err();
        assert!(error.contains("/nowhere/app.js"), "{error}");
    }

    #[test]
    fn ids_behind_names_of_files() {
        for (path, want) in [
            ("/l/x-3.log", "/l/x.log"),
            ("/l/x-out-12.log", "/l/x-out.log"),
            ("/l/x-a3.log", "/l/x-a3.log"),
            ("/l/x-.log", "/l/x-.log"),
            ("/l/x-3.txt", "/l/x-3.txt"),
        ] {
            assert_eq!(unnumbered(path), want);
        }
    }
}

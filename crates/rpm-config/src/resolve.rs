//! Options to an [`AppSpec`]: defaults, look-ups, and the checks that need the machine.

use crate::{
    AppName, AppOptions, AppSpec, Balance, ConfigError, Context, Fault, Warning, env_file,
    environment::{self, increment_base},
    launch::{self, Found},
    listen, log_options, probe, proxy,
    search::{self, Search},
    signal,
    spec::{ExecMode, Ready, RestartPolicy, RunAs, Runtime, StopPolicy},
    watch,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// An app ready to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The app.
    pub spec: AppSpec,
    /// To be printed before the start.
    pub warnings: Vec<Warning>,
}

/// The variable that tells an instance its slot, as under PM2.
const INSTANCE_VAR: &str = "NODE_APP_INSTANCE";

/// Node's own way to show traces of the sources (nodejs.org/api/cli.html).
pub(crate) const SOURCE_MAPS: &str = "--enable-source-maps";

/// Makes one app ready to start. Relative paths start at `context.cwd`.
pub fn resolve(options: &AppOptions, context: &Context) -> Result<Resolved, ConfigError> {
    app(options, context).map_err(ConfigError::from)
}

/// As [`resolve`], with the bare fault.
pub(crate) fn app(options: &AppOptions, context: &Context) -> Result<Resolved, Fault> {
    let cwd = directory(options, context)?;
    let (mut env, env_found) = environment::declared(options, context.env_name.as_deref());
    let inherited_env = environment::inherited(context, &cwd);
    let search = search(&cwd, &env, &inherited_env, context);
    let Found { mut launch, is_python } = launch::find(options, &search, &context.executable)?;
    if is_python && !inherited_env.contains_key("PYTHONUNBUFFERED") {
        env.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
    }
    if options.source_map_support == Some(true) && launch.runtime == Runtime::Node {
        launch.interpreter_args.insert(0, SOURCE_MAPS.into());
    }
    let name = AppName::new(name(options, context)).map_err(Fault::Name)?;
    let mode = mode(options)?;
    let listen = listen::resolve(options.listen.as_deref().unwrap_or_default(), &search);
    let spec = AppSpec {
        file: None,
        namespace: namespace(options)?,
        instances: options.instances.map_or(1, |instances| instances.count(context.cpus)),
        instance_var: options.instance_var.clone().unwrap_or_else(|| INSTANCE_VAR.into()),
        increment_var: options.increment_var.clone(),
        env_files: env_file::resolve(options.env_files.as_deref(), &search)?,
        filter_env: options.filter_env.clone().unwrap_or_default(),
        user: user(options)?,
        cron_restart: options.cron_restart.clone().filter(|pattern| !pattern.is_empty()),
        watch: watch::resolve(options, &search),
        unwatched: watch::unwatched(options),
        share_ports: options.share_ports.unwrap_or(mode == ExecMode::Cluster || !listen.is_empty()),
        listen,
        balance: options.balance.unwrap_or_default(),
        proxy: proxy::resolve(options.proxy.as_ref(), &search),
        logs: log_options::logs(options, &search),
        pid_file: options.pid_file.as_deref().map(|path| search.absolute(path)),
        post_update: options.post_update.clone().unwrap_or_default(),
        restart: restart(options),
        ready: ready(options),
        health: options.health.clone().flatten(),
        limits: options.limits.clone().unwrap_or_default(),
        depends_on: options.depends_on.clone().unwrap_or_default(),
        on: options.on.clone().unwrap_or_default(),
        listen_timeout: options.listen_timeout,
        stop: stop(options),
        max_surge: options.max_surge.unwrap_or(1).max(1),
        autostart: options.autostart.unwrap_or(true),
        name,
        launch,
        cwd,
        env,
        inherited_env,
        mode,
    };
    check(&spec)?;
    if options.balance.is_some() && !spec.share_ports && mode == ExecMode::Fork {
        return Err(Fault::BalanceInFork);
    }
    let warnings = warnings(&spec, options, context, env_found);
    Ok(Resolved { spec, warnings })
}

/// The app's name: as given, or the script's without its directory and last extension; a command
/// line is its own name, as under PM2.
pub(crate) fn name(options: &AppOptions, context: &Context) -> String {
    let name = options.name.clone().unwrap_or_else(|| default_name(options, context));
    match (&context.env_name, options.append_env_to_name) {
        (Some(env_name), Some(true)) => format!("{name}-{env_name}"),
        _ => name,
    }
}

fn default_name(options: &AppOptions, context: &Context) -> String {
    let script = options.script.as_deref().unwrap_or_default().trim();
    let search = search(&cwd(options, context), &BTreeMap::new(), &BTreeMap::new(), context);
    if !launch::is_command_line(script, &search) {
        return stem(script);
    }
    match AppName::new(script) {
        Ok(whole) => whole.into(),
        Err(_) => stem(script.split_whitespace().next().unwrap_or(script)),
    }
}

fn stem(script: &str) -> String {
    let stem = Path::new(script).file_stem();
    stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Namespaces are typed as targets like names, and so follow the same rule.
pub(crate) fn namespace(options: &AppOptions) -> Result<String, Fault> {
    let namespace = options.namespace.clone().unwrap_or_else(|| "default".into());
    match AppName::new(namespace.as_str()) {
        Ok(_) => Ok(namespace),
        Err(_) => Err(Fault::Namespace { namespace }),
    }
}

fn cwd(options: &AppOptions, context: &Context) -> PathBuf {
    let written = options.cwd.as_deref().unwrap_or_default();
    search::absolute(written, &context.cwd, context.home.as_deref())
}

pub(crate) fn directory(options: &AppOptions, context: &Context) -> Result<PathBuf, Fault> {
    let cwd = cwd(options, context);
    match fs::metadata(&cwd) {
        // Specs travel as JSON, which has no other texts.
        Ok(meta) if meta.is_dir() && cwd.to_str().is_none() => {
            Err(Fault::Cwd { cwd, why: "is not UTF-8" })
        }
        Ok(meta) if meta.is_dir() => Ok(cwd),
        Ok(_) => Err(Fault::Cwd { cwd, why: "is not a directory" }),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Fault::Cwd { cwd, why: "may not be entered" })
        }
        Err(_) => Err(Fault::Cwd { cwd, why: "does not exist" }),
    }
}

type Variables = BTreeMap<String, String>;

pub(crate) fn search(
    cwd: &Path,
    env: &Variables,
    inherited: &Variables,
    context: &Context,
) -> Search {
    let path = env.get("PATH").or_else(|| inherited.get("PATH")).cloned().unwrap_or_default();
    let nvm = context.environment.get("NVM_DIR").map(PathBuf::from);
    let nvm = nvm.or_else(|| Some(context.home.as_ref()?.join(".nvm"))).unwrap_or_default();
    Search { cwd: cwd.to_owned(), home: context.home.clone(), path, nvm }
}

/// PM2's rule, for any program: `instances` means cluster, but for `increment_var`.
fn mode(options: &AppOptions) -> Result<ExecMode, Fault> {
    let command = options.execute_command == Some(true);
    match (
        options.exec_mode.or(command.then_some(ExecMode::Fork)),
        &options.increment_var,
        options.instances,
    ) {
        (Some(ExecMode::Cluster), Some(_), _) => Err(Fault::IncrementInCluster),
        (Some(mode), _, _) => Ok(mode),
        (None, None, Some(_)) => Ok(ExecMode::Cluster),
        (None, _, _) => Ok(ExecMode::Fork),
    }
}

/// Whom it runs as. Whether they exist is known at each spawn, where they are looked up.
pub(crate) fn user(options: &AppOptions) -> Result<Option<RunAs>, Fault> {
    if options.uid.is_none() && options.gid.is_none() {
        return Ok(None);
    }
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let run_as = RunAs { user: options.uid.clone(), group: options.gid.clone() };
    if is_root { Ok(Some(run_as)) } else { Err(Fault::UserNotRoot) }
}

fn restart(options: &AppOptions) -> RestartPolicy {
    let waits =
        options.exp_backoff_restart_delay.or(options.restart_delay).is_some_and(|d| !d.is_zero());
    let most = if waits { RestartPolicy::UNLIMITED } else { 16 };
    RestartPolicy {
        autorestart: options.autorestart.unwrap_or(true),
        stop_exit_codes: options.stop_exit_codes.clone().unwrap_or_default(),
        max_restarts: options.max_restarts.unwrap_or(most),
        min_uptime: options.min_uptime.unwrap_or(RestartPolicy::MIN_UPTIME),
        restart_delay: options.restart_delay.unwrap_or_default(),
        exp_backoff_restart_delay: options.exp_backoff_restart_delay,
        max_memory_restart: options.max_memory_restart,
    }
}

fn ready(options: &AppOptions) -> Ready {
    let by_wait_ready = options.wait_ready.unwrap_or(false).then_some(Ready::Message);
    options.ready.clone().or(by_wait_ready).unwrap_or(Ready::Listening)
}

fn stop(options: &AppOptions) -> StopPolicy {
    StopPolicy {
        signal: options.stop_signal.unwrap_or(signal::SIGINT),
        kill_timeout: options.kill_timeout.unwrap_or(Duration::from_millis(1600)),
        drain_timeout: options.drain_timeout.unwrap_or(Duration::from_secs(30)),
        tree: options.treekill.unwrap_or(true),
        with_message: options.shutdown_with_message.unwrap_or(false),
    }
}

/// What no process can be given.
pub(crate) fn check(spec: &AppSpec) -> Result<(), Fault> {
    environment::check(&spec.env, [Some(&spec.instance_var), spec.increment_var.as_deref()])?;
    if let Some(variable) = &spec.increment_var {
        increment_base(variable, &spec.env, &spec.inherited_env)?;
    }
    listen::check(spec)?;
    proxy::check_proxy(spec)?;
    probe::check(spec)?;
    let mut args = spec.launch.interpreter_args.iter().chain(&spec.launch.args);
    match args.find(|argument| argument.contains('\0')) {
        Some(argument) => Err(Fault::Argument { argument: argument.clone() }),
        None => Ok(()),
    }
}

fn warnings(
    spec: &AppSpec,
    options: &AppOptions,
    context: &Context,
    env_found: bool,
) -> Vec<Warning> {
    let app = || spec.name.clone();
    let missing = context.env_name.iter().filter(|_| !env_found);
    let missing = missing.map(|name| Warning::NoSuchEnv { app: app(), name: name.clone() });
    let args_given = options.interpreter_args.as_ref().is_some_and(|args| !args.is_empty());
    let unused = args_given && spec.launch.interpreter.is_none();
    let missing = missing.chain(unused.then(|| Warning::InterpreterArgsUnused { app: app() }));
    let inherits = spec.balance == Balance::LeastConn && !spec.listen.is_empty();
    missing.chain(inherits.then(|| Warning::LeastConnShared { app: app() })).collect()
}

#[cfg(test)]
mod tests;

//! [`amend`]: an app that exists, with the options a command line gives for it now. What is not
//! given stays as it was; the name is not changed here.

use crate::{
    AppOptions, AppSpec, ConfigError, Context, ExecMode, Fault, LogFile, Ready, RunAs, Runtime,
    Watch, env_file, environment, launch, listen, resolve, search::Search, watch,
};

/// `spec` with all that `options` ask for. Relative paths start at `context.cwd`.
pub fn amend(
    spec: &AppSpec,
    options: &AppOptions,
    context: &Context,
) -> Result<AppSpec, ConfigError> {
    let mut amended = spec.clone();
    apply(&mut amended, options, context).map_err(ConfigError::from)?;
    Ok(amended)
}

/// `spec` with the environment of the caller in place of the one it inherited: `--update-env`.
pub fn with_environment_of(spec: &AppSpec, context: &Context) -> AppSpec {
    let inherited_env = environment::inherited(context, &spec.cwd);
    AppSpec { inherited_env, ..spec.clone() }
}

/// Puts a value that was given into its place.
fn put<T: Clone>(place: &mut T, given: &Option<T>) {
    if let Some(value) = given {
        place.clone_from(value);
    }
}

fn apply(spec: &mut AppSpec, options: &AppOptions, context: &Context) -> Result<(), Fault> {
    if options.cwd.is_some() {
        spec.cwd = resolve::directory(options, context)?;
    }
    if options.namespace.is_some() {
        spec.namespace = resolve::namespace(options)?;
    }
    launch(spec, options, context)?;
    size(spec, options, context);
    output(spec, options, context);
    policy(spec, options);
    put(&mut spec.instance_var, &options.instance_var);
    put(&mut spec.balance, &options.balance);
    put(&mut spec.share_ports, &options.share_ports);
    put(&mut spec.max_surge, &options.max_surge);
    put(&mut spec.autostart, &options.autostart);
    put(&mut spec.filter_env, &options.filter_env);
    if let Some(pattern) = &options.cron_restart {
        spec.cron_restart = Some(pattern.clone()).filter(|pattern| !pattern.is_empty());
    }
    if options.env_files.is_some() {
        let search = search(spec, context);
        spec.env_files = env_file::resolve(options.env_files.as_deref(), &search)?;
    }
    if let Some(path) = &options.pid_file {
        spec.pid_file = Some(search(spec, context).absolute(path));
    }
    put(&mut spec.post_update, &options.post_update);
    account(spec, options)?;
    watched(spec, options, context);
    spec.increment_var = options.increment_var.clone().or(spec.increment_var.take());
    spec.listen_timeout = options.listen_timeout.or(spec.listen_timeout);
    spec.env.extend(options.env.clone());
    if let Some(addresses) = &options.listen {
        spec.listen = listen::resolve(addresses, &search(spec, context));
        spec.share_ports = options.share_ports.unwrap_or(true);
    }
    resolve::check(spec)
}

/// A user or a group alone leaves the other as it was.
fn account(spec: &mut AppSpec, options: &AppOptions) -> Result<(), Fault> {
    if let Some(given) = resolve::user(options)? {
        let former = spec.user.take().unwrap_or(RunAs { user: None, group: None });
        let RunAs { user, group } = given;
        spec.user = Some(RunAs { user: user.or(former.user), group: group.or(former.group) });
    }
    Ok(())
}

/// What counts of the files that are watched already, or were, can be said without naming them.
fn watched(spec: &mut AppSpec, options: &AppOptions, context: &Context) {
    if options.watch.is_some() {
        let former = spec.watch.take().or(spec.unwatched.take());
        spec.watch = watch::resolve(options, &search(spec, context));
        match (&mut spec.watch, former) {
            (Some(now), Some(former)) => {
                *now = Watch { paths: std::mem::take(&mut now.paths), ..former }
            }
            (None, Some(former)) => spec.unwatched = Some(Watch { paths: Vec::new(), ..former }),
            (_, None) => {}
        }
    }
    if spec.watch.is_none() && spec.unwatched.is_none() {
        spec.unwatched = watch::unwatched(options);
    }
    let Some(watch) = spec.watch.as_mut().or(spec.unwatched.as_mut()) else { return };
    watch.ignore = options.ignore_watch.clone().or(watch.ignore.take());
    put(&mut watch.delay, &options.watch_delay);
    put(&mut watch.follow_links, &options.watch_follow_links);
}

/// Arguments are replaced; another interpreter is looked for like that of a new app.
fn launch(spec: &mut AppSpec, options: &AppOptions, context: &Context) -> Result<(), Fault> {
    put(&mut spec.launch.args, &options.args);
    source_maps(&mut spec.launch, options);
    if options.interpreter.is_none() && options.interpreter_args.is_none() {
        return Ok(());
    }
    let launch = &spec.launch;
    let present = launch.interpreter.clone().unwrap_or_else(|| "none".into());
    let wanted = AppOptions {
        script: Some(launch.script.display().to_string()),
        args: Some(launch.args.clone()),
        interpreter: Some(options.interpreter.clone().unwrap_or(present)),
        interpreter_args: Some(match &options.interpreter_args {
            Some(args) => args.clone(),
            None => launch.interpreter_args.clone(),
        }),
        ..AppOptions::default()
    };
    spec.launch = launch::find(&wanted, &search(spec, context), &context.executable)?.launch;
    source_maps(&mut spec.launch, options);
    Ok(())
}

fn source_maps(launch: &mut crate::Launch, options: &AppOptions) {
    let has = launch.interpreter_args.iter().any(|arg| arg == resolve::SOURCE_MAPS);
    match options.source_map_support {
        Some(true) if !has && launch.runtime == Runtime::Node => {
            launch.interpreter_args.insert(0, resolve::SOURCE_MAPS.into());
        }
        Some(false) => launch.interpreter_args.retain(|arg| arg != resolve::SOURCE_MAPS),
        Some(true) | None => {}
    }
}

/// A number of instances makes one app of a single process a cluster, as it does at a first start.
fn size(spec: &mut AppSpec, options: &AppOptions, context: &Context) {
    let was_single = spec.instances == 1 && spec.mode == ExecMode::Fork;
    if let Some(instances) = options.instances {
        spec.instances = instances.count(context.cpus);
    }
    let counts = spec.increment_var.is_some() || options.increment_var.is_some();
    let clusters = was_single && spec.instances > 1 && !counts;
    let mode = options.exec_mode.or(clusters.then_some(ExecMode::Cluster));
    if let Some(mode) = mode.filter(|mode| *mode != spec.mode) {
        spec.mode = mode;
        spec.share_ports = mode == ExecMode::Cluster || !spec.listen.is_empty();
    }
}

fn output(spec: &mut AppSpec, options: &AppOptions, context: &Context) {
    let search = search(spec, context);
    let file = |written: &str| match written {
        "NULL" | "/dev/null" => LogFile::Discard,
        path => LogFile::Path(search.absolute(path)),
    };
    if let Some(path) = &options.out_file {
        spec.logs.out = file(path);
    }
    if let Some(path) = &options.error_file {
        spec.logs.error = file(path);
    }
    if options.disable_logs == Some(true) {
        (spec.logs.out, spec.logs.error) = (LogFile::Discard, LogFile::Discard);
    }
    put(&mut spec.logs.merge, &options.merge_logs);
    crate::log_options::amend(&mut spec.logs.rules, options, &search);
}

fn policy(spec: &mut AppSpec, options: &AppOptions) {
    let (restart, stop) = (&mut spec.restart, &mut spec.stop);
    put(&mut restart.autorestart, &options.autorestart);
    put(&mut restart.stop_exit_codes, &options.stop_exit_codes);
    put(&mut restart.max_restarts, &options.max_restarts);
    put(&mut restart.min_uptime, &options.min_uptime);
    put(&mut restart.restart_delay, &options.restart_delay);
    restart.exp_backoff_restart_delay =
        options.exp_backoff_restart_delay.or(restart.exp_backoff_restart_delay);
    restart.max_memory_restart = options.max_memory_restart.or(restart.max_memory_restart);
    put(&mut stop.signal, &options.stop_signal);
    put(&mut stop.kill_timeout, &options.kill_timeout);
    put(&mut stop.drain_timeout, &options.drain_timeout);
    put(&mut stop.tree, &options.treekill);
    put(&mut stop.with_message, &options.shutdown_with_message);
    if options.wait_ready == Some(true) {
        spec.ready = Ready::Message;
    }
    put(&mut spec.ready, &options.ready);
    put(&mut spec.health, &options.health);
    put(&mut spec.limits, &options.limits);
}

fn search(spec: &AppSpec, context: &Context) -> Search {
    resolve::search(&spec.cwd, &spec.env, &spec.inherited_env, context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FilterEnv, Instances, test_machine::Machine};
    use std::time::Duration;

    fn started() -> (Machine, AppSpec) {
        let machine = Machine::new().program("node").file("server.js", b"", 0o644);
        let options = AppOptions { script: Some("server.js".into()), ..AppOptions::default() };
        let spec = machine.spec(&options);
        (machine, spec)
    }

    fn given(pairs: &[(&str, &str)]) -> AppOptions {
        let mut options = AppOptions::default();
        for (key, value) in pairs {
            options.set(key, value).unwrap();
        }
        options
    }

    #[test]
    fn nothing_given_changes_nothing() {
        let (machine, spec) = started();
        assert_eq!(amend(&spec, &AppOptions::default(), &machine.context()), Ok(spec));
    }

    #[test]
    fn what_is_given_is_changed_even_to_a_default() {
        let (machine, spec) = started();
        let first = given(&[("kill_timeout", "5000"), ("args", "a b"), ("node_args", "--trace")]);
        let second = given(&[("kill_timeout", "1600"), ("max_memory_restart", "300M")]);
        let changed = amend(&spec, &first, &machine.context()).unwrap();
        let mut want = spec;
        want.launch.args = vec!["a".into(), "b".into()];
        want.launch.interpreter_args = vec!["--trace".into()];
        want.restart.max_memory_restart = Some(300 << 20);
        assert_eq!(amend(&changed, &second, &machine.context()), Ok(want));
    }

    #[test]
    fn keys_that_act_by_themselves_are_changed_one_by_one() {
        let (machine, spec) = started();
        let context = machine.context();
        let all = given(&[
            ("watch", "lib"),
            ("ignore_watch", "tmp"),
            ("cron_restart", "0 3 * * *"),
            ("filter_env", "AWS"),
            ("log_type", "json"),
            ("log_date_format", "HH:mm"),
            ("source_map_support", "true"),
        ]);
        let first = amend(&spec, &all, &context).unwrap();
        let mut want = spec.clone();
        want.watch = Some(Watch {
            paths: vec![context.cwd.join("lib")],
            ignore: Some(vec!["tmp".into()]),
            delay: Duration::ZERO,
            follow_links: false,
        });
        want.cron_restart = Some("0 3 * * *".into());
        want.filter_env = FilterEnv::Name("AWS".into());
        want.logs.rules.json = true;
        want.logs.rules.date_format = Some("HH:mm".into());
        want.launch.interpreter_args.insert(0, "--enable-source-maps".into());
        assert_eq!(first, want);
        let later = given(&[("watch_delay", "2s"), ("cron_restart", "0")]);
        let second = amend(&first, &later, &context).unwrap();
        want.cron_restart = None;
        want.watch.as_mut().unwrap().delay = Duration::from_secs(2);
        assert_eq!(second, want);
        let third = amend(&second, &given(&[("watch", "false")]), &context).unwrap();
        assert_eq!(third.watch, None);
        // Watched again, the same counts.
        let fourth = amend(&third, &given(&[("watch", "lib")]), &context).unwrap();
        assert_eq!(fourth, second);
    }

    #[test]
    fn several_instances_make_a_cluster_unless_asked_otherwise() {
        let (machine, spec) = started();
        let context = machine.context();
        let four = AppOptions { instances: Some(Instances::Max), ..AppOptions::default() };
        let cluster = amend(&spec, &four, &context).unwrap();
        assert_eq!((cluster.instances, cluster.mode), (4, ExecMode::Cluster));
        assert!(cluster.share_ports);
        let forks = AppOptions { exec_mode: Some(ExecMode::Fork), ..four };
        let forks = amend(&spec, &forks, &context).unwrap();
        assert_eq!((forks.instances, forks.mode, forks.share_ports), (4, ExecMode::Fork, false));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let (machine, spec) = started();
        let context = machine.context();
        assert!(amend(&spec, &given(&[("cwd", "/no/such")]), &context).is_err());
        assert!(amend(&spec, &given(&[("interpreter", "nosuch")]), &context).is_err());
        assert!(amend(&spec, &given(&[("namespace", "")]), &context).is_err());
    }
}

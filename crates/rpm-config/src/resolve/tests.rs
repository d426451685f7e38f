//! Defaults, and every rule that turns options into a spec.

use super::*;
use crate::{Instances, LogFile, LogSpec, test_machine::Machine};

fn machine() -> Machine {
    Machine::new().program("node").file("server.js", b"", 0o644)
}

fn options() -> AppOptions {
    AppOptions { script: Some("server.js".into()), ..AppOptions::default() }
}

#[test]
fn defaults_are_pm2s() {
    let machine = machine();
    let want = AppSpec {
        name: AppName::new("server").unwrap(),
        file: None,
        namespace: "default".into(),
        launch: crate::Launch {
            script: machine.app().join("server.js"),
            interpreter: Some("node".into()),
            interpreter_args: vec![],
            args: vec![],
            runtime: crate::Runtime::Node,
        },
        cwd: machine.app(),
        env: BTreeMap::new(),
        inherited_env: machine.context().environment,
        mode: ExecMode::Fork,
        instances: 1,
        instance_var: "NODE_APP_INSTANCE".into(),
        increment_var: None,
        env_files: vec![],
        filter_env: crate::FilterEnv::Nothing,
        user: None,
        cron_restart: None,
        watch: None,
        unwatched: None,
        share_ports: false,
        listen: vec![],
        proxy: None,
        balance: crate::Balance::Even,
        logs: LogSpec {
            out: LogFile::Default,
            error: LogFile::Default,
            merge: true,
            rules: crate::LogRules::default(),
        },
        pid_file: None,
        post_update: vec![],
        restart: RestartPolicy {
            autorestart: true,
            stop_exit_codes: vec![],
            max_restarts: 16,
            min_uptime: Duration::from_secs(1),
            restart_delay: Duration::ZERO,
            exp_backoff_restart_delay: None,
            max_memory_restart: None,
        },
        ready: Ready::Listening,
        health: None,
        limits: crate::Limits::default(),
        depends_on: Default::default(),
        on: Default::default(),
        listen_timeout: None,
        stop: StopPolicy {
            signal: 2,
            kill_timeout: Duration::from_millis(1600),
            drain_timeout: Duration::from_secs(30),
            tree: true,
            with_message: false,
        },
        max_surge: 1,
        autostart: true,
    };
    assert_eq!(machine.spec(&options()), want);
}

#[test]
fn what_is_asked_for_arrives() {
    let ms = Duration::from_millis;
    let spec = machine().spec(&AppOptions {
        name: Some("api".into()),
        namespace: Some("shop".into()),
        share_ports: Some(true),
        autorestart: Some(false),
        stop_exit_codes: Some(vec![0, 3]),
        max_restarts: Some(0),
        min_uptime: Some(ms(5)),
        restart_delay: Some(ms(6)),
        exp_backoff_restart_delay: Some(ms(7)),
        max_memory_restart: Some(8),
        wait_ready: Some(true),
        listen_timeout: Some(ms(9)),
        stop_signal: Some(15),
        kill_timeout: Some(ms(0)),
        drain_timeout: Some(ms(10)),
        treekill: Some(false),
        shutdown_with_message: Some(true),
        max_surge: Some(3),
        autostart: Some(false),
        ..options()
    });
    let restart = RestartPolicy {
        autorestart: false,
        stop_exit_codes: vec![0, 3],
        max_restarts: 0,
        min_uptime: ms(5),
        restart_delay: ms(6),
        exp_backoff_restart_delay: Some(ms(7)),
        max_memory_restart: Some(8),
    };
    let stop = StopPolicy {
        signal: 15,
        kill_timeout: ms(0),
        drain_timeout: ms(10),
        tree: false,
        with_message: true,
    };
    assert_eq!((spec.name.as_str(), spec.namespace.as_str()), ("api", "shop"));
    assert_eq!((spec.restart, spec.stop), (restart, stop));
    assert_eq!((spec.ready, spec.listen_timeout), (Ready::Message, Some(ms(9))));
    assert_eq!((spec.share_ports, spec.max_surge, spec.autostart), (true, 3, false));
}

#[test]
fn what_waits_before_each_restart_is_restarted_for_ever() {
    let most = |delay: Option<u64>, max_restarts| {
        let restart_delay = delay.map(Duration::from_millis);
        machine().spec(&AppOptions { restart_delay, max_restarts, ..options() }).restart
    };
    let table = [
        (None, None, 16),
        (Some(0), None, 16),
        (Some(5), None, RestartPolicy::UNLIMITED),
        (Some(5), Some(3), 3),
    ];
    for (delay, given, want) in table {
        assert_eq!(most(delay, given).max_restarts, want, "{delay:?} {given:?}");
    }
    assert_eq!(most(None, None).stable_after(), Duration::from_secs(10));
}

#[test]
fn modes_and_instances() {
    use ExecMode::{Cluster, Fork};
    let table = [
        (None, None, false, (Fork, 1, false)),
        (Some("1"), None, false, (Cluster, 1, true)),
        (Some("max"), None, false, (Cluster, 4, true)),
        (Some("-1"), None, false, (Cluster, 3, true)),
        (Some("3"), Some(Fork), false, (Fork, 3, false)),
        (Some("3"), None, true, (Fork, 3, false)),
        (None, Some(Cluster), false, (Cluster, 1, true)),
    ];
    for (instances, exec_mode, increments, want) in table {
        let instances = instances.map(|text: &str| text.parse::<Instances>().unwrap());
        let increment_var = increments.then(|| "PORT".to_owned());
        let asked = AppOptions { instances, exec_mode, increment_var, ..options() };
        let spec = machine().spec(&asked);
        assert_eq!((spec.mode, spec.instances, spec.share_ports), want, "{asked:?}");
    }
}

#[test]
fn balance_is_for_shared_ports() {
    use crate::Balance::{Even, LeastConn, Random};
    let cluster =
        |balance| AppOptions { balance, instances: Some(Instances::Count(2)), ..options() };
    assert_eq!(machine().spec(&cluster(None)).balance, Even);
    assert_eq!(machine().spec(&cluster(Some(Random))).balance, Random);
    let fronted = resolve(&cluster(Some(LeastConn)), &machine().context()).unwrap();
    assert_eq!(fronted.warnings, []);
    let address = crate::ListenAddress::Udp("0.0.0.0:53".parse().unwrap());
    let listen = Some(vec![crate::Listen { name: "dns".to_owned(), address }]);
    let inherits = AppOptions { listen, ..cluster(Some(LeastConn)) };
    let inherits = resolve(&inherits, &machine().context()).unwrap();
    let warning = Warning::LeastConnShared { app: inherits.spec.name.clone() };
    assert_eq!(inherits.warnings, [warning]);
    let fork = AppOptions { balance: Some(Even), ..options() };
    assert_eq!(app(&fork, &machine().context()), Err(Fault::BalanceInFork));
    let held = AppOptions { share_ports: Some(true), ..fork };
    assert_eq!(machine().spec(&held).balance, Even);
}

#[test]
fn names() {
    let machine = machine().program("npm");
    let long = format!("npm {}", "x".repeat(AppName::MAX_BYTES));
    let table = [
        ("server.js", "server"),
        ("server", "server"),
        ("./server.js", "server"),
        ("npm", "npm"),
        ("npm start", "npm start"),
        (long.as_str(), "npm"),
        ("serve", "serve"),
        ("rpm serve x", "rpm serve x"),
    ];
    for (script, want) in table {
        let asked = AppOptions { script: Some(script.into()), ..AppOptions::default() };
        assert_eq!(machine.spec(&asked).name.as_str(), want, "{script}");
    }
}

#[test]
fn the_environment_has_an_order() {
    let machine = machine();
    let mut context = machine.context();
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    };
    context.environment.extend(pairs(&[("PWD", "/x"), ("NODE_CHANNEL_FD", "3"), ("_", "rpm")]));
    context.env_name = Some("production".into());
    let asked = AppOptions {
        env: pairs(&[("A", "env"), ("B", "env"), ("PORT", "1")]),
        env_sets: BTreeMap::from([("production".into(), pairs(&[("B", "set"), ("PORT", "2")]))]),
        port: Some(3),
        append_env_to_name: Some(true),
        ..options()
    };
    let Resolved { spec, warnings } = resolve(&asked, &context).unwrap();
    assert_eq!(spec.env, pairs(&[("A", "env"), ("B", "set"), ("PORT", "3")]));
    let mut inherited = machine.context().environment;
    inherited.insert("PWD".into(), machine.app().to_str().unwrap().into());
    assert_eq!(spec.inherited_env, inherited);
    assert_eq!((spec.name.as_str(), warnings), ("server-production", vec![]));
}

#[test]
fn warnings_read_well() {
    let machine = machine().program("ls");
    let context = Context { env_name: Some("staging".into()), ..machine.context() };
    let asked = AppOptions {
        script: Some("ls".into()),
        interpreter_args: Some(vec!["--harmony".into()]),
        ..AppOptions::default()
    };
    let warnings = resolve(&asked, &context).unwrap().warnings;
    let texts: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    let want = [
        "app ls: there is no `env_staging`, only `env` is used",
        "app ls: `node_args` are not used, no interpreter runs it",
    ];
    assert_eq!(texts, want);
}

#[test]
fn directories_start_where_the_caller_is_and_keep_their_name() {
    let machine = Machine::new().program("ls").file("v1/x", b"", 0o644);
    std::os::unix::fs::symlink("v1", machine.app().join("current")).unwrap();
    let spec = machine.spec(&AppOptions {
        script: Some("ls".into()),
        cwd: Some("./current".into()),
        ..AppOptions::default()
    });
    assert_eq!(spec.cwd, machine.app().join("current"));
}

#[test]
fn what_cannot_be_says_why_and_what_to_do() {
    let machine = machine();
    let variable = |name: &str, value: &str| AppOptions {
        env: BTreeMap::from([(name.into(), value.into())]),
        ..options()
    };
    let increment = |options: AppOptions| AppOptions {
        increment_var: Some("PORT".into()),
        exec_mode: Some(ExecMode::Fork),
        ..options
    };
    let table = [
        (
            AppOptions { cwd: Some("nope".into()), ..options() },
            "cwd /m/app/nope does not exist",
            Some("create it, or correct `cwd`"),
        ),
        (
            AppOptions { cwd: Some("server.js".into()), ..options() },
            "cwd /m/app/server.js is not a directory",
            Some("create it, or correct `cwd`"),
        ),
        (
            AppOptions { exec_mode: Some(ExecMode::Cluster), ..increment(options()) },
            "`increment_var` is for instances with ports of their own, in cluster mode they share",
            None,
        ),
        (
            increment(variable("PORT", "tcp://x")),
            "`increment_var` needs a number in PORT, which is \"tcp://x\"",
            Some("set PORT in `env` to the number of the first instance"),
        ),
        (variable("", "x"), "environment variable \"\" has no name", None),
        (variable("A=B", "x"), "environment variable \"A=B\" has = in its name", None),
        (variable("A", "\0"), "environment variable \"A\" has a NUL byte in its value", None),
        (
            AppOptions { instance_var: Some("\0".into()), ..options() },
            "environment variable \"\\0\" has a NUL byte in its name",
            None,
        ),
        (
            AppOptions { args: Some(vec!["a\0".into()]), ..options() },
            "argument \"a\\0\" holds a NUL byte",
            None,
        ),
        (
            AppOptions { namespace: Some("a\nb".into()), ..options() },
            "namespace \"a\\nb\" must be 1 to 128 bytes without control characters",
            None,
        ),
        (
            AppOptions { name: Some(String::new()), ..options() },
            "app name \"\" must be 1 to 128 bytes without control characters",
            None,
        ),
    ];
    for (asked, error, hint) in table {
        let asked_hint = hint.map(str::to_owned);
        let (text, hint) = machine.error(&asked);
        assert_eq!(text, error);
        assert!(asked_hint.is_none() || hint == asked_hint, "{hint:?}");
    }
}

#[test]
fn a_caller_without_path_gets_a_shells() {
    let machine = Machine::new().file("run", b"\x7fELF\0", 0o755);
    let context = Context { environment: BTreeMap::new(), ..machine.context() };
    let asked = AppOptions { script: Some("run".into()), ..AppOptions::default() };
    let spec = resolve(&asked, &context).unwrap().spec;
    let path = ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned());
    assert_eq!(spec.inherited_env, BTreeMap::from([path]));
}

#[test]
fn a_directory_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let machine = machine();
    let cwd = machine.app().join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::create_dir(&cwd).unwrap();
    let context = Context { cwd: cwd.clone(), ..machine.context() };
    let error = resolve(&options(), &context).unwrap_err();
    assert_eq!(error, ConfigError::from(Fault::Cwd { cwd, why: "is not UTF-8" }));
}

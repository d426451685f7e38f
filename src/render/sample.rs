//! An instance for tests of rendering.

use rpm_config::{
    AppName, AppSpec, ExecMode, Launch, LogFile, LogSpec, Ready, RestartPolicy, Runtime, StopPolicy,
};
use rpm_protocol::{InstanceDetail, InstanceView};
use std::{collections::BTreeMap, time::Duration};

/// An online cluster instance, up since 1,000,000 ms after the epoch.
pub(crate) fn instance(id: u32, name: &str) -> InstanceView {
    InstanceView {
        id,
        name: AppName::new(name).unwrap(),
        namespace: "default".into(),
        version: Some("3.2.1".into()),
        slot: id,
        mode: "cluster".into(),
        status: "online".into(),
        pid: Some(4711),
        started_at: Some(1_000_000),
        created_at: 900_000,
        restarts: 3,
        unstable_restarts: 0,
        cpu: 2.2,
        memory: 54_083_584,
        user: "me".into(),
        watching: false,
        queue: Some(0),
        log_trouble: false,
        needs_roll: None,
        last_exit: None,
        leaving: Vec::new(),
    }
}

/// The same with all rpm knows, one of two.
pub(crate) fn detail(id: u32, name: &str) -> InstanceDetail {
    let variables = [("PATH", "/bin"), ("NODE_APP_INSTANCE", "0"), ("name", "oops")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    InstanceDetail {
        view: instance(id, name),
        spec: spec(name),
        environment: variables.into_iter().collect(),
        out_log: Some(format!("/h/logs/{name}-out-{id}.log").into()),
        error_log: Some(format!("/h/logs/{name}-error-{id}.log").into()),
        log: None,
        pid_file: format!("/h/pids/{name}-{id}.pid").into(),
        listening: vec!["0.0.0.0:3000".into()],
        balance: Some("even".into()),
        front: None,
        queue_state: Some("serving".into()),
        exits: Vec::new(),
        previous_delay_ms: 0,
        dropped_log_bytes: 0,
        unshipped_log_lines: 0,
        offers: Default::default(),
        unenforced: None,
        cgroup: None,
    }
}

fn spec(name: &str) -> AppSpec {
    AppSpec {
        name: AppName::new(name).unwrap(),
        file: None,
        namespace: "default".into(),
        launch: Launch {
            script: "/srv/app.js".into(),
            interpreter: Some("node".into()),
            interpreter_args: Vec::new(),
            args: vec!["--fast".into()],
            runtime: Runtime::Node,
        },
        cwd: "/srv".into(),
        env: BTreeMap::new(),
        inherited_env: BTreeMap::new(),
        mode: ExecMode::Cluster,
        instances: 2,
        instance_var: "NODE_APP_INSTANCE".into(),
        increment_var: None,
        env_files: vec![],
        filter_env: rpm_config::FilterEnv::Nothing,
        user: None,
        cron_restart: None,
        pid_file: None,
        post_update: vec![],
        watch: None,
        unwatched: None,
        share_ports: true,
        listen: Vec::new(),
        proxy: None,
        balance: rpm_config::Balance::Even,
        logs: LogSpec {
            out: LogFile::Default,
            error: LogFile::Default,
            merge: false,
            rules: rpm_config::LogRules::default(),
        },
        restart: RestartPolicy {
            autorestart: true,
            stop_exit_codes: Vec::new(),
            max_restarts: 16,
            min_uptime: Duration::from_secs(1),
            restart_delay: Duration::ZERO,
            exp_backoff_restart_delay: None,
            max_memory_restart: Some(300 << 20),
        },
        ready: Ready::Listening,
        health: None,
        limits: rpm_config::Limits::default(),
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
    }
}

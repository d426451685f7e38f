//! Specs and fleets for this crate's tests.

use crate::launch::Places;
use rpm_config::{
    AppName, AppSpec, ExecMode, Launch, LogFile, LogSpec, Ready, RestartPolicy, Runtime, StopPolicy,
};
use rpm_supervisor::{Command, Event, Fleet, Moment, Policy, Ticket};
use std::{collections::BTreeMap, time::Duration};

/// An app of two Node instances in cluster mode.
pub(crate) fn spec(name: &str) -> AppSpec {
    AppSpec {
        name: AppName::new(name).unwrap(),
        file: None,
        namespace: "default".to_owned(),
        launch: Launch {
            script: "/srv/app.js".into(),
            interpreter: Some("node".to_owned()),
            interpreter_args: vec!["--no-warnings".to_owned()],
            args: vec!["--id".to_owned(), "{instance}".to_owned()],
            runtime: Runtime::Node,
        },
        cwd: "/srv".into(),
        env: BTreeMap::from([("COLOR".to_owned(), "red".to_owned())]),
        inherited_env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
        mode: ExecMode::Cluster,
        instances: 2,
        instance_var: "NODE_APP_INSTANCE".to_owned(),
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
            max_memory_restart: None,
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

/// A fleet of these apps, freshly registered.
pub(crate) fn fleet(specs: &[&AppSpec]) -> Fleet {
    let mut fleet = Fleet::default();
    for (number, spec) in specs.iter().enumerate() {
        let command = Command::Register {
            app: spec.name.clone(),
            policy: Policy::from(*spec),
            instances: spec.instances,
            autostart: true,
        };
        let ticket = Ticket(number as u64);
        fleet.step(Event::Command { ticket, command }, Moment(1000));
    }
    fleet
}

/// A home, and a run directory with a blank in it.
pub(crate) fn places() -> Places {
    Places {
        home: "/h".into(),
        hash: "0f".to_owned(),
        preload: "/run/my rpm/preload.cjs".into(),
        control: "/run/my rpm/control.sock".into(),
        notify: "/run/my rpm/notify.sock".into(),
    }
}

//! The options of `start` as what `rpm-config` takes: one key a flag.

use crate::{
    cli::{AppFlags, Start},
    error::CliError,
};
use rpm_config::{AppOptions, ONLY_EXTENSIONS};

/// What the flags ask for, for the script `script`.
pub(crate) fn of_script(script: &str, options: &Start) -> Result<AppOptions, CliError> {
    let mut app = of_flags(&options.app)?;
    app.script = Some(script.to_owned());
    if !options.app_args.is_empty() {
        app.args = Some(options.app_args.clone());
    }
    Ok(app)
}

/// What the flags ask for of an app that exists, with new arguments if there are any.
pub(crate) fn of_change(flags: &AppFlags, args: &[String]) -> Result<AppOptions, CliError> {
    let mut app = of_flags(flags)?;
    app.args = (!args.is_empty()).then(|| args.to_vec());
    Ok(app)
}

/// What the flags ask for.
pub(crate) fn of_flags(flags: &AppFlags) -> Result<AppOptions, CliError> {
    let mut app = AppOptions::default();
    for Given { option, key, value } in given(flags) {
        let set = match value {
            Value::Text(text) => app.set(key, &text),
            Value::List(texts) => app.set_list(key, &texts),
        };
        set.map_err(|value| CliError::Usage { option, value })?;
    }
    Ok(app)
}

/// A flag that is there, as the key that an ecosystem file has for it.
pub(crate) struct Given {
    option: &'static str,
    /// PM2's name of the key.
    pub(crate) key: &'static str,
    pub(crate) value: Value,
}

/// What a flag says.
pub(crate) enum Value {
    Text(String),
    /// Of one that may be repeated, or that PM2 takes for a list.
    List(Vec<String>),
}

/// All flags that are there.
pub(crate) fn given(flags: &AppFlags) -> Vec<Given> {
    let texts = texts(flags).into_iter();
    let texts = texts.map(|(option, key, text)| (option, key, text.map(str::to_owned)));
    let switches = switches(flags).into_iter();
    let switches =
        switches.map(|(option, key, value, is)| (option, key, is.then(|| value.to_owned())));
    let texts = texts
        .chain(more(flags))
        .chain(switches)
        .filter_map(|(option, key, text)| Some(Given { option, key, value: Value::Text(text?) }));
    let lists = lists(flags).into_iter().filter(|(.., list)| !list.is_empty());
    let lists = lists.map(|(option, key, list)| Given { option, key, value: Value::List(list) });
    texts.chain(lists).collect()
}

/// Option, key and value of the flags that have none themselves, and whether they are there.
fn switches(flags: &AppFlags) -> [(&'static str, &'static str, &'static str, bool); 10] {
    let more = &flags.more;
    [
        ("--execute-command", "exec_mode", "fork", flags.execute_command),
        ("--merge-logs", "merge_logs", "true", flags.merge_logs),
        ("--disable-logs", "disable_logs", "true", flags.disable_logs),
        ("--wait-ready", "wait_ready", "true", flags.wait_ready),
        ("--shutdown-with-message", "shutdown_with_message", "true", flags.shutdown_with_message),
        ("--no-autorestart", "autorestart", "false", flags.no_autorestart),
        ("--no-autostart", "autostart", "false", flags.no_autostart),
        ("--no-treekill", "treekill", "false", flags.no_treekill),
        ("--time", "time", "true", more.time),
        ("--source-map-support", "source_map_support", "true", more.source_map_support),
    ]
}

/// The rarer options.
fn more(flags: &AppFlags) -> [(&'static str, &'static str, Option<String>); 11] {
    let more = &flags.more;
    let codes = (!flags.stop_exit_codes.is_empty()).then(|| flags.stop_exit_codes.join(" "));
    [
        ("--stop-exit-codes", "stop_exit_codes", codes),
        ("--watch", "watch", watches_directory(flags).then(|| "true".to_owned())),
        ("--watch-delay", "watch_delay", more.watch_delay.as_deref().map(watch_delay)),
        ("--cron-restart", "cron_restart", more.cron.clone()),
        ("--log", "log_file", more.log.clone()),
        ("--log-type", "log_type", more.log_type.clone()),
        ("--log-date-format", "log_date_format", more.log_date_format.clone()),
        ("--pid", "pid_file", more.pid.clone()),
        ("--rotate", "rotate", more.rotate.clone()),
        ("--user", "uid", more.user.clone()),
        ("--gid", "gid", more.gid.clone()),
    ]
}

/// `--watch` without a path, among others with one maybe.
fn watches_directory(flags: &AppFlags) -> bool {
    flags.more.watch.iter().any(|path| path == "true")
}

/// Those that may be repeated; one of them that is a single option under PM2 has its words parted
/// by blanks.
fn lists(flags: &AppFlags) -> [(&'static str, &'static str, Vec<String>); 5] {
    let more = &flags.more;
    let paths = if watches_directory(flags) { Vec::new() } else { more.watch.clone() };
    let only = more.ext.iter().map(|list| format!("{ONLY_EXTENSIONS}{}", list.replace(' ', "")));
    let words = more.ignore_watch.iter().flat_map(|text| text.split_whitespace());
    let ignored = words.map(str::to_owned).chain(only).collect();
    let filtered = more.filter_env.iter().filter(|text| !text.is_empty()).cloned().collect();
    [
        ("--watch", "watch", paths),
        ("--ignore-watch", "ignore_watch", ignored),
        ("--filter-env", "filter_env", filtered),
        ("--env-file", "env_file", more.env_file.clone()),
        ("--listen", "listen", flags.listen.clone()),
    ]
}

/// A plain number is seconds here, as under PM2; in a file it is milliseconds.
fn watch_delay(text: &str) -> String {
    if text.parse::<f64>().is_ok() { format!("{text}s") } else { text.to_owned() }
}

/// Option, key and value of each flag that has one.
fn texts(flags: &AppFlags) -> [(&'static str, &'static str, Option<&str>); 20] {
    [
        ("--name", "name", flags.name.as_deref()),
        ("--namespace", "namespace", flags.namespace.as_deref()),
        ("--instances", "instances", flags.instances.as_deref()),
        ("--balance", "balance", flags.balance.as_deref()),
        ("--cwd", "cwd", flags.cwd.as_deref()),
        ("--interpreter", "interpreter", flags.interpreter.as_deref()),
        ("--interpreter-args", "interpreter_args", flags.interpreter_args.as_deref()),
        ("--instance-var", "instance_var", flags.instance_var.as_deref()),
        ("--increment-var", "increment_var", flags.increment_var.as_deref()),
        ("--output", "out_file", flags.output.as_deref()),
        ("--error", "error_file", flags.error.as_deref()),
        ("--kill-timeout", "kill_timeout", flags.kill_timeout.as_deref()),
        ("--listen-timeout", "listen_timeout", flags.listen_timeout.as_deref()),
        ("--drain-timeout", "drain_timeout", flags.drain_timeout.as_deref()),
        ("--stop-signal", "stop_signal", flags.stop_signal.as_deref()),
        ("--max-memory-restart", "max_memory_restart", flags.max_memory_restart.as_deref()),
        ("--restart-delay", "restart_delay", flags.restart_delay.as_deref()),
        (
            "--exp-backoff-restart-delay",
            "exp_backoff_restart_delay",
            flags.exp_backoff_restart_delay.as_deref(),
        ),
        ("--max-restarts", "max_restarts", flags.max_restarts.as_deref()),
        ("--min-uptime", "min_uptime", flags.min_uptime.as_deref()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use rpm_config::{ExecMode, Instances, Listen, ListenAddress};
    use std::time::Duration;

    fn start(words: &[&str]) -> Start {
        let line = ["rpm", "start"].into_iter().chain(words.iter().copied());
        let line = crate::words::ordered(line.map(Into::into).collect(), &crate::help::command());
        match Cli::try_parse_from(line.words).unwrap().command {
            Some(Command::Start(start)) => *start,
            other => panic!("{other:?}"),
        }
    }

    fn app(words: &[&str]) -> AppOptions {
        of_script("app.js", &start(words)).unwrap()
    }

    #[test]
    fn short_and_long_forms() {
        let words = [
            "app.js", "-n", "web", "-i", "-1", "-o", "o.log", "-e", "e.log", "-k", "5s", "-x",
            "--", "-i", "9",
        ];
        let want = AppOptions {
            name: Some("web".into()),
            script: Some("app.js".into()),
            args: Some(vec!["-i".into(), "9".into()]),
            instances: Some(Instances::AllBut(1)),
            exec_mode: Some(ExecMode::Fork),
            out_file: Some("o.log".into()),
            error_file: Some("e.log".into()),
            kill_timeout: Some(Duration::from_secs(5)),
            ..AppOptions::default()
        };
        assert_eq!(app(&words), want);
    }

    #[test]
    fn what_is_repeated_is_a_list() {
        let words = "--watch a --watch b --ignore-watch tmp --filter-env AWS --filter-env SSH_ \
                     --env-file x.env --env-file y.env --ext .js,ts app.js";
        let app = app(&words.split_whitespace().collect::<Vec<_>>());
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(app.watch, Some(rpm_config::WatchPaths::Paths(texts(&["a", "b"]))));
        assert_eq!(app.ignore_watch, Some(texts(&["tmp", "ext:.js,ts"])));
        let filter = rpm_config::FilterEnv::Containing(texts(&["AWS", "SSH_"]));
        assert_eq!(app.filter_env, Some(filter));
        assert_eq!(app.env_files, Some(texts(&["x.env", "y.env"])));
    }

    #[test]
    fn every_other_flag() {
        let words = "--namespace back --cwd /srv --interpreter python3 --node-args=--inspect \
                     --instance-var SLOT --increment-var PORT --listen-timeout 3000 \
                     --drain-timeout 10s --stop-signal SIGTERM --max-memory-restart 300M \
                     --restart-delay 100 --exp-backoff-restart-delay 200 --max-restarts 5 \
                     --min-uptime 2s --stop-exit-codes 0 --stop-exit-codes 3 --merge-logs \
                     --disable-logs --wait-ready --no-autorestart --no-autostart --no-treekill \
                     --shutdown-with-message --listen 127.0.0.1:80 --listen x=unix:a \
                      --balance ip_hash app.js";
        let words: Vec<&str> = words.split_whitespace().collect();
        let want = AppOptions {
            namespace: Some("back".into()),
            script: Some("app.js".into()),
            balance: Some(rpm_config::Balance::IpHash),
            cwd: Some("/srv".into()),
            interpreter: Some("python3".into()),
            interpreter_args: Some(vec!["--inspect".into()]),
            instance_var: Some("SLOT".into()),
            increment_var: Some("PORT".into()),
            listen_timeout: Some(Duration::from_secs(3)),
            drain_timeout: Some(Duration::from_secs(10)),
            stop_signal: Some(15),
            max_memory_restart: Some(300 << 20),
            restart_delay: Some(Duration::from_millis(100)),
            exp_backoff_restart_delay: Some(Duration::from_millis(200)),
            max_restarts: Some(5),
            min_uptime: Some(Duration::from_secs(2)),
            stop_exit_codes: Some(vec![0, 3]),
            merge_logs: Some(true),
            disable_logs: Some(true),
            wait_ready: Some(true),
            autorestart: Some(false),
            autostart: Some(false),
            treekill: Some(false),
            shutdown_with_message: Some(true),
            listen: Some(vec![
                Listen {
                    name: "127.0.0.1-80".into(),
                    address: ListenAddress::Tcp(([127, 0, 0, 1], 80).into()),
                },
                Listen { name: "x".into(), address: ListenAddress::Unix("a".into()) },
            ]),
            ..AppOptions::default()
        };
        assert_eq!(app(&words), want);
    }

    #[test]
    fn a_bad_value_names_its_option() {
        let table = [
            (["-i", "banana"], "--instances must be a number of instances"),
            (["--max-memory-restart", "12Q"], "--max-memory-restart must be a size"),
            (["--kill-timeout", "soon"], "--kill-timeout must be"),
            (["--stop-signal", "SIGNOPE"], "--stop-signal must be"),
            (["--listen", "here"], "--listen must be an address such as"),
        ];
        for (words, want) in table {
            let error = of_flags(&start(&["app.js", words[0], words[1]]).app).unwrap_err();
            let CliError::Usage { option, value } = &error else { panic!("{error:?}") };
            let text = format!("{option} {value}");
            assert!(text.starts_with(want), "{text}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}

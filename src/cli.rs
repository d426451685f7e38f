//! The command line as types: words, options and their help. What they do is in `command/`.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A process manager for programs in any language.
#[derive(Debug, PartialEq, Parser)]
#[command(name = "rpm", version, disable_version_flag = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Print the version.
    #[arg(short = 'v', visible_short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Global {
    /// Say nothing but errors and machine-readable output.
    #[arg(short, long, global = true, display_order = 100)]
    pub(crate) silent: bool,
    /// No colours; `NO_COLOR=1` says the same.
    #[arg(long, global = true, display_order = 101)]
    pub(crate) no_color: bool,
}

#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum Command {
    /// Start a script, program, command line or ecosystem file, or what is stopped.
    Start(Box<Start>),
    /// Stop, and keep in the list.
    Stop(Act),
    /// Stop and start.
    Restart(Restart),
    /// Replace the workers without refusing a connection.
    Reload(Restart),
    /// Stop and forget.
    #[command(visible_alias = "del")]
    Delete(Act),
    /// Change the number of instances.
    Scale(Scale),
    /// Show all instances.
    #[command(visible_aliases = ["ls", "l", "ps", "status"])]
    List,
    /// Show everything about instances.
    #[command(visible_aliases = ["show", "desc", "info"])]
    Describe(Describe),
    /// Show and follow logs.
    #[command(visible_alias = "log")]
    Logs(Logs),
    /// Empty log files.
    Flush(Targets),
    /// Write the list of apps to dump.pm2.
    #[command(visible_alias = "dump")]
    Save(Save),
    /// Start what dump.pm2 lists and is not there.
    Resurrect,
    /// Stop everything, the daemon included.
    Kill,
    /// Say whether the daemon answers.
    Ping,
    /// Print all instances as JSON.
    Jlist,
    /// Print what happens, as it happens.
    Events(Events),
    /// Print the ids of an app's instances.
    Id(Name),
    /// Print the pids of an app's instances.
    Pid(OptionalName),
    /// Zero restart counters.
    Reset(Act),
    /// Serve a directory over HTTP.
    #[command(visible_alias = "expose")]
    Serve(Box<Serve>),
    /// The static server itself, in the foreground.
    #[command(name = "__serve", hide = true)]
    ServeForeground(ServeForeground),
}

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Start {
    /// A script, program, "command line", file.toml, file.json, `-`, or a name, id or namespace
    /// that is stopped; without any, the ecosystem file of this directory.
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) file: FileOptions,
    /// Replace an app of the same name that runs.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Give stopped apps the environment of this shell.
    #[arg(short = 'a', long)]
    pub(crate) update_env: bool,
    /// Return when all is ready, or exit 1 after so many seconds.
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "60")]
    pub(crate) wait: Option<f64>,
    #[command(flatten)]
    pub(crate) app: AppFlags,
    /// Arguments of the app.
    #[arg(last = true)]
    pub(crate) app_args: Vec<String>,
}

/// What to take from an ecosystem file.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct FileOptions {
    /// Of a file, only these apps (a,b).
    #[arg(long, value_name = "NAMES")]
    pub(crate) only: Option<String>,
    /// Take the variables of env_NAME from the file.
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

/// The options that describe an app: PM2's names. Values are read by `rpm-config`.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "The app")]
pub(crate) struct AppFlags {
    /// Its name.
    #[arg(short, long)]
    pub(crate) name: Option<String>,
    /// Its group.
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// How many; max, or -1 for one CPU less.
    #[arg(short, long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) instances: Option<String>,
    /// Fork mode, even with several instances.
    #[arg(short = 'x', long)]
    pub(crate) execute_command: bool,
    /// Who gets a connection: even, shared, random, ip_hash, round_robin, least_conn.
    #[arg(long, value_name = "HOW")]
    pub(crate) balance: Option<String>,
    /// The working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// What runs the script; none: it runs by itself.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) interpreter: Option<String>,
    /// Arguments before the script.
    #[arg(long, visible_alias = "node-args", value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) interpreter_args: Option<String>,
    /// The variable that tells an instance its slot.
    #[arg(long, value_name = "NAME")]
    pub(crate) instance_var: Option<String>,
    /// A variable that counts up by one per instance.
    #[arg(long, value_name = "NAME")]
    pub(crate) increment_var: Option<String>,
    /// The file of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// The file of standard error.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) error: Option<String>,
    /// All instances into the same files.
    #[arg(long)]
    pub(crate) merge_logs: bool,
    /// Keep no logs.
    #[arg(long)]
    pub(crate) disable_logs: bool,
    /// From the stop signal to SIGKILL.
    #[arg(short, long, value_name = "MS")]
    pub(crate) kill_timeout: Option<String>,
    /// From the start to being ready.
    #[arg(long, value_name = "MS")]
    pub(crate) listen_timeout: Option<String>,
    /// A socket to bind and hand over; may be given several times.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// How long an old worker may finish its connections.
    #[arg(long, value_name = "MS")]
    pub(crate) drain_timeout: Option<String>,
    /// The signal that asks it to stop.
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,
    /// Reload it when its processes use more.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory_restart: Option<String>,
    /// Wait before each restart.
    #[arg(long, value_name = "MS")]
    pub(crate) restart_delay: Option<String>,
    /// Wait before restarts, longer each time.
    #[arg(long, value_name = "MS")]
    pub(crate) exp_backoff_restart_delay: Option<String>,
    /// Unstable exits in a row until it is given up.
    #[arg(long, value_name = "N")]
    pub(crate) max_restarts: Option<String>,
    /// An exit before this is unstable.
    #[arg(long, value_name = "MS")]
    pub(crate) min_uptime: Option<String>,
    /// Exit codes after which it is not restarted.
    #[arg(long, value_name = "CODES", num_args = 1)]
    pub(crate) stop_exit_codes: Vec<String>,
    /// Ready means: it sent `ready` (process.send).
    #[arg(long)]
    pub(crate) wait_ready: bool,
    /// Do not restart it.
    #[arg(long)]
    pub(crate) no_autorestart: bool,
    /// Register it as stopped.
    #[arg(long)]
    pub(crate) no_autostart: bool,
    /// Signal only its first process.
    #[arg(long)]
    pub(crate) no_treekill: bool,
    /// Send the message `shutdown` in place of the signal.
    #[arg(long)]
    pub(crate) shutdown_with_message: bool,
}

#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct Act {
    /// all, ids, names, /regex/, namespaces, or an ecosystem file.
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) file: FileOptions,
}

#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) act: Act,
    /// Give them the environment of this shell.
    #[arg(short = 'a', long)]
    pub(crate) update_env: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Scale {
    /// The app's name.
    pub(crate) app: String,
    /// 4, +1 or -1.
    #[arg(allow_hyphen_values = true)]
    pub(crate) instances: String,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Describe {
    /// all, ids, names, /regex/ or namespaces.
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Logs {
    /// all, ids, names, /regex/ or namespaces; without any, all.
    pub(crate) targets: Vec<String>,
    /// How many of the last lines of each file.
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub(crate) lines: usize,
    /// Show the past and return.
    #[arg(long)]
    pub(crate) nostream: bool,
    /// The lines as they are, standard error's on standard error.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Only standard error.
    #[arg(long)]
    pub(crate) err: bool,
    /// Only standard output.
    #[arg(long)]
    pub(crate) out: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Targets {
    /// all, ids, names, /regex/ or namespaces; without any, all.
    pub(crate) targets: Vec<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Save {
    /// Also when there is no app.
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Events {
    /// all, ids, names, /regex/ or namespaces; without any, all.
    pub(crate) targets: Vec<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Begin after this cursor.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) since: Option<u64>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Name {
    /// The app's name.
    pub(crate) name: String,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct OptionalName {
    /// The app's name; without one, the daemon's pid.
    pub(crate) name: Option<String>,
}

#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) site: Site,
    #[command(flatten)]
    pub(crate) app: AppFlags,
}

/// What to serve.
#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Site {
    /// The directory [default: this one].
    pub(crate) path: Option<PathBuf>,
    /// The port [default: 8080].
    pub(crate) port: Option<u16>,
    /// The port again, as an option.
    #[arg(long = "port", value_name = "PORT", conflicts_with = "port")]
    pub(crate) port_option: Option<u16>,
    /// What is not found is answered with /index.html.
    #[arg(long)]
    pub(crate) spa: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct ServeForeground {
    #[command(flatten)]
    pub(crate) site: Site,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, error::ErrorKind};

    fn parse(line: &str) -> Result<Command, ErrorKind> {
        match Cli::try_parse_from(line.split(' ')) {
            Ok(cli) => cli.command.ok_or(ErrorKind::MissingSubcommand),
            Err(error) => Err(error.kind()),
        }
    }

    fn act(targets: &[&str]) -> Act {
        let targets = targets.iter().map(|word| (*word).to_owned()).collect();
        Act { targets, file: FileOptions::default() }
    }

    #[test]
    fn the_types_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_have_pm2s_other_names() {
        for line in ["rpm list", "rpm ls", "rpm l", "rpm ps", "rpm status"] {
            assert_eq!(parse(line), Ok(Command::List), "{line}");
        }
        for line in ["rpm describe 0", "rpm show 0", "rpm desc 0", "rpm info 0"] {
            let want = Describe { targets: vec!["0".into()], json: false };
            assert_eq!(parse(line), Ok(Command::Describe(want)), "{line}");
        }
        assert_eq!(parse("rpm del api 1"), Ok(Command::Delete(act(&["api", "1"]))));
        assert_eq!(parse("rpm dump --force"), Ok(Command::Save(Save { force: true })));
        assert!(matches!(parse("rpm log api"), Ok(Command::Logs(_))));
        assert!(matches!(parse("rpm expose . 8080"), Ok(Command::Serve(_))));
    }

    #[test]
    fn words_and_options_of_commands() {
        let scale = |to: &str| Command::Scale(Scale { app: "api".into(), instances: to.into() });
        assert_eq!(parse("rpm scale api 4"), Ok(scale("4")));
        assert_eq!(parse("rpm scale api +2"), Ok(scale("+2")));
        assert_eq!(parse("rpm scale api -1"), Ok(scale("-1")));
        let restart = Restart { act: act(&["api"]), update_env: true };
        assert_eq!(parse("rpm restart api -a"), Ok(Command::Restart(restart)));
        let logs = Logs {
            targets: vec!["api".into()],
            lines: 3,
            nostream: true,
            raw: true,
            err: true,
            out: false,
        };
        let line = "rpm logs api --lines 3 --nostream --raw --err";
        assert_eq!(parse(line), Ok(Command::Logs(logs)));
        let events = Events { targets: vec![], json: true, since: Some(7) };
        assert_eq!(parse("rpm events --json --since 7"), Ok(Command::Events(events)));
    }

    #[test]
    fn options_stand_anywhere_before_two_dashes() {
        let start = Start {
            targets: vec!["a.js".into(), "b.js".into()],
            file: FileOptions { only: None, env: Some("production".into()) },
            force: true,
            wait: Some(60.0),
            app: AppFlags { instances: Some("2".into()), ..AppFlags::default() },
            app_args: vec!["-n".into(), "x".into()],
            ..Start::default()
        };
        for line in [
            "rpm start a.js b.js -i 2 --env production -f --wait -- -n x",
            "rpm start -i 2 a.js --wait -f --env=production b.js -- -n x",
            "rpm start --wait=60 -fi2 --env production a.js b.js -- -n x",
        ] {
            assert_eq!(parse(line), Ok(Command::Start(Box::new(start.clone()))), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for (line, kind) in [
            ("rpm", ErrorKind::MissingSubcommand),
            ("rpm nonsense", ErrorKind::InvalidSubcommand),
            ("rpm stop", ErrorKind::MissingRequiredArgument),
            ("rpm start app.js --foo", ErrorKind::UnknownArgument),
            ("rpm logs --lines many", ErrorKind::ValueValidation),
            ("rpm --version", ErrorKind::DisplayVersion),
            ("rpm -V", ErrorKind::DisplayVersion),
            ("rpm start --help", ErrorKind::DisplayHelp),
        ] {
            assert_eq!(parse(line), Err(kind), "{line}");
        }
    }
}

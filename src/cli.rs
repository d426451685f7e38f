//! The command line as types: words, options and their help. What they do is in `command/`; what
//! each command takes is in a file beside this one.

mod act;
mod after;
mod apply;
mod doctor;
mod import;
mod init;
mod list;
mod logs;
mod look;
mod more;
mod serve;
mod settings;
mod shell;
mod source;
mod start;
mod startup;
mod talk;

pub(crate) use self::{
    act::{Act, Restart, Save, Scale, StartOr},
    after::After,
    apply::{Apply, Diff},
    doctor::Doctor,
    import::Import,
    init::Init,
    list::List,
    logs::Logs,
    look::{Describe, Events, Name, OptionalName, Targets},
    more::MoreFlags,
    serve::{Serve, ServeForeground, Site},
    settings::{Get, Multiset, Set, Unset},
    shell::Shell,
    source::Pull,
    start::{AppFlags, FileOptions, Start},
    startup::{Startup, Unstartup},
    talk::{Attach, Send, SendSignal, Trigger},
};

use clap::{Args, Parser, Subcommand};

/// A process manager for programs in any language.
#[derive(Debug, PartialEq, Parser)]
#[command(name = "rpm", version, disable_version_flag = true, disable_help_flag = true)]
#[command(max_term_width = 80)]
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
    /// Print this help.
    #[arg(short, long, global = true, display_order = 102, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
}

#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum Command {
    /// Start a script, program, command line, file, or what is stopped.
    Start(Box<Start>),
    /// Stop, and keep in the list.
    Stop(Act),
    /// Stop and start.
    Restart(Box<Restart>),
    /// Replace the workers without refusing a connection.
    #[command(alias = "gracefulReload")]
    Reload(Box<Restart>),
    /// Start a file's apps, or restart those that are there.
    #[command(name = "startOrRestart")]
    StartOrRestart(StartOr),
    /// Start a file's apps, or reload those that are there.
    #[command(name = "startOrReload", visible_alias = "startOrGracefulReload")]
    StartOrReload(StartOr),
    /// Make the running apps equal an ecosystem file; what is equal already is left alone.
    Apply(Apply),
    /// Show in what running apps differ from their ecosystem file.
    Diff(Diff),
    /// Stop and forget.
    #[command(visible_alias = "del")]
    Delete(Act),
    /// Change the number of instances.
    Scale(Scale),
    /// Show all instances.
    #[command(visible_aliases = ["ls", "l", "ps", "status"])]
    List(List),
    /// Show everything about instances.
    #[command(visible_aliases = ["show", "desc", "info"])]
    Describe(Describe),
    /// Show and follow logs.
    #[command(visible_alias = "log")]
    Logs(Logs),
    /// Empty log files.
    Flush(Targets),
    /// Open log files anew, after another program has moved them.
    #[command(name = "reloadLogs")]
    ReloadLogs,
    /// Write the list of apps to dump.pm2.
    #[command(visible_alias = "dump")]
    Save(Save),
    /// Start what dump.pm2 lists and is not there.
    Resurrect,
    /// Take over the apps of a PM2: of its dump, or while it runs.
    Import(Import),
    /// Have rpm and the saved apps started at boot.
    Startup(Startup),
    /// Undo `startup`.
    Unstartup(Unstartup),
    /// Replace keeper and daemon by this program; apps run on.
    #[command(alias = "updatePM2")]
    Update,
    /// Stop everything, the daemon included.
    Kill,
    /// Say whether the daemon answers.
    Ping,
    /// Print all instances as JSON.
    Jlist,
    /// Print all instances as Node prints objects.
    #[command(alias = "prettyList")]
    Prettylist,
    /// Print the environment of an instance.
    Env(Name),
    /// Print what to send with a report of a bug.
    Report,
    /// Say what this machine can do for rpm, what is wrong, and what to do about it.
    Doctor(Doctor),
    /// Empty dump.pm2.
    Cleardump,
    /// Change a setting, or show all.
    Set(Set),
    /// Change several settings.
    Multiset(Multiset),
    /// Show a setting, or all.
    #[command(alias = "config")]
    Get(Get),
    /// Show all settings.
    Conf(Set),
    /// Forget a setting.
    Unset(Unset),
    /// Bring an app's git checkout up to date, and reload the app.
    Pull(Pull),
    /// Go to the next commit of an app's git checkout, and reload the app.
    Forward(Name),
    /// Go to the former commit of an app's git checkout, and reload the app.
    Backward(Name),
    /// Let a debugger into a Node app.
    Inspect(Name),
    /// Show commands to try.
    Examples,
    /// Print the line that lets a shell complete commands and apps.
    Completion(Shell),
    /// Print the manual page.
    Man,
    /// Print a JSON Schema of ecosystem files, for editors.
    Schema,
    /// Print what happens, as it happens.
    Events(Events),
    /// Print the ids of an app's instances.
    Id(Name),
    /// Print the pids of an app's instances.
    Pid(OptionalName),
    /// Zero restart counters.
    Reset(Act),
    /// Say something to an app: a JSON message to Node, a line to any other.
    Send(Send),
    /// Have apps do something they offer over their channel.
    Trigger(Trigger),
    /// Follow an app's output and type into its standard input.
    Attach(Attach),
    /// Send a signal to an app.
    #[command(name = "sendSignal", visible_alias = "signal")]
    SendSignal(SendSignal),
    /// Write an ecosystem file to begin with.
    #[command(visible_alias = "ecosystem")]
    Init(Init),
    /// Serve a directory over HTTP.
    #[command(visible_alias = "expose")]
    Serve(Box<Serve>),
    /// The static server itself, in the foreground.
    #[command(name = "__serve", hide = true)]
    ServeForeground(ServeForeground),
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
            assert_eq!(parse(line), Ok(Command::List(List::default())), "{line}");
        }
        for line in ["rpm describe 0", "rpm show 0", "rpm desc 0", "rpm info 0"] {
            let want = Describe { targets: vec!["0".into()], json: false, secrets: false };
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
        let restart = Restart { act: act(&["api"]), update_env: true, ..Restart::default() };
        assert_eq!(parse("rpm restart api -a"), Ok(Command::Restart(Box::new(restart))));
        let logs = Logs {
            targets: vec!["api".into()],
            lines: Some(3),
            nostream: true,
            raw: true,
            err: true,
            ..Logs::default()
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

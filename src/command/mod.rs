//! One file per kind of command; this one tells them apart.

mod act;
mod apply;
mod attach;
mod change;
mod describe;
mod diff;
mod doctor;
mod dump;
mod environment;
mod events;
mod examples;
mod flush;
mod foreground;
mod ids;
mod import;
mod init;
mod inspect;
mod kill;
mod list;
mod log_stream;
mod logs;
mod ping;
mod reload;
mod reload_logs;
mod report;
mod scale;
pub(crate) mod schema;
mod send;
mod send_signal;
pub(crate) mod serve;
mod settings;
mod source;
mod start;
mod start_options;
mod startup;
mod trigger;
mod update;
mod written;

use crate::{
    cli::{Command, Start, StartOr},
    error::CliError,
    session::Session,
};
use rpm_protocol::{Action, StartOrigin};

/// What a newcomer needs; the rest is in `--help`.
const WELCOME: &str = "\
rpm keeps programs running, in any language.

  rpm start app.js -i max    start a program, one instance per CPU on one port
  rpm ls                     see what runs
  rpm logs                   see what it says

`rpm --help` lists all commands, `rpm man` explains all options.
";

/// Says what to begin with.
pub(crate) fn welcome(session: &Session) -> Result<(), CliError> {
    session.print(WELCOME)?;
    // As under PM2: there was no command.
    Err(CliError::Told)
}

/// Runs one command.
pub(crate) async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Start(options) => start::run(session, *options).await,
        Command::Stop(options) => act::run(session, Action::Stop, options, false).await,
        Command::Restart(options) => act::again(session, Action::Restart, *options).await,
        Command::Reload(options) => act::again(session, Action::Reload, *options).await,
        Command::StartOrRestart(options) => {
            start::run_as(session, file_start(options), StartOrigin::File).await
        }
        Command::StartOrReload(options) => {
            start::run_as(session, file_start(options), StartOrigin::Reload).await
        }
        Command::Apply(options) => apply::run(session, options).await,
        Command::Diff(options) => diff::run(session, options).await,
        Command::Delete(options) => act::run(session, Action::Delete, options, false).await,
        Command::Reset(options) => act::run(session, Action::Reset, options, false).await,
        Command::Send(options) => send::run(session, options).await,
        Command::Trigger(options) => trigger::run(session, options).await,
        Command::Attach(options) => attach::run(session, options).await,
        Command::SendSignal(options) => send_signal::run(session, options).await,
        Command::Scale(options) => scale::run(session, options).await,
        Command::List(options) => list::run(session, options).await,
        Command::Jlist => list::json(session).await,
        Command::Prettylist => list::pretty(session).await,
        Command::Env(options) => environment::run(session, &options.name).await,
        Command::Report => report::run(session).await,
        Command::Doctor(options) => doctor::run(session, options).await,
        Command::Cleardump => dump::clear(session),
        Command::Set(options) => settings::set(session, options).await,
        Command::Multiset(options) => settings::multiset(session, &options.pairs).await,
        Command::Get(options) => settings::get(session, options.key.as_deref()),
        Command::Conf(_) => settings::get(session, None),
        Command::Unset(options) => settings::unset(session, &options.key).await,
        Command::Pull(options) => source::pull(session, options).await,
        Command::Forward(options) => source::step(session, &options.name, 1).await,
        Command::Backward(options) => source::step(session, &options.name, -1).await,
        Command::Inspect(options) => inspect::run(session, &options.name).await,
        Command::Examples => examples::run(session),
        Command::Completion(options) => crate::completion::run(session, options.shell.as_deref()),
        Command::Man => crate::manual::print(session),
        Command::Schema => schema::run(session),
        Command::Describe(options) => describe::run(session, options).await,
        Command::Logs(options) => logs::run(session, options).await,
        Command::Flush(options) => flush::run(session, options).await,
        Command::ReloadLogs => reload_logs::run(session).await,
        Command::Save(options) => dump::save(session, options.force).await,
        Command::Import(options) => import::run(session, &options).await,
        Command::Resurrect => dump::resurrect(session).await,
        Command::Startup(options) => startup::run(session, &options),
        Command::Unstartup(options) => startup::undo(session, &options),
        Command::Update => update::run(session).await,
        Command::Kill => kill::run(session).await,
        Command::Ping => ping::run(session).await,
        Command::Events(options) => events::run(session, options).await,
        Command::Id(options) => ids::ids(session, &options.name).await,
        Command::Pid(options) => ids::pids(session, options.name.as_deref()).await,
        Command::Init(options) => init::run(session, &options),
        Command::Serve(options) => serve::start(session, *options).await,
        // Has no part in the daemon; `run.rs` did it before.
        Command::ServeForeground(options) => serve::foreground(&options),
    }
}

/// `startOrRestart FILE` is `start FILE`.
fn file_start(options: StartOr) -> Start {
    Start { targets: vec![options.path], file: options.file, ..Start::default() }
}

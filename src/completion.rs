//! Completions for shells. The shell asks this program itself while a person types, so that the
//! names of apps are among them.

use crate::{cli::Cli, error::CliError, session::Session, shell_file};
use clap::CommandFactory;
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate},
};
use rpm_protocol::{Client, InstanceView, Request};
use std::{collections::BTreeSet, ffi::OsStr, time::Duration};

/// A person who waits for a completion waits no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers a shell that asks, and exits; returns where none does.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command).complete();
}

/// What completes a target: the names of apps, and `all`.
pub(crate) fn targets() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let names = names().unwrap_or_default();
        let typed = typed.to_string_lossy().into_owned();
        let all = names.into_iter().chain(["all".to_owned()]);
        let fitting = all.filter(|name| name.starts_with(&typed));
        fitting.map(CompletionCandidate::new).collect::<Vec<_>>()
    })
}

/// The names of the apps, if a daemon runs and answers at once.
fn names() -> Option<BTreeSet<String>> {
    let session = Session::new(&crate::cli::Global::default()).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let ask = async {
        let mut client = Client::connect(&session.home.socket()).await.ok()?;
        client.hello().await.ok()?;
        client.call::<Vec<InstanceView>>(Request::List).await.ok()
    };
    let fleet = runtime.block_on(async { rpm_protocol::within(PATIENCE, ask).await? })?;
    Some(fleet.iter().map(|one| one.name.to_string()).collect())
}

/// Prints the line that a shell's start file takes, the person's own shell's without a name; or
/// puts it there, or takes it out.
pub(crate) fn run(session: &Session, word: Option<&str>) -> Result<(), CliError> {
    match word {
        Some("install") => shell_file::install(session),
        Some("uninstall") => shell_file::uninstall(session),
        Some(shell) => session.print(&format!("{}\n", line(shell)?)),
        None => session.print(&format!("{}\n", line(&shell_file::name()?)?)),
    }
}

/// It asks for the script each time, so that the script is that of the installed rpm.
pub(crate) fn line(shell: &str) -> Result<&'static str, CliError> {
    match shell {
        "bash" | "sh" => Ok("source <(COMPLETE=bash rpm)"),
        "zsh" => Ok("source <(COMPLETE=zsh rpm)"),
        "fish" => Ok("COMPLETE=fish rpm | source"),
        "elvish" => Ok("eval (E:COMPLETE=elvish rpm | slurp)"),
        other => {
            let message = format!("there are no completions for {other}");
            Err(CliError::failed(message, "bash, zsh, fish and elvish have them"))
        }
    }
}

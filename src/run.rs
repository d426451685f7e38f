//! One command from its words to its exit code: parse, run, print the error once.

use crate::{
    absent,
    cli::{Cli, Command},
    command, completion,
    error::CliError,
    help,
    render::problem::problem,
    session::Session,
    words,
};
use clap::{
    FromArgMatches,
    error::{ContextKind, ContextValue},
};
use std::{ffi::OsString, process::ExitCode};
use tokio::runtime::Builder;

/// Runs the command line `words`, the program's name first.
pub(crate) fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    completion::answer();
    let command = help::command();
    let line = words::ordered(words.collect(), &command);
    let parsed = command.try_get_matches_from(line.words);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // Help goes to standard output and is no error; the rest is wrong usage, exit code 2.
        Err(error) => {
            if let Some(absent) = absent_command(&error) {
                return told(&absent, None);
            }
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let session = match Session::new(&cli.global) {
        Ok(session) => session,
        Err(error) => return told(&error, None),
    };
    // As under PM2 they are no mistake; who types them may think that they do something.
    for option in &line.meaningless {
        session.mention(&format!("{option} means nothing here"));
    }
    match execute(&session, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error, Some(&session)),
    }
}

/// A command or an option of PM2 that is not here has its own answer.
fn absent_command(error: &clap::Error) -> Option<CliError> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        Some(_) | None => None,
    };
    match (word(ContextKind::InvalidSubcommand), word(ContextKind::InvalidArg)) {
        (Some(command), _) => absent::of(command),
        (None, Some(option)) => absent::of_option(option),
        (None, None) => None,
    }
}

fn execute(session: &Session, command: Option<Command>) -> Result<(), CliError> {
    let Some(command) = command else { return command::welcome(session) };
    if let Command::ServeForeground(serve) = command {
        return command::serve::foreground(&serve);
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::io("no event loop", &error))?;
    let result = runtime.block_on(command::run(session, command));
    // A thread that reads a pipe or waits for a lock shall not hold up the end.
    runtime.shutdown_background();
    result
}

/// The one place where an error is printed.
fn told(error: &CliError, session: Option<&Session>) -> ExitCode {
    let colors = session.map_or(crate::render::style::Colors::Off, |session| session.err);
    if let Some(text) = problem(error, colors) {
        // Where standard error is closed, the exit code says it.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
    }
    ExitCode::from(error.exit_code())
}

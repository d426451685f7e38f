//! `attach`: an app's output as it comes, and what is typed here as its standard input.
//!
//! Ctrl-C ends this command and not the app. At the end of what is typed the output goes on.

use super::{logs, send};
use crate::{
    cli::{Attach, Cli, Command, Logs},
    error::CliError,
    session::{Session, targets},
};
use clap::Parser;
use rpm_protocol::{Client, Request, Told, Way};
use std::io::BufRead;
use tokio::sync::mpsc;

/// Lines that were typed and not sent yet; a pipe that has more waits.
const MAX_WAITING: usize = 16;

/// Follows and sends until either end is gone.
pub(crate) async fn run(session: &Session, options: Attach) -> Result<(), CliError> {
    let client = session.daemon().await?;
    let logs = logs_of(&options.target)?;
    tokio::select! {
        ended = logs::run(session, logs) => ended,
        ended = send_lines(client, &options) => ended,
    }
}

/// As if `rpm logs TARGET --raw` was typed. It begins with the last lines, so that an answer which
/// comes before they are followed is seen as well.
fn logs_of(target: &str) -> Result<Logs, CliError> {
    match Cli::try_parse_from(["rpm", "logs", "--raw", "--", target]).map(|cli| cli.command) {
        Ok(Some(Command::Logs(logs))) => Ok(logs),
        Ok(_) | Err(_) => Err(CliError::failed(format!("{target} is no app"), "rpm attach 0")),
    }
}

async fn send_lines(mut client: Client, options: &Attach) -> Result<(), CliError> {
    let end = options.separator.as_deref().unwrap_or("\n");
    let mut lines = typed();
    while let Some(line) = lines.recv().await {
        let (targets, text) = (targets(vec![options.target.clone()]), line + end);
        let request = Request::Send { targets, text, way: Way::Line };
        let told: Vec<Told> = client.call(request).await?;
        send::failure(&told)?;
    }
    std::future::pending().await
}

/// What comes from standard input, line by line, read on a thread of its own.
fn typed() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(MAX_WAITING);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

//! `kill`: ends everything. The one command that starts no daemon.

use crate::{error::CliError, launch, session::Session};
use rpm_protocol::{ClientError, Request};
use rpm_unix::lock;
use serde_json::Value;
use std::time::Duration;
use tokio::{task::spawn_blocking, time::timeout};

/// How long daemon and keeper may take to end after they have answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops all apps, the daemon and the keeper, and returns when they are gone.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let mut client = launch::greeted_if_running(session).await?;
    if client.is_none() && rpm_daemon::left_survivors(&session.home) {
        client = Some(session.daemon().await?);
    }
    let Some(mut client) = client else {
        session.tell("no daemon runs");
        return Ok(());
    };
    match client.call::<Value>(Request::Kill).await {
        // It may be gone before its answer is.
        Ok(_) | Err(ClientError::Closed) => {}
        Err(error) => return Err(error.into()),
    }
    drop(client);
    gone(session).await?;
    session.tell("all apps and the daemon are stopped");
    Ok(())
}

/// Until nobody holds the home's lock, which keeper and daemon share: the next start finds nothing
/// of them.
async fn gone(session: &Session) -> Result<(), CliError> {
    let path = session.home.lock();
    match timeout(PATIENCE, spawn_blocking(move || lock::lock(&path))).await {
        Ok(Ok(Ok(_))) => Ok(()),
        Ok(Ok(Err(error))) => Err(CliError::io("the home's lock", &error)),
        Ok(Err(error)) => Err(CliError::failed(error.to_string(), "rpm kill again")),
        Err(_) => {
            let hint = format!("{} says more", session.home.daemon_log().display());
            Err(CliError::failed("the apps are stopped, the daemon has not ended yet", hint))
        }
    }
}

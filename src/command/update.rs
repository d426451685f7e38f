//! `update`: keeper and daemon become this program, in place; apps run on.

use crate::{error::CliError, launch, session::Session};
use rpm_protocol::{ClientError, Request, Welcome};
use serde_json::Value;
use std::env;

/// Replaces keeper and daemon; returns when the new daemon answers.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let program = env::current_exe().map_err(|error| CliError::io("this program", &error))?;
    let Some(mut client) = launch::greeted_if_running(session).await? else {
        session.say("no daemon runs, so there is nothing to update");
        return Ok(());
    };
    let before: Welcome = client.call(Request::Ping).await?;
    match client.call::<Value>(Request::Update { program }).await {
        // It ends with its answer: what comes now is its successor.
        Err(ClientError::Closed) => {}
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    drop(client);
    let mut client = session.daemon().await?;
    let after: Welcome = client.call(Request::Ping).await?;
    if after.pid == before.pid {
        let hint = format!("{} says more", session.home.daemon_log().display());
        return Err(CliError::failed("the daemon is the same as before", hint));
    }
    session.say(&format!("updated: {} to {}", before.program, after.program));
    Ok(())
}

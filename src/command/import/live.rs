//! A PM2 that runs: each app is started here and deleted there. One that cannot run twice, because
//! its port is taken, is stopped there first, and started there again if it does not run here.

use super::{Outcome, act, start};
use crate::{error::CliError, session::Session};
use rpm_pm2_socket::{Entry, Group, Pm2, Pm2Error, Taken};
use rpm_protocol::{Acted, Action, Client, InstanceView, Request};
use serde_json::{Value, json};
use std::path::Path;

/// How long an app may take to be ready here.
const READY_MS: u64 = 60_000;

/// A PM2 and its list.
pub(super) async fn list(home: &Path) -> Result<(Pm2, Vec<Entry>), CliError> {
    let path = home.join("rpc.sock");
    let failed = |error: Pm2Error| {
        let hint = "rpm import reads the dump of one that does not run";
        CliError::failed(format!("{}: {error}", path.display()), hint)
    };
    let mut pm2 = Pm2::connect(&path).await.map_err(failed)?;
    let list = pm2.call("getMonitorData", json!({})).await.map_err(failed)?;
    let entry = |item: &Value| item.get("pm2_env").and_then(Value::as_object).cloned();
    Ok((pm2, list.as_array().into_iter().flatten().filter_map(entry).collect()))
}

/// Takes one app over.
pub(super) async fn take(
    session: &Session,
    client: &mut Client,
    pm2: &mut Pm2,
    group: &Group,
    taken: &Taken,
) -> Result<Outcome, CliError> {
    let outcome = match start(client, taken, Some(READY_MS)).await? {
        Ok(ids) => Ok(ids),
        Err(reason) => {
            forget(client, taken).await?;
            let name = &group.name;
            session.warn(&format!("{name} is stopped in PM2 first, since beside it: {reason}"));
            instead(client, pm2, group, taken).await?
        }
    };
    if outcome.is_ok() {
        // It runs here: what PM2 says now changes nothing of that.
        for id in group.ids() {
            if let Err(error) = pm2.call("deleteProcessId", json!(id)).await {
                session.warn(&format!("{} {id} is still in PM2's list: {error}", group.name));
            }
        }
    }
    Ok(outcome)
}

/// Starts it here once it is stopped there; if that fails it runs there again.
async fn instead(
    client: &mut Client,
    pm2: &mut Pm2,
    group: &Group,
    taken: &Taken,
) -> Result<Outcome, CliError> {
    for id in group.ids() {
        if let Err(error) = pm2.call("stopProcessId", json!(id)).await {
            return Ok(Err(error.to_string()));
        }
    }
    let outcome = start(client, taken, Some(READY_MS)).await?;
    if let Err(reason) = outcome {
        forget(client, taken).await?;
        return Ok(Err(back(pm2, group, taken, reason).await));
    }
    Ok(outcome)
}

/// Starts it in PM2 again; the reason with what came of that.
async fn back(pm2: &mut Pm2, group: &Group, taken: &Taken, reason: String) -> String {
    let ran = group.ids().into_iter().enumerate().filter(|(slot, _)| !taken.stopped.contains(slot));
    for (_, id) in ran {
        let again = pm2.call("restartProcessId", json!({ "id": id, "env": {} })).await;
        if let Err(error) = again {
            return format!("{reason}; and in PM2 it is stopped: {error}");
        }
    }
    format!("{reason}; it runs in PM2 again")
}

/// Takes back a start that came to nothing. One that was refused has left nothing.
async fn forget(client: &mut Client, taken: &Taken) -> Result<(), CliError> {
    let all: Vec<InstanceView> = client.call(Request::List).await?;
    let of_it = all.into_iter().filter(|one| one.name == taken.spec.name);
    let ids: Vec<String> = of_it.map(|one| one.id.to_string()).collect();
    if !ids.is_empty() {
        let _: Acted = client.call(act(Action::Delete, ids)).await?;
    }
    Ok(())
}

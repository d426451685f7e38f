//! `save` and `resurrect`: the list of apps in `dump.pm2`.

use crate::{command::act, error::CliError, session::Session};
use rpm_protocol::{Acted, Request};
use std::path::PathBuf;

/// Writes the list.
pub(crate) async fn save(session: &Session, force: bool) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let path: PathBuf = client.call(Request::Save { force }).await?;
    session.tell(&format!("saved {}", path.display()));
    Ok(())
}

/// Makes the list empty; the former one stays beside it. Needs no daemon.
pub(crate) fn clear(session: &Session) -> Result<(), CliError> {
    session.home.create().map_err(CliError::Home)?;
    let path = session.home.dump();
    let failed = |error| CliError::io(&path.display().to_string(), &error);
    if path.exists() {
        std::fs::copy(&path, path.with_extension("pm2.bak")).map_err(failed)?;
    }
    rpm_unix::atomic::write(&path, b"[]").map_err(failed)?;
    session.tell(&format!("emptied {}", path.display()));
    Ok(())
}

/// Starts what the list has and the fleet lacks. A boot waits for it.
pub(crate) async fn resurrect(session: &Session) -> Result<(), CliError> {
    let result = bring_back(session).await;
    // What failed is told on standard error; the service is up as far as it can be.
    if let Err(error) = rpm_unix::notify::tell("READY=1") {
        session.warn(&format!("the service manager was not told: {error}"));
    }
    result
}

async fn bring_back(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let acted: Acted = client.call(Request::Resurrect).await?;
    if acted.instances.is_empty() && acted.failure.is_none() {
        session.tell("nothing to resurrect: all of it is there");
    }
    act::settle(session, "resurrected", acted)?;
    session.show_table(&mut client).await
}

//! `reloadLogs`: log files are opened anew.

use crate::{error::CliError, session::Session};
use rpm_protocol::Request;

/// For an outside logrotate, which has moved the files; SIGUSR2 to the daemon does the same.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let () = client.call(Request::ReloadLogs).await?;
    session.say("log files are open anew");
    Ok(())
}

//! `--attach` and `--no-daemon`: a command that goes on with the logs of what it acted on.
//!
//! The daemon is the same as ever. With `--no-daemon` a container's only command can be `rpm start`:
//! it stays in the foreground, and what it started ends with it.

use super::{kill, logs};
use crate::{
    cli::{After, Logs},
    error::CliError,
    session::Session,
};
use rpm_logs::times::now_ms;
use tokio::signal::unix::{SignalKind, signal};

/// A command that may go on.
pub(crate) struct Foreground {
    after: After,
    /// When it began: older lines are not its apps'.
    began: u64,
    /// Whether a daemon ran before it.
    found: bool,
}

impl Foreground {
    /// At the command's begin; `found` says whether a daemon runs.
    pub(crate) fn new(after: After, found: bool) -> Self {
        Self { after, began: now_ms(), found }
    }

    /// Goes on, if that is asked for; `failed` says what became of the command itself.
    pub(crate) async fn go_on(
        &self,
        session: &Session,
        targets: Vec<String>,
        failed: bool,
    ) -> Result<(), CliError> {
        let is_owner = self.after.no_daemon && !self.found;
        if failed {
            if is_owner {
                kill::run(session).await?;
            }
            return Err(CliError::Told);
        }
        match (is_owner, self.after.is_any()) {
            (true, _) => self.until_told_to_end(session).await,
            (false, true) => logs::run(session, self.logs(targets)).await,
            (false, false) => Ok(()),
        }
    }

    fn logs(&self, targets: Vec<String>) -> Logs {
        Logs { targets, since: Some(self.began), ..Logs::default() }
    }

    /// Until SIGINT or SIGTERM, which end all, or until somebody else ended the daemon.
    async fn until_told_to_end(&self, session: &Session) -> Result<(), CliError> {
        let on = |kind| signal(kind).map_err(|error| CliError::io("no signals", &error));
        let mut interrupt = on(SignalKind::interrupt())?;
        let mut terminate = on(SignalKind::terminate())?;
        tokio::select! {
            ended = logs::run(session, self.logs(Vec::new())) => ended,
            _ = interrupt.recv() => kill::run(session).await,
            _ = terminate.recv() => kill::run(session).await,
        }
    }
}

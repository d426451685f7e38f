//! `--attach` and `--no-daemon`: a command that goes on with the logs of what it acted on.
//!
//! The daemon is the same as ever. With `--no-daemon` a container's only command can be
//! `rpm start`: it stays in the foreground, and what it started ends with it.

use super::{kill, logs};
use crate::{
    cli::{After, Logs},
    error::CliError,
    session::Session,
};
use rpm_logs::times::now_ms;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A command that may go on.
pub(crate) struct Foreground {
    after: After,
    /// When it began: older lines are not its apps'.
    began: u64,
    /// With `--no-daemon`, where no daemon ran: who says that all is to end.
    owner: Option<Owner>,
}

/// SIGINT and SIGTERM, heard from the command's begin on: one that comes while apps start counts.
struct Owner {
    interrupt: Signal,
    terminate: Signal,
}

impl Owner {
    fn new() -> Result<Self, CliError> {
        let on = |kind| signal(kind).map_err(|error| CliError::io("no signals", &error));
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: on(interrupt)?, terminate: on(terminate)? })
    }

    async fn says_end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl Foreground {
    /// At the command's begin; `found` says whether a daemon runs.
    pub(crate) fn new(after: After, found: bool) -> Result<Self, CliError> {
        let owner = (after.no_daemon && !found).then(Owner::new).transpose()?;
        Ok(Self { after, began: now_ms(), owner })
    }

    /// Goes on, if that is asked for; `failed` says what became of the command itself.
    pub(crate) async fn go_on(
        self,
        session: &Session,
        targets: Vec<String>,
        failed: bool,
    ) -> Result<(), CliError> {
        let Self { after, began, owner } = self;
        let logs = |targets| Logs { targets, since: Some(began), ..Logs::default() };
        match (owner, failed) {
            (Some(_), true) => {
                kill::run(session).await?;
                Err(CliError::Told)
            }
            (Some(mut owner), false) => tokio::select! {
                // Or somebody else has ended the daemon.
                ended = logs::run(session, logs(Vec::new())) => ended,
                () = owner.says_end() => kill::run(session).await,
            },
            (None, true) => Err(CliError::Told),
            (None, false) if after.is_any() => logs::run(session, logs(targets)).await,
            (None, false) => Ok(()),
        }
    }
}

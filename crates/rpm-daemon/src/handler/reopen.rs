//! `reloadLogs`, and SIGUSR2: log files are opened anew, after an outside logrotate.

use crate::{engine::Engine, inbox::Responder, replies::respond};
use rpm_protocol::RpcError;
use tokio::task::spawn_local;

impl Engine {
    /// Opens all log files by their paths; answered when that is done.
    pub(crate) fn reopen_logs(&self, to: Option<Responder>) {
        let reopened = self.logs.lanes.reopen();
        spawn_local(async move {
            let failed = reopened.await;
            for (path, error) in &failed {
                tracing::error!("{} is not opened anew: {error}", path.display());
            }
            let Some(to) = to else { return };
            respond(
                to,
                match failed.first() {
                    None => Ok(()),
                    Some((path, error)) => {
                        let message = format!("{} could not be opened: {error}", path.display());
                        let hint = "lines go on into the file that was open".to_owned();
                        Err(RpcError::failed(message, Some(hint)))
                    }
                },
            );
        });
    }
}

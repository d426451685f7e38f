//! `flush`: empties log files.

use crate::{
    cli::Targets,
    error::CliError,
    session::{Session, targets},
};
use rpm_protocol::Request;
use std::path::PathBuf;

/// Empties the logs of the targets; of all, and the daemon's own, without any.
pub(crate) async fn run(session: &Session, options: Targets) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let request = Request::Flush { targets: targets(options.targets) };
    let emptied: Vec<PathBuf> = client.call(request).await?;
    for path in &emptied {
        session.tell(&format!("emptied {}", path.display()));
    }
    Ok(())
}

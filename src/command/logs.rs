//! `logs`.
use crate::{cli::Logs, error::CliError, session::Session};
pub(crate) async fn run(_session: &Session, _options: Logs) -> Result<(), CliError> {
    Ok(())
}

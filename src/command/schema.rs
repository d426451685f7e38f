//! `schema`: what an ecosystem file may have in it, as a JSON Schema for editors.

use crate::{error::CliError, session::Session};

/// Prints it.
pub(crate) fn run(session: &Session) -> Result<(), CliError> {
    session.print(&format!("{:#}\n", rpm_config::schema()))
}

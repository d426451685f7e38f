//! `ping`: whether the daemon answers.

use crate::{error::CliError, session::Session};
use rpm_protocol::{Request, Welcome};

/// Prints what PM2 prints.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let welcome: Welcome = client.call(Request::Ping).await?;
    session.mention(&format!("daemon {}, pid {}", welcome.program, welcome.pid));
    session.show("{ msg: 'pong' }")
}

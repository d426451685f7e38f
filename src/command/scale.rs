//! `scale`: more or fewer instances.

use crate::{cli::Scale, command::act, error::CliError, session::Session};
use rpm_config::AppName;
use rpm_protocol::{Acted, Request};

/// Changes the number of an app's instances.
pub(crate) async fn run(session: &Session, options: Scale) -> Result<(), CliError> {
    let app = AppName::new(options.app)
        .map_err(|error| CliError::Failed { message: error.to_string(), hint: None })?;
    let mut client = session.daemon().await?;
    let acted: Acted = client.call(Request::Scale { app, to: options.instances }).await?;
    act::settle(session, "scaled", acted)?;
    session.show_table(&mut client).await
}

//! `sendSignal`: a signal to apps.

use crate::{
    cli::SendSignal,
    error::CliError,
    session::{Session, targets},
};
use rpm_protocol::{Acted, Request};

/// Sends it to all targets.
pub(crate) async fn run(session: &Session, options: SendSignal) -> Result<(), CliError> {
    let SendSignal { signal: word, target } = options;
    let signal = rpm_config::signal(&word).map_err(|error| {
        CliError::failed(format!("{word}: {error}"), "rpm sendSignal SIGUSR2 api")
    })?;
    let mut client = session.daemon().await?;
    let request = Request::Signal { targets: targets(vec![target]), signal };
    let acted: Acted = client.call(request).await?;
    super::act::settle(session, &format!("sent {word} to"), acted)?;
    session.show_table(&mut client).await
}

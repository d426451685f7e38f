//! `send`: says something to apps.

use crate::{
    cli::Send,
    error::CliError,
    session::{Session, targets},
};
use rpm_protocol::{Request, Told, Way};

/// Says it to all targets, and fails if one does not hear it.
pub(crate) async fn run(session: &Session, options: Send) -> Result<(), CliError> {
    let text = options.text.join(" ");
    let (way, text) = match (options.message, options.line) {
        (true, _) => (Way::Message, text),
        (false, true) => (Way::Line, text + "\n"),
        (false, false) => (Way::Either, text),
    };
    let mut client = session.daemon().await?;
    let targets = targets(vec![options.target]);
    let told: Vec<Told> = client.call(Request::Send { targets, text, way }).await?;
    told.iter().filter(|one| one.failure.is_none()).for_each(|one| session.tell(&sent(one)));
    failure(&told)?;
    session.show_table(&mut client).await
}

fn sent(Told { id, name, way, .. }: &Told) -> String {
    match way {
        Way::Message => format!("sent a message to {name} ({id})"),
        Way::Line | Way::Either => format!("sent a line to {name} ({id})"),
    }
}

/// The first that could not be told something.
pub(crate) fn failure(told: &[Told]) -> Result<(), CliError> {
    let failed = told.iter().find_map(|one| Some((one, one.failure.as_ref()?)));
    let Some((Told { id, name, .. }, reason)) = failed else { return Ok(()) };
    Err(CliError::Failed { message: format!("{name} {id}: {reason}"), hint: None })
}

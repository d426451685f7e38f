//! `trigger`: has apps do what they offer over their channels, and prints their replies.

use crate::{
    cli::Trigger,
    error::CliError,
    session::{Session, targets},
};
use rpm_protocol::{Request, TRIGGER_PATIENCE, Triggered};

/// Asks all targets that offer the action; fails if one does not reply.
pub(crate) async fn run(session: &Session, options: Trigger) -> Result<(), CliError> {
    let Trigger { target, action, param } = options;
    let mut client = session.daemon().await?;
    let targets = targets(vec![target]);
    let request = Request::Trigger { targets, action: action.clone(), param };
    let replies: Vec<Triggered> = client.call(request).await?;
    session.say(&format!("{} processes have received command {action}", replies.len()));
    for Triggered { id, name, namespace, reply } in &replies {
        if let Some(reply) = reply {
            session.print(&format!("[{name}:{id}:{namespace}]={reply}\n"))?;
        }
    }
    match replies.iter().find(|one| one.reply.is_none()) {
        None => Ok(()),
        Some(Triggered { id, name, .. }) => {
            let seconds = TRIGGER_PATIENCE.as_secs();
            let message = format!("{name} {id} did not reply within {seconds} s, or ended");
            Err(CliError::Failed { message, hint: None })
        }
    }
}

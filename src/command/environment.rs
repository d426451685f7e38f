//! `env`: the environment of an instance, as its worker has it.

use crate::{
    error::CliError,
    session::{Session, targets},
};
use rpm_protocol::{Client, InstanceDetail, Request};

/// One `name: value` a line, as PM2 prints it.
pub(crate) async fn run(session: &Session, word: &str) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let detail = first(&mut client, word).await?;
    let lines = detail.environment.iter().map(|(name, value)| format!("{name}: {value}\n"));
    session.print(&lines.collect::<String>())
}

/// The first instance that `word` means.
pub(crate) async fn first(client: &mut Client, word: &str) -> Result<InstanceDetail, CliError> {
    let request = Request::Describe { targets: targets(vec![word.to_owned()]), secrets: true };
    let details: Vec<InstanceDetail> = client.call(request).await?;
    let first = details.into_iter().min_by_key(|detail| detail.view.id);
    first.ok_or_else(|| CliError::failed(format!("{word} is gone"), "rpm ls shows what there is"))
}

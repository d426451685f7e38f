//! `list` and `jlist`.

use crate::{
    error::CliError,
    render::jlist,
    session::{Session, targets},
};
use rpm_protocol::{InstanceDetail, Request};

/// The table.
pub(crate) async fn table(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    session.show_table(&mut client).await
}

/// PM2's JSON, and nothing else on standard output.
pub(crate) async fn json(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let request = Request::Describe { targets: targets(Vec::new()) };
    let mut details: Vec<InstanceDetail> = client.call(request).await?;
    details.sort_by_key(|detail| detail.view.id);
    session.print(&jlist::text(&details))
}

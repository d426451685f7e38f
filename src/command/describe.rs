//! `describe`: everything about some instances.

use crate::{
    cli::Describe,
    error::CliError,
    render::detail,
    session::{Session, targets},
};
use rpm_protocol::{InstanceDetail, Request};

/// Prints the details, for a person or as JSON.
pub(crate) async fn run(session: &Session, options: Describe) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let request = Request::Describe { targets: targets(options.targets), secrets: options.secrets };
    let mut details: Vec<InstanceDetail> = client.call(request).await?;
    details.sort_by_key(|detail| detail.view.id);
    if options.json {
        return session.print(&json(&details)?);
    }
    session.show(&detail::all(&details, session.out))
}

fn json(details: &[InstanceDetail]) -> Result<String, CliError> {
    serde_json::to_string_pretty(details).map(|text| text + "\n").map_err(|error| {
        CliError::Failed { message: format!("the details are no JSON: {error}"), hint: None }
    })
}

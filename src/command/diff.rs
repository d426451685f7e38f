//! `diff`: what an ecosystem file would change about apps that are there.

use crate::{
    cli::{Diff, FileOptions},
    command::apply::Plan,
    error::CliError,
    fleet_file,
    session::{Session, targets},
};
use rpm_config::{AppName, AppSpec};
use rpm_protocol::{InstanceDetail, Request};
use std::collections::{BTreeMap, BTreeSet};

/// Prints the differences of each target; that there are some is no failure.
pub(crate) async fn run(session: &Session, options: Diff) -> Result<(), CliError> {
    let Diff { targets: words, env, json } = options;
    let file = FileOptions { only: None, env };
    let mut client = session.daemon().await?;
    let (files, words): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| fleet_file::is_file(word));
    let mut wanted: BTreeMap<String, BTreeSet<AppName>> =
        files.into_iter().map(|file| (file, BTreeSet::new())).collect();
    if !words.is_empty() {
        let request = Request::Describe { targets: targets(words), secrets: true };
        for detail in client.call::<Vec<InstanceDetail>>(request).await? {
            let (name, file) = described(detail.spec)?;
            wanted.entry(file).or_default().insert(name);
        }
    }
    let mut plan = Plan::default();
    for (path, names) in wanted {
        plan.read(session, &mut client, (&path, &file), false).await?;
        plan.keep_of(&path, &names);
    }
    plan.show(session, json)
}

/// An app and the file it came from.
fn described(spec: AppSpec) -> Result<(AppName, String), CliError> {
    match spec.file {
        Some(file) => Ok((spec.name, file.display().to_string())),
        None => {
            let message = format!("{} was started without an ecosystem file", spec.name);
            Err(CliError::failed(message, "name the file: rpm diff ecosystem.toml"))
        }
    }
}

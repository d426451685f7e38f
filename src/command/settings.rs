//! `set`, `multiset`, `get`, `conf`, `unset`: the settings of a home.

use crate::{
    cli::Set,
    error::CliError,
    launch,
    session::Session,
    settings::{self, Settings},
};
use rpm_protocol::Request;

/// Changes one setting; shows all without a name.
pub(crate) async fn set(session: &Session, options: Set) -> Result<(), CliError> {
    let Set { key: Some(key), value } = options else { return get(session, None) };
    let Some(value) = value else {
        return Err(CliError::failed(format!("{key} has no value"), "rpm set NAME VALUE"));
    };
    change(session, &[(key, value)]).await
}

/// Changes several, all or none.
pub(crate) async fn multiset(session: &Session, pairs: &str) -> Result<(), CliError> {
    let words: Vec<&str> = pairs.split_whitespace().collect();
    let (pairs, rest) = words.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        let message = format!("{} words are no names with values", words.len());
        return Err(CliError::failed(message, "rpm multiset \"app:a 1 app:b 2\""));
    }
    let pairs: Vec<_> = pairs.iter().map(|[k, v]| ((*k).to_owned(), (*v).to_owned())).collect();
    change(session, &pairs).await
}

async fn change(session: &Session, pairs: &[(String, String)]) -> Result<(), CliError> {
    let mut settings = Settings::read(&session.home)?;
    for (key, value) in pairs {
        check(key, value)?;
        settings.set(key, value)?;
    }
    settings.write(&session.home)?;
    in_effect(session).await?;
    pairs.iter().for_each(|(key, value)| session.tell(&format!("set {key} to {value}")));
    Ok(())
}

/// The one setting that rpm itself goes by has to say something.
fn check(key: &str, value: &str) -> Result<(), CliError> {
    if !["logs:max_total", "logs.max_total"].contains(&key) {
        return Ok(());
    }
    let size = rpm_config::size(value);
    size.map(drop)
        .map_err(|error| CliError::failed(format!("{key}: {error}"), "rpm set logs:max_total 5G"))
}

/// Prints one setting or all. One that is not there is a silent failure, as under PM2.
pub(crate) fn get(session: &Session, key: Option<&str>) -> Result<(), CliError> {
    let settings = Settings::read(&session.home)?;
    let Some(key) = key.filter(|key| *key != "all") else {
        let lines = settings.all().into_iter().map(|(name, value)| format!("{name} {value}\n"));
        return session.print(&lines.collect::<String>());
    };
    match settings.get(key)? {
        Some(value) => session.print(&(settings::text(value) + "\n")),
        None => Err(CliError::Told),
    }
}

/// Forgets one setting, or all.
pub(crate) async fn unset(session: &Session, key: &str) -> Result<(), CliError> {
    let mut settings = Settings::read(&session.home)?;
    if key == "all" {
        settings = Settings::default();
    } else if !settings.unset(key)? {
        let hint = "rpm get shows what is set";
        return Err(CliError::failed(format!("{key} is not set"), hint));
    }
    settings.write(&session.home)?;
    in_effect(session).await?;
    session.tell(&format!("unset {key}"));
    Ok(())
}

/// Tells a daemon that runs; the next one reads for itself.
async fn in_effect(session: &Session) -> Result<(), CliError> {
    let Some(mut client) = launch::greeted_if_running(session).await? else { return Ok(()) };
    Ok(client.call(Request::ReadSettings).await?)
}

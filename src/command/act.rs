//! Commands on instances that exist: stop, restart, reload, delete, reset, and start by name.

use crate::{
    cli::{Act, After, FileOptions, Restart, Start},
    command::{
        change::{self, Change},
        foreground::Foreground,
        reload, start,
    },
    error::CliError,
    fleet_file,
    session::{Session, targets},
};
use rpm_protocol::{Acted, Action, Client, InstanceView, Request, StartOrigin};
use std::collections::BTreeMap;

/// Does `action` to the targets; an ecosystem file means the apps it names.
pub(crate) async fn run(
    session: &Session,
    action: Action,
    options: Act,
    update_env: bool,
) -> Result<(), CliError> {
    let environment = environment(update_env, &options)?;
    let mut words = words(&options)?;
    let mut client = session.daemon().await?;
    if options.targets.iter().any(|word| fleet_file::is_file(word)) {
        // Of a file's apps those that are not there need nothing, as under PM2.
        let fleet: Vec<InstanceView> = client.call(Request::List).await?;
        let is_there = |word: &String| fleet.iter().any(|one| one.name.as_str() == word);
        words.retain(|word| options.targets.contains(word) || is_there(word));
    }
    if words.is_empty() {
        session.tell("none of these apps is there");
    } else {
        act(session, &mut client, action, words, environment).await?;
    }
    session.show_table(&mut client).await
}

/// What a reload asks of the daemon.
pub(crate) fn reload_request(options: Act, update_env: bool) -> Result<Request, CliError> {
    let environment = environment(update_env, &options)?;
    let targets = targets(words(&options)?);
    Ok(Request::Act { action: Action::Reload, targets, environment })
}

/// Restarts or reloads the targets, with new options if there are any. A file is started again,
/// with what it says now.
pub(crate) async fn again(
    session: &Session,
    action: Action,
    mut options: Restart,
) -> Result<(), CliError> {
    let targets = std::mem::take(&mut options.act.targets);
    let (files, words): (Vec<_>, Vec<_>) =
        targets.into_iter().partition(|word| fleet_file::is_file(word));
    if !files.is_empty() {
        let origin = origin(action);
        // Who goes on with the logs does so once, at the end.
        let after = if words.is_empty() { options.after.clone() } else { After::default() };
        let (file, app) = (options.act.file.clone(), options.app.clone());
        let start = Start { targets: files, file, after, app, ..Start::default() };
        start::run_as(session, start, origin).await?;
        // They choose from a file.
        options.act.file = FileOptions::default();
    }
    if words.is_empty() {
        return Ok(());
    }
    let foreground = Foreground::new(options.after.clone(), true)?;
    options.act.targets = words.clone();
    those(session, action, options).await?;
    foreground.go_on(session, words, false).await
}

fn origin(action: Action) -> StartOrigin {
    if action == Action::Reload { StartOrigin::Reload } else { StartOrigin::File }
}

/// Restarts or reloads what is there.
async fn those(session: &Session, action: Action, options: Restart) -> Result<(), CliError> {
    let Restart { act: options, update_env, app, app_args, force: _, after: _ } = options;
    let origin = origin(action);
    let change = Change { flags: &app, args: &app_args, update_env, toggles_watch: true, origin };
    if !change.is_any() && action == Action::Reload {
        return reload::run(session, options, update_env).await;
    }
    if !change.is_any() {
        return run(session, action, options, update_env).await;
    }
    let words = self::words(&options)?;
    let mut client = session.daemon().await?;
    let failed = change::run(session, &mut client, words, &change).await?;
    session.show_table(&mut client).await?;
    if failed { Err(CliError::Told) } else { Ok(()) }
}

/// Asks, and says which instances it was done to.
pub(crate) async fn act(
    session: &Session,
    client: &mut Client,
    action: Action,
    words: Vec<String>,
    environment: Option<BTreeMap<String, String>>,
) -> Result<(), CliError> {
    let request = Request::Act { action, targets: targets(words), environment };
    let acted: Acted = client.call(request).await?;
    settle(session, done(action), acted)
}

/// Tells what was done, and fails if an instance did.
pub(crate) fn settle(session: &Session, verb: &str, acted: Acted) -> Result<(), CliError> {
    match acted.failure {
        Some(failure) => Err(CliError::Failure(failure)),
        None => {
            by_app(&acted).iter().for_each(|line| session.tell(&format!("{verb} {line}")));
            Ok(())
        }
    }
}

/// `api (0, 1)` for each app.
fn by_app(acted: &Acted) -> Vec<String> {
    let mut apps: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (id, app) in &acted.instances {
        apps.entry(app.as_str()).or_default().push(id.to_string());
    }
    apps.iter().map(|(app, ids)| format!("{app} ({})", ids.join(", "))).collect()
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Restart => "restarted",
        Action::Reload => "reloaded",
        Action::Delete => "deleted",
        Action::Reset => "reset",
    }
}

/// The words for the daemon, with names in place of files.
fn words(options: &Act) -> Result<Vec<String>, CliError> {
    let mut words = Vec::new();
    for word in &options.targets {
        if fleet_file::is_file(word) {
            let context = fleet_file::context(&options.file)?;
            words.extend(fleet_file::read(word, &options.file, &context)?.names(&context));
        } else if options.file.env.is_some() || options.file.only.is_some() {
            let message = format!("{word} is no ecosystem file, --env and --only choose from one");
            return Err(CliError::failed(message, "name the file: rpm restart ecosystem.toml"));
        } else {
            words.push(word.clone());
        }
    }
    Ok(words)
}

fn environment(wanted: bool, options: &Act) -> Result<Option<BTreeMap<String, String>>, CliError> {
    if !wanted {
        return Ok(None);
    }
    Ok(Some(fleet_file::context(&options.file)?.environment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::AppName;

    #[test]
    fn instances_are_told_by_app() {
        let app = |name| AppName::new(name).unwrap();
        let instances = vec![(2, app("web")), (0, app("api")), (1, app("api"))];
        let acted = Acted { instances, failure: None };
        assert_eq!(by_app(&acted), ["api (0, 1)", "web (2)"]);
    }

    #[test]
    fn files_become_names_and_other_words_stay() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("e.json");
        std::fs::write(&file, r#"{"apps": [{"script": "api.js"}, {"script": "web.js"}]}"#).unwrap();
        let file = file.display().to_string();
        let only = |only: Option<&str>| FileOptions { only: only.map(Into::into), env: None };
        let options = |targets, only| Act { targets, file: only };
        let both = options(vec!["3".into(), file.clone()], only(None));
        assert_eq!(words(&both).unwrap(), ["3", "api", "web"]);
        let one = options(vec![file], only(Some("web")));
        assert_eq!(words(&one).unwrap(), ["web"]);
        let no_file = options(vec!["api".into()], only(Some("web")));
        assert!(matches!(words(&no_file), Err(CliError::Failed { .. })));
    }
}

//! `start`, `restart` and `reload` of apps that exist, with options: the apps get them, all their
//! instances included, and begin anew.

use crate::{
    cli::AppFlags,
    command::{act, start, start_options},
    error::CliError,
    fleet_file,
    session::{Session, targets},
};
use rpm_config::{AppName, AppSpec, Context, amend, with_environment_of};
use rpm_protocol::{Action, Client, InstanceDetail, Request, StartOrigin};
use std::collections::BTreeMap;

/// What is asked for.
pub(crate) struct Change<'a> {
    /// The options that describe the app.
    pub(crate) flags: &'a AppFlags,
    /// New arguments, if there are any.
    pub(crate) args: &'a [String],
    /// Whether the caller's environment replaces the one they inherited.
    pub(crate) update_env: bool,
    /// Whether `--watch` without paths ends the watching of what is watched, as `restart` does.
    pub(crate) toggles_watch: bool,
    /// Whether they are restarted or reloaded.
    pub(crate) origin: StartOrigin,
}

impl Change<'_> {
    /// Whether anything about the apps is to be different.
    pub(crate) fn is_any(&self) -> bool {
        *self.flags != AppFlags::default() || !self.args.is_empty()
    }
}

/// Changes the apps that `words` mean; whether one failed.
pub(crate) async fn run(
    session: &Session,
    client: &mut Client,
    words: Vec<String>,
    change: &Change<'_>,
) -> Result<bool, CliError> {
    let context = fleet_file::context(&Default::default())?;
    let details: Vec<InstanceDetail> =
        client.call(Request::Describe { targets: targets(words), secrets: true }).await?;
    let specs: BTreeMap<AppName, AppSpec> =
        details.into_iter().map(|one| (one.spec.name.clone(), one.spec)).collect();
    let mut apps = Vec::new();
    for spec in specs.values() {
        apps.push((changed(spec, change, &context)?, change.origin));
    }
    if let Some(name) = &change.flags.name {
        rename(session, client, &specs, name).await?;
        for (spec, origin) in &mut apps {
            spec.name = checked(name)?;
            *origin = StartOrigin::File;
        }
    }
    start::start_apps(session, client, apps, None).await
}

fn changed(spec: &AppSpec, change: &Change<'_>, context: &Context) -> Result<AppSpec, CliError> {
    let mut options = start_options::of_change(change.flags, change.args)?;
    if change.toggles_watch && change.flags.more.watch == ["true"] && spec.watch.is_some() {
        let option = "--watch";
        options.set("watch", "false").map_err(|value| CliError::Usage { option, value })?;
    }
    let spec = if change.update_env { &with_environment_of(spec, context) } else { spec };
    Ok(amend(spec, &options, context)?)
}

fn checked(name: &str) -> Result<AppName, CliError> {
    AppName::new(name).map_err(|error| CliError::Failed { message: error.to_string(), hint: None })
}

/// Another name: the app is stopped for it, since sockets and files carry the name.
async fn rename(
    session: &Session,
    client: &mut Client,
    specs: &BTreeMap<AppName, AppSpec>,
    name: &str,
) -> Result<(), CliError> {
    let to = checked(name)?;
    let mut apps = specs.keys();
    let (Some(app), None) = (apps.next(), apps.next()) else {
        let message = format!("{} apps cannot all be called {name}", specs.len());
        return Err(CliError::failed(message, "name one of them"));
    };
    if *app == to {
        return Ok(());
    }
    if client_has(client, &to).await? {
        let message = format!("an app named {name} exists already");
        return Err(CliError::failed(message, "choose another name"));
    }
    act::act(session, client, Action::Stop, vec![app.to_string()], None).await?;
    let _: rpm_protocol::Acted = client.call(Request::Rename { app: app.clone(), to }).await?;
    Ok(())
}

async fn client_has(client: &mut Client, name: &AppName) -> Result<bool, CliError> {
    let fleet: Vec<rpm_protocol::InstanceView> = client.call(Request::List).await?;
    Ok(fleet.iter().any(|one| one.name == *name))
}

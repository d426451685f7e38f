//! `start`: scripts, programs, command lines, ecosystem files, and what is there but stopped.
//!
//! Everything is looked at before anything is started: one wrong word, and nothing is.

use crate::{
    cli::{AppFlags, Start},
    command::{
        act,
        change::{self, Change},
        foreground::Foreground,
        reload, start_options, written,
    },
    error::CliError,
    fleet_file, launch,
    render::problem,
    session::{Session, targets},
};
use rpm_config::{AppName, AppSpec, Context, Warning, in_order, nearest, resolve};
use rpm_protocol::{Action, Client, ClientError, InstanceView, Request, StartOrigin, Started};
use std::{collections::BTreeSet, time::Duration};

/// What the words of a command line ask to be started.
#[derive(Default)]
struct Plan {
    /// New apps, or new descriptions.
    apps: Vec<(AppSpec, StartOrigin)>,
    /// Words for what is there already.
    existing: Vec<String>,
    warnings: Vec<Warning>,
    /// What is done to the apps of a file that exist.
    origin: StartOrigin,
}

/// Starts all that is named, and shows the table.
pub(crate) async fn run(session: &Session, options: Start) -> Result<(), CliError> {
    run_as(session, options, StartOrigin::File).await
}

/// As [`run`]; `origin` says what is done to the apps of a file that exist.
pub(crate) async fn run_as(
    session: &Session,
    mut options: Start,
    origin: StartOrigin,
) -> Result<(), CliError> {
    let context = fleet_file::context(&options.file)?;
    if options.targets.is_empty() {
        let file = fleet_file::of_directory(&context.cwd)?;
        options.targets.push(file.display().to_string());
    }
    let wait_ms = wait(options.wait)?;
    start_options::of_flags(&options.app)?;
    let mut running = launch::greeted_if_running(session).await?;
    let foreground = Foreground::new(options.after.clone(), running.is_some())?;
    let mut plan = Plan { origin, ..Plan::default() };
    plan.fill(session, &options, &context, running.as_mut()).await?;
    plan.warnings.iter().for_each(|warning| session.warn(&warning.to_string()));
    let mut client = match running {
        Some(client) => client,
        None => session.daemon().await?,
    };
    let names = plan.apps.iter().map(|(app, _)| app.name.to_string());
    let names: Vec<String> = names.chain(plan.existing.iter().cloned()).collect();
    let mut failed = start_apps(session, &mut client, plan.apps, wait_ms).await?;
    if !plan.existing.is_empty() {
        let update_env = options.update_env;
        let change = Change {
            flags: &options.app,
            args: &options.app_args,
            update_env,
            toggles_watch: false,
            origin,
        };
        if change.is_any() {
            failed |= change::run(session, &mut client, plan.existing, &change).await?;
        } else {
            let environment = update_env.then_some(context.environment);
            // As under PM2: what runs begins anew.
            act::act(session, &mut client, Action::Restart, plan.existing, environment).await?;
        }
    }
    session.show_table(&mut client).await?;
    drop(client);
    foreground.go_on(session, names, failed).await
}

/// `--wait` in milliseconds.
fn wait(seconds: Option<f64>) -> Result<Option<u64>, CliError> {
    let Some(seconds) = seconds else { return Ok(None) };
    let wait = Duration::try_from_secs_f64(seconds)
        .map_err(|error| CliError::failed(format!("--wait: {error}"), "--wait 30"))?;
    Ok(Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

impl Plan {
    /// Looks at every word. A daemon is asked for what is there, and not started for it: what is
    /// wrong is told without one.
    async fn fill(
        &mut self,
        session: &Session,
        options: &Start,
        context: &Context,
        daemon: Option<&mut Client>,
    ) -> Result<(), CliError> {
        let words = options.targets.iter();
        let (files, others): (Vec<_>, Vec<_>) = words.partition(|word| fleet_file::is_file(word));
        for word in files {
            self.add_file(session, word, options, context)?;
        }
        let fleet: Vec<InstanceView> = match daemon {
            Some(client) if !others.is_empty() => client.call(Request::List).await?,
            Some(_) | None => Vec::new(),
        };
        for word in others {
            self.add_word(session, word, &fleet, (options, context))?;
        }
        Ok(())
    }

    /// All chosen apps of a file.
    fn add_file(
        &mut self,
        session: &Session,
        word: &str,
        options: &Start,
        context: &Context,
    ) -> Result<(), CliError> {
        if options.app != AppFlags::default() || !options.app_args.is_empty() {
            session.warn(&format!("options that describe an app do nothing to those of {word}"));
        }
        let file = fleet_file::read(word, &options.file, context)?.resolve(context)?;
        self.apps.extend(file.specs.into_iter().map(|spec| (spec, self.origin)));
        self.warnings.extend(file.warnings);
        Ok(())
    }

    /// An instance that is there, or a script, program or command line.
    fn add_word(
        &mut self,
        session: &Session,
        word: &str,
        fleet: &[InstanceView],
        (options, context): (&Start, &Context),
    ) -> Result<(), CliError> {
        if is_present(word, fleet) {
            self.existing.push(word.to_owned());
            return Ok(());
        }
        let app = start_options::of_script(word, options)?;
        let resolved = resolve(&app, context).map_err(|error| {
            let names = fleet.iter().map(|one| one.name.as_str());
            CliError::Config { error, meant: nearest(word, names).map(str::to_owned) }
        })?;
        if options.write {
            let described = (resolved.spec.name.as_str(), word);
            written::write(session, described, options, &context.cwd)?;
        }
        let origin = if options.force { StartOrigin::File } else { StartOrigin::CommandLine };
        self.apps.push((resolved.spec, origin));
        self.warnings.extend(resolved.warnings);
        Ok(())
    }
}

/// Whether `word` means instances that are there: PM2's order is `all`, a name, a namespace, an id.
fn is_present(word: &str, fleet: &[InstanceView]) -> bool {
    let is_pattern = word.len() > 2 && word.starts_with('/') && word.ends_with('/');
    let means = |one: &InstanceView| {
        one.name.as_str() == word || one.namespace == word || one.id.to_string() == word
    };
    word == "all" || is_pattern || fleet.iter().any(means)
}

/// Starts `apps`, all at once, and tells what became of each; whether one failed.
pub(crate) async fn start_apps(
    session: &Session,
    client: &mut Client,
    apps: Vec<(AppSpec, StartOrigin)>,
    wait_ms: Option<u64>,
) -> Result<bool, CliError> {
    // Who is started before what it waits for would fail at once.
    let apps = in_order(apps, |(app, _)| app);
    let reloads = apps.iter().filter(|(_, origin)| *origin == StartOrigin::Reload);
    let reloads: BTreeSet<AppName> = reloads.map(|(app, _)| app.name.clone()).collect();
    // Of all: those that do not exist yet have no name to ask for.
    let events = match reloads.is_empty() {
        true => None,
        false => reload::watch(session, targets(Vec::new())).await?,
    };
    let request = |(app, origin)| Request::Start { app: Box::new(app), origin, wait_ms };
    let requests = apps.into_iter().map(request).collect();
    let answers = client.call_many::<Started>(requests);
    let mut failed = false;
    for answer in reload::watched(session, events, Some(&reloads), answers).await? {
        match answer {
            Ok(started) => failed |= !tell(session, started),
            Err(error) => {
                failed = true;
                let error = CliError::Client(ClientError::Rpc(error));
                session.insist(&problem::problem(&error, session.err).unwrap_or_default());
            }
        }
    }
    Ok(failed)
}

/// Tells how a start went; whether well.
fn tell(session: &Session, started: Started) -> bool {
    let Started { app, restarted, instances, failure, warnings } = started;
    warnings.iter().for_each(|warning| session.warn(warning));
    if let Some(failure) = failure {
        session.insist(&problem::failure(&failure, session.err));
        return false;
    }
    let verb = if restarted { "restarted" } else { "started" };
    let ids: Vec<String> = instances.iter().map(u32::to_string).collect();
    session.tell(&format!("{verb} {app} ({})", ids.join(", ")));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::instance;

    #[test]
    fn words_for_what_is_there() {
        let mut back = instance(3, "api");
        back.namespace = "back".into();
        let fleet = [back, instance(4, "web")];
        for word in ["all", "api", "web", "3", "4", "back", "default", "/^a/"] {
            assert!(is_present(word, &fleet), "{word}");
        }
        for word in ["server", "app.js", "5", "/", "//", "./api", "npm start"] {
            assert!(!is_present(word, &fleet), "{word}");
        }
    }

    #[test]
    fn waits_are_seconds() {
        assert_eq!(wait(None).unwrap(), None);
        assert_eq!(wait(Some(0.5)).unwrap(), Some(500));
        assert!(wait(Some(-1.0)).is_err());
        assert!(wait(Some(f64::NAN)).is_err());
    }
}

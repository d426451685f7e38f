//! `apply`: the running apps become what an ecosystem file says. What differs is rolled like a
//! reload, so that a broken description leaves the former workers serving; the rest is not touched.
//!
//! What an app inherited from the shell that started it is no part of the comparison, unless
//! `--update-env` says so: it differs from one terminal to the next.

use crate::{
    cli::{Apply, FileOptions},
    error::CliError,
    fleet_file,
    render::{
        difference::{self, Change},
        problem,
        style::Colors,
    },
    session::{Session, targets},
};
use rpm_config::{AppName, AppSpec};
use rpm_protocol::{
    Acted, Action, Client, ClientError, InstanceDetail, Request, StartOrigin, Started,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is done to one app.
#[derive(Debug)]
enum Doing {
    /// It is not there yet.
    Create(Box<AppSpec>),
    /// It is described otherwise now.
    Roll(Box<AppSpec>, StartOrigin),
    /// Only its number of instances differs.
    Scale(u32),
    /// It is described so, and does not run.
    Start,
    /// Its file has it no more.
    Prune,
    Nothing,
}

/// One app of a plan.
#[derive(Debug)]
struct Step {
    app: AppName,
    /// The file as it was named.
    path: String,
    doing: Doing,
    changes: Vec<Change>,
}

/// What is to be done so that all is as the files say.
#[derive(Debug, Default)]
pub(crate) struct Plan(Vec<Step>);

/// Applies a file, or shows what that would do.
pub(crate) async fn run(session: &Session, options: Apply) -> Result<(), CliError> {
    let path = match options.path {
        Some(path) => path,
        None => {
            let context = fleet_file::context(&options.file)?;
            fleet_file::of_directory(&context.cwd)?.display().to_string()
        }
    };
    let mut client = session.daemon().await?;
    let mut plan = Plan::default();
    plan.read(session, &mut client, (&path, &options.file), options.update_env).await?;
    if !options.prune {
        plan.0.retain(|step| !matches!(step.doing, Doing::Prune));
    }
    if options.dry_run {
        return plan.show(session, options.json);
    }
    plan.carry_out(session, &mut client, options.json).await
}

impl Plan {
    /// Adds what the file of `from` makes of the fleet, apps that are not in it any more included.
    pub(crate) async fn read(
        &mut self,
        session: &Session,
        client: &mut Client,
        from: (&str, &FileOptions),
        update_env: bool,
    ) -> Result<(), CliError> {
        let (path, options) = from;
        let context = fleet_file::context(options)?;
        let file = fleet_file::read(path, options, &context)?;
        let origin = file.file(&context);
        let file = file.resolve(&context)?;
        file.warnings.iter().for_each(|warning| session.warn(&warning.to_string()));
        let fleet = fleet(client).await?;
        let named: BTreeSet<AppName> = file.specs.iter().map(|spec| spec.name.clone()).collect();
        for spec in file.specs {
            self.0.push(step(path, spec, &fleet, update_env));
        }
        let is_of_it = |app: &&Present| origin.is_some() && app.spec.file == origin;
        let left = fleet.values().filter(is_of_it).filter(|app| !named.contains(&app.spec.name));
        self.0.extend(left.map(|app| Step {
            app: app.spec.name.clone(),
            path: path.to_owned(),
            doing: Doing::Prune,
            changes: Vec::new(),
        }));
        Ok(())
    }

    /// Leaves of what `path` added only these apps, or all if there are none.
    pub(crate) fn keep_of(&mut self, path: &str, apps: &BTreeSet<AppName>) {
        self.0.retain(|step| step.path != path || apps.is_empty() || apps.contains(&step.app));
    }

    /// Prints it.
    pub(crate) fn show(&self, session: &Session, json: bool) -> Result<(), CliError> {
        if json {
            let apps: Vec<Value> = self.0.iter().map(|step| step.json()).collect();
            return session.print(&format!("{}\n", json!({ "apps": apps })));
        }
        let shown: Vec<String> = self.0.iter().filter_map(|step| step.text(session)).collect();
        match shown.as_slice() {
            [] => session.show("no change"),
            texts => session.show(&texts.join("\n")),
        }
    }

    /// Does it, app after app; what fails stops no other app.
    async fn carry_out(
        self,
        session: &Session,
        client: &mut Client,
        json: bool,
    ) -> Result<(), CliError> {
        if !json {
            self.show(session, false)?;
        }
        let (mut failed, mut told) = (false, Vec::new());
        for step in self.0 {
            let report = step.json();
            let failure = step.carry_out(client).await.err();
            if let Some(error) = &failure {
                failed = true;
                session.insist(&problem::problem(error, session.err).unwrap_or_default());
            }
            let text = failure.and_then(|error| problem::problem(&error, Colors::Off));
            told.push(with_failure(report, text));
        }
        if json {
            session.print(&format!("{}\n", json!({ "apps": told })))?;
        }
        if failed { Err(CliError::Told) } else { Ok(()) }
    }
}

fn with_failure(mut report: Value, failure: Option<String>) -> Value {
    if let (Some(report), Some(failure)) = (report.as_object_mut(), failure) {
        report.insert("failure".into(), json!(failure));
    }
    report
}

/// An app that is there.
struct Present {
    spec: AppSpec,
    /// All of its instances are at rest.
    rests: bool,
}

async fn fleet(client: &mut Client) -> Result<BTreeMap<AppName, Present>, CliError> {
    // No words are all there are, none included.
    let instances: Vec<rpm_protocol::InstanceView> = client.call(Request::List).await?;
    if instances.is_empty() {
        return Ok(BTreeMap::new());
    }
    let request = Request::Describe { targets: targets(vec!["all".into()]), secrets: true };
    let mut fleet: BTreeMap<AppName, Present> = BTreeMap::new();
    for detail in client.call::<Vec<InstanceDetail>>(request).await? {
        let rests = matches!(detail.view.status.as_str(), "stopped" | "errored");
        let name = detail.spec.name.clone();
        let app = fleet.entry(name).or_insert(Present { spec: detail.spec, rests: true });
        app.rests &= rests;
    }
    Ok(fleet)
}

fn step(
    path: &str,
    mut wanted: AppSpec,
    fleet: &BTreeMap<AppName, Present>,
    update_env: bool,
) -> Step {
    let app = wanted.name.clone();
    let Some(present) = fleet.get(&app) else {
        let doing = Doing::Create(Box::new(wanted));
        return Step { app, path: path.to_owned(), doing, changes: Vec::new() };
    };
    if !update_env {
        wanted.inherited_env.clone_from(&present.spec.inherited_env);
    }
    let changes = difference::of(&present.spec, &wanted);
    let doing = match changes.as_slice() {
        [] if present.rests && wanted.autostart => Doing::Start,
        [] => Doing::Nothing,
        [only] if only.key == "instances" && !present.rests => Doing::Scale(wanted.instances),
        // What rests has nobody to replace.
        _ if present.rests => Doing::Roll(Box::new(wanted), StartOrigin::File),
        _ => Doing::Roll(Box::new(wanted), StartOrigin::Reload),
    };
    Step { app, path: path.to_owned(), doing, changes }
}

impl Step {
    fn verb(&self) -> &'static str {
        match self.doing {
            Doing::Create(_) => "create",
            Doing::Roll(..) => "change",
            Doing::Scale(_) => "scale",
            Doing::Start => "start",
            Doing::Prune => "delete",
            Doing::Nothing => "none",
        }
    }

    fn json(&self) -> Value {
        let changes: Vec<Value> = self.changes.iter().map(Change::json).collect();
        json!({ "name": self.app, "action": self.verb(), "changes": changes })
    }

    /// Its lines, unless nothing is done.
    fn text(&self, session: &Session) -> Option<String> {
        if matches!(self.doing, Doing::Nothing) {
            return None;
        }
        let head = format!("{} {}", self.verb(), self.app);
        let changes = self.changes.iter().map(|change| change.text(session.out));
        Some(std::iter::once(head).chain(changes).collect::<Vec<_>>().join("\n"))
    }

    async fn carry_out(self, client: &mut Client) -> Result<(), CliError> {
        let act = |action| Request::Act {
            action,
            targets: targets(vec![self.app.to_string()]),
            environment: None,
        };
        let request = match self.doing {
            Doing::Nothing => return Ok(()),
            Doing::Create(spec) => return begin(client, *spec, StartOrigin::File).await,
            Doing::Roll(spec, origin) => return begin(client, *spec, origin).await,
            Doing::Scale(count) => Request::Scale { app: self.app, to: count.to_string() },
            Doing::Start => act(Action::Start),
            Doing::Prune => act(Action::Delete),
        };
        match client.call::<Acted>(request).await?.failure {
            Some(failure) => Err(CliError::Failure(failure)),
            None => Ok(()),
        }
    }
}

/// Starts or rolls an app; an instance that fails is a failure.
async fn begin(client: &mut Client, app: AppSpec, origin: StartOrigin) -> Result<(), CliError> {
    let request = Request::Start { app: Box::new(app), origin, wait_ms: None };
    let started: Result<Started, ClientError> = client.call(request).await;
    match started?.failure {
        Some(failure) => Err(CliError::Failure(failure)),
        None => Ok(()),
    }
}

//! `import`: a PM2's apps become rpm's. Those of its dump are started beside whatever runs; with
//! `--live` each is started here and deleted there, so that it always runs somewhere.

mod live;

use crate::{cli::Import, error::CliError, render::problem, session::Session};
use rpm_config::Context;
use rpm_pm2_socket::{Entry, Group, Origin, Taken, groups};
use rpm_protocol::{
    Acted, Action, Client, ClientError, InstanceView, Request, RpcError, StartOrigin, Started,
};
use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The largest dump that is read: thousands of processes, each with its environment twice.
const MAX_DUMP_BYTES: u64 = 256 << 20;

/// Takes over.
pub(crate) async fn run(session: &Session, options: &Import) -> Result<(), CliError> {
    let home = pm2_home()?;
    let context = Context::of_this_process(None).map_err(|error| CliError::io("import", &error))?;
    let mut pm2 = None;
    let list = if options.live {
        let (client, list) = live::list(&home).await?;
        pm2 = Some(client);
        list
    } else {
        read(&options.dump.clone().unwrap_or_else(|| home.join("dump.pm2")))?
    };
    let (groups, modules) = groups(list);
    for module in modules {
        session.warn(&format!("{module} is a module of PM2, and rpm has none: it is left out"));
    }
    // A dump may be of another home, whose logs are beside it.
    let logs = options.dump.as_deref().and_then(Path::parent).unwrap_or(&home).join("logs");
    let origin = Origin { logs: &logs, numbered: true, environment: &context.environment };
    if options.dry_run {
        return show(session, &groups, origin);
    }
    let client = session.daemon().await?;
    let mut import = Takeover { session, client, pm2, done: 0 };
    import.all(&groups, origin).await
}

/// PM2's directory.
fn pm2_home() -> Result<PathBuf, CliError> {
    let given = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = given("PM2_HOME").or_else(|| Some(given("HOME")?.join(".pm2")));
    let home = home.ok_or(CliError::NoHome)?;
    std::path::absolute(home).map_err(|error| CliError::io("PM2_HOME", &error))
}

/// The entries of a dump.
fn read(path: &Path) -> Result<Vec<Entry>, CliError> {
    let failed = |why: String| {
        let hint = "pm2 save writes it; rpm import --live asks a PM2 that runs";
        CliError::failed(format!("{}: {why}", path.display()), hint)
    };
    let mut bytes = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(MAX_DUMP_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error: io::Error| failed(error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_DUMP_BYTES) {
        return Err(failed("it is larger than any dump".into()));
    }
    serde_json::from_slice(&bytes).map_err(|error| failed(format!("it is no dump of PM2: {error}")))
}

/// What would be done.
fn show(session: &Session, groups: &[Group], origin: Origin<'_>) -> Result<(), CliError> {
    let mut failed = false;
    for group in groups {
        match group.take(origin) {
            Ok(Taken { spec, stopped, notes }) => {
                tell_notes(session, group, &notes);
                let rest = match stopped.len() {
                    0 => String::new(),
                    count => format!(", {count} of them stopped"),
                };
                let line = format!("would start {} × {}{rest}", spec.name, spec.instances);
                session.tell(&format!("{line}: {}", spec.launch.script.display()));
            }
            Err(reason) => {
                failed = true;
                refuse(session, group, &reason);
            }
        }
    }
    if failed { Err(CliError::Told) } else { Ok(()) }
}

fn tell_notes(session: &Session, group: &Group, notes: &[String]) {
    notes.iter().for_each(|note| session.warn(&format!("{}: {note}", group.name)));
}

fn refuse(session: &Session, group: &Group, reason: &str) {
    let hint = "start it by hand: rpm start --help";
    let error = CliError::failed(format!("{} is not imported: {reason}", group.name), hint);
    session.insist(&problem::problem(&error, session.err).unwrap_or_default());
}

/// A takeover under way.
struct Takeover<'a> {
    session: &'a Session,
    client: Client,
    /// The PM2 whose apps are deleted there once they run here.
    pm2: Option<rpm_pm2_socket::Pm2>,
    done: usize,
}

impl Takeover<'_> {
    /// Takes every group, and tells how many could be.
    async fn all(&mut self, groups: &[Group], origin: Origin<'_>) -> Result<(), CliError> {
        let present: Vec<InstanceView> = self.client.call(Request::List).await?;
        let present: BTreeSet<String> =
            present.into_iter().map(|one| one.name.to_string()).collect();
        for group in groups {
            if present.contains(&group.name) {
                refuse(self.session, group, "rpm has an app of this name already");
                continue;
            }
            match group.take(origin) {
                Ok(taken) => {
                    tell_notes(self.session, group, &taken.notes);
                    self.one(group, taken).await?;
                }
                Err(reason) => refuse(self.session, group, &reason),
            }
        }
        let (done, all) = (self.done, groups.len());
        self.session.say(&format!("{done} of {all} apps are imported; rpm save keeps them"));
        self.session.show_table(&mut self.client).await?;
        if done == all { Ok(()) } else { Err(CliError::Told) }
    }

    async fn one(&mut self, group: &Group, taken: Taken) -> Result<(), CliError> {
        let outcome = match &mut self.pm2 {
            None => start(&mut self.client, &taken, None).await?,
            Some(pm2) => live::take(self.session, &mut self.client, pm2, group, &taken).await?,
        };
        match outcome {
            Ok(ids) => {
                self.done += 1;
                let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
                let what = if group.is_at_rest() { ", stopped as it was" } else { "" };
                self.session.tell(&format!("imported {} ({}){what}", group.name, ids.join(", ")));
            }
            Err(reason) => refuse(self.session, group, &reason),
        }
        Ok(())
    }
}

/// What became of a start: the ids, or why there are none that serve.
type Outcome = Result<Vec<u32>, String>;

/// Starts an app and puts those of its instances to rest that were. With `wait_ms` all of them must
/// be ready by then; without, one that crashes is imported all the same, as it was in PM2.
async fn start(
    client: &mut Client,
    taken: &Taken,
    wait_ms: Option<u64>,
) -> Result<Outcome, CliError> {
    let app = Box::new(taken.spec.clone());
    let wait_ms = wait_ms.filter(|_| taken.spec.autostart);
    let request = Request::Start { app, origin: StartOrigin::CommandLine, wait_ms };
    let Started { instances, failure, .. } = match client.call(request).await {
        Ok(started) => started,
        Err(ClientError::Rpc(RpcError { message, .. })) => return Ok(Err(message)),
        Err(error) => return Err(error.into()),
    };
    if let Some(failure) = failure.filter(|_| wait_ms.is_some()) {
        let more = failure.hint.or_else(|| failure.stderr.last().cloned());
        let more = more.map(|more| format!(" ({more})")).unwrap_or_default();
        return Ok(Err(failure.reason + &more));
    }
    if taken.spec.autostart {
        let resting = taken.stopped.iter().filter_map(|slot| instances.get(*slot));
        let words: Vec<String> = resting.map(u32::to_string).collect();
        if !words.is_empty() {
            let _: Acted = client.call(act(Action::Stop, words)).await?;
        }
    }
    Ok(Ok(instances))
}

fn act(action: Action, words: Vec<String>) -> Request {
    let targets = crate::session::targets(words);
    Request::Act { action, targets, environment: None }
}

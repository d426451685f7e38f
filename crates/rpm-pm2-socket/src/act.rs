//! What a PM2 client does to a process by its id. Its new settings travel with `restart` and
//! `reload`, as `env.current_conf`.

use crate::{
    calls::Caller,
    description::{self, Variables},
    rpm::{Answer, Rpm, failed, process, targets, unknown},
};
use rpm_config::{AppSpec, amend};
use rpm_protocol::{Acted, Action, Request, StartOrigin, Started};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Settings that PM2 does not take from a restart either, and what is no setting.
const NOT_AMENDED: [&str; 7] =
    ["cwd", "exec_mode", "instances", "name", "script", "pm_cwd", "pm_exec_path"];

/// An id: a number, the same as text, or `{id}`.
pub(crate) fn id_of(value: &Value) -> Result<u32, String> {
    let id = value.get("id").unwrap_or(value);
    let number = match id {
        Value::String(text) => text.parse().ok(),
        id => id.as_u64().and_then(|id| u32::try_from(id).ok()),
    };
    number.ok_or_else(|| format!("{id} id unknown"))
}

/// `startProcessId`.
pub(crate) async fn start(rpm: &Rpm, id: &Value) -> Answer {
    let id = id_of(id)?;
    act(rpm, Action::Start, id, None).await?;
    Ok(vec![rpm.process(id).await?])
}

/// `stopProcessId`.
pub(crate) async fn stop(rpm: &Rpm, id: &Value) -> Answer {
    let id = id_of(id)?;
    act(rpm, Action::Stop, id, None).await?;
    Ok(vec![rpm.process(id).await?])
}

/// `deleteProcessId`; answered by what it was.
pub(crate) async fn delete(rpm: &Rpm, id: &Value) -> Answer {
    let id = id_of(id)?;
    let mut detail = rpm.detail(id).await?;
    failed(act(rpm, Action::Delete, id, None).await?)?;
    (detail.view.pid, detail.view.status) = (None, "stopped".to_owned());
    Ok(vec![process(&detail)])
}

/// `resetMetaProcessId`; answered by the whole list.
pub(crate) async fn reset(rpm: &Rpm, id: &Value) -> Answer {
    act(rpm, Action::Reset, id_of(id)?, None).await?;
    rpm.list().await
}

/// `duplicateProcessId`: its app gets one more instance.
pub(crate) async fn duplicate(rpm: &Rpm, id: &Value) -> Answer {
    let app = rpm.detail(id_of(id)?).await?.view.name;
    let before = rpm.details(vec![app.to_string()]).await?;
    let request = Request::Scale { app: app.clone(), to: "+1".into() };
    let _: Acted = rpm.ask(request).await?;
    let known = |id: u32| before.iter().any(|detail| detail.view.id == id);
    let all = rpm.details(vec![app.to_string()]).await?;
    let new = all.iter().find(|detail| !known(detail.view.id)).ok_or("it is gone already")?;
    Ok(vec![process(new)])
}

/// `restartProcessId`.
pub(crate) async fn restart(caller: &Caller<'_>, options: &Value) -> Answer {
    again(caller, options, Action::Restart, StartOrigin::File).await
}

/// `reloadProcessId`, `softReloadProcessId`. One that fails has changed nothing.
pub(crate) async fn reload(caller: &Caller<'_>, options: &Value) -> Answer {
    again(caller, options, Action::Reload, StartOrigin::Reload).await
}

/// Instances of an app that got new settings with the one they were sent for: PM2's client sends
/// them for each id, and each shall be restarted once.
#[derive(Debug, Default)]
pub(crate) struct Covered(Mutex<Option<Sent>>);

/// Settings that were sent.
#[derive(Debug)]
struct Sent {
    at: Instant,
    settings: Value,
    left: BTreeSet<u32>,
}

/// The same settings count as sent with the former call for so long.
const SAME_CALL: Duration = Duration::from_secs(60);

impl Sent {
    /// Whether the call for `id` is done already.
    fn takes(&mut self, id: u32, settings: &Value) -> bool {
        self.at.elapsed() < SAME_CALL && self.settings == *settings && self.left.remove(&id)
    }
}

/// Restarts or reloads, with new settings if there are any that differ: then all of the app, whose
/// instances share them.
async fn again(
    caller: &Caller<'_>,
    options: &Value,
    action: Action,
    origin: StartOrigin,
) -> Answer {
    let (rpm, id) = (caller.rpm, id_of(options)?);
    let settings = options.get("env").cloned().unwrap_or_default();
    let mut covered = caller.covered.0.lock().await;
    if covered.as_mut().is_some_and(|sent| sent.takes(id, &settings)) {
        return Ok(vec![rpm.process(id).await?]);
    }
    let former = rpm.detail(id).await?.spec;
    let amended = amended(&former, &settings)?;
    let inherited_env = former.inherited_env.clone();
    let is_same = AppSpec { inherited_env, ..amended.clone() } == former;
    let failure = if is_same {
        drop(covered);
        let changed = amended.inherited_env != former.inherited_env;
        let environment = changed.then_some(amended.inherited_env);
        act(rpm, action, id, environment).await?.failure
    } else {
        let request = Request::Start { app: Box::new(amended), origin, wait_ms: None };
        let Started { instances, failure, .. } = rpm.ask(request).await?;
        let left = instances.into_iter().filter(|other| *other != id).collect();
        *covered = Some(Sent { at: Instant::now(), settings, left });
        failure
    };
    // As under PM2 a restart is done when it was begun; what a reload replaces must serve.
    if action == Action::Reload {
        failed(Acted { instances: Vec::new(), failure })?;
    }
    Ok(vec![rpm.process(id).await?])
}

/// `former` with what a client sends along.
fn amended(former: &AppSpec, env: &Value) -> Result<AppSpec, String> {
    let empty = Map::new();
    let given = env.as_object().unwrap_or(&empty);
    let conf = given.get("current_conf").and_then(Value::as_object).unwrap_or(&empty);
    let mut options = description::options(conf);
    options.retain(|key, _| !NOT_AMENDED.contains(&key.as_str()));
    let declared = description::variables(conf.get("env"));
    if !declared.is_empty() {
        options.insert("env".into(), json!(declared));
    }
    let mut spec = former.clone();
    spec.inherited_env.extend(inherited(given, former, &declared));
    if options.is_empty() {
        return Ok(spec);
    }
    // A file of one app must say what it runs; it is not looked for.
    options.insert("script".into(), json!(former.launch.script));
    let file = description::parse(options)?;
    let app = file.apps.into_iter().next().ok_or("it describes no app")?;
    let context = description::context(former.cwd.clone(), spec.inherited_env.clone());
    amend(&spec, &app.options, &context).map_err(|error| error.to_string())
}

/// The variables of the client that the app shall have: those it does not declare itself.
fn inherited(given: &Map<String, Value>, former: &AppSpec, declared: &Variables) -> Variables {
    let flat: Map<String, Value> = given
        .iter()
        .filter(|(_, value)| !value.is_object() && !value.is_array())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut variables = description::variables(Some(&Value::Object(flat)));
    variables.retain(|name, value| {
        declared.get(name).or(former.env.get(name)).is_none_or(|own| own != value)
    });
    variables
}

async fn act(
    rpm: &Rpm,
    action: Action,
    id: u32,
    environment: Option<Variables>,
) -> Result<Acted, String> {
    let targets = targets(vec![id.to_string()]);
    let acted: Acted = rpm.ask(Request::Act { action, targets, environment }).await?;
    // A name of digits is another's.
    let met = acted.instances.iter().any(|(met, _)| *met == id);
    if met || acted.failure.is_some() { Ok(acted) } else { Err(unknown(id)) }
}

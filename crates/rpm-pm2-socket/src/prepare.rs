//! `prepare`: a new app, as PM2's client describes it.

use crate::{
    calls::Caller,
    description::{Origin, Variables, describe},
    rpm::{Answer, process},
};
use rpm_config::AppSpec;
use rpm_protocol::{Request, StartOrigin, Started};
use serde_json::Value;
use std::fs;

/// Starts an app; answered by its processes once they settled. As under PM2 one that crashes was
/// started.
pub(crate) async fn prepare(caller: &Caller<'_>, description: &Value) -> Answer {
    let description = description.as_object().ok_or("a description is an object")?;
    let environment = caller.pid.map(environment_of).unwrap_or_default();
    let origin = Origin { logs: caller.logs, numbered: false, environment: &environment };
    let described = describe(description, origin)?;
    for note in &described.notes {
        tracing::info!("a PM2 client's app: {note}");
    }
    let is_stopped = description.get("status").is_some_and(|status| status == "stopped");
    let autostart = described.spec.autostart && !is_stopped;
    let spec = AppSpec { autostart, ..described.spec };
    let name = spec.name.to_string();
    let app = Box::new(spec);
    let request = Request::Start { app, origin: StartOrigin::CommandLine, wait_ms: None };
    let started: Started = caller.rpm.ask(request).await?;
    if let Some(failure) = &started.failure {
        tracing::info!("a PM2 client's app: {} {}", failure.app, failure.reason);
    }
    let details = caller.rpm.details(vec![name]).await?;
    Ok(vec![details.iter().map(process).collect()])
}

/// The variables a process began with (proc_pid_environ(5)); none where that cannot be read.
fn environment_of(pid: i32) -> Variables {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let texts = bytes.split(|byte| *byte == 0).filter_map(|text| str::from_utf8(text).ok());
    let pairs = texts.filter_map(|text| text.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

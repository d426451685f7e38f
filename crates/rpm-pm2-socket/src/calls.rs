//! The methods that PM2's daemon offers, told apart; those that only look are answered here.

use crate::{
    PM2_VERSION, act,
    bus::Bus,
    names, prepare,
    rpm::{Answer, Rpm},
    say::{self, Order},
};
use rpm_protocol::Request;
use rpm_unix::pidfd;
use serde_json::{Map, Value, json};
use std::io;

/// Who calls.
pub(crate) struct Caller<'a> {
    pub(crate) rpm: &'a Rpm,
    pub(crate) bus: &'a Bus,
    /// Its process, as the kernel tells it.
    pub(crate) pid: Option<i32>,
    /// What its last call with new settings has done to other instances.
    pub(crate) covered: &'a act::Covered,
    /// Where PM2 logs by default: here.
    pub(crate) logs: &'a std::path::Path,
}

/// What a call comes to.
pub(crate) struct Reply {
    /// For the caller; `None`: PM2 gives none, and its client would not bear it.
    pub(crate) answer: Option<Value>,
    /// What is to be done when the caller has it.
    pub(crate) order: Option<Order>,
}

/// Does what `message` asks for.
pub(crate) async fn reply(caller: &Caller<'_>, message: &Value) -> Reply {
    let now = |answer| Reply { answer: Some(answer), order: None };
    if message.get("type").is_some_and(|kind| kind == "methods") {
        return now(json!({ "methods": methods() }));
    }
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        return now(json!({ "error": ".method required" }));
    };
    let Some(arguments) = message.get("args").and_then(Value::as_array) else {
        return now(json!({ "error": ".args required" }));
    };
    let null = Value::Null;
    let first = arguments.first().unwrap_or(&null);
    match method {
        "killMe" => {
            kill(caller, first).await;
            Reply { answer: None, order: None }
        }
        "msgProcess" => match say::action(caller.rpm, first).await {
            Ok((result, order)) => {
                Reply { answer: Some(wrapped(Ok(vec![result]))), order: Some(order) }
            }
            Err(error) => now(wrapped(Err(error))),
        },
        method => now(wrapped(call(caller, method, first).await)),
    }
}

fn wrapped(answer: Answer) -> Value {
    match answer {
        Ok(results) => json!({ "args": results }),
        Err(error) => json!({ "error": error, "stack": format!("Error: {error}") }),
    }
}

async fn call(caller: &Caller<'_>, method: &str, first: &Value) -> Answer {
    let rpm = caller.rpm;
    match method {
        "ping" => Ok(vec![json!({ "msg": "pong" })]),
        "getVersion" => Ok(vec![json!(PM2_VERSION)]),
        "getMonitorData" => rpm.list().await,
        // Figures of the host, which PM2 collects: none is what its client shows as none.
        "getSystemData" => Ok(vec![Value::Null]),
        "getReport" => report(rpm).await,
        "prepare" => prepare::prepare(caller, first).await,
        "startProcessId" => act::start(rpm, first).await,
        "restartProcessId" => act::restart(caller, first).await,
        "reloadProcessId" | "softReloadProcessId" => act::reload(caller, first).await,
        "stopProcessId" => act::stop(rpm, first).await,
        "deleteProcessId" => act::delete(rpm, first).await,
        "duplicateProcessId" => act::duplicate(rpm, first).await,
        "resetMetaProcessId" => act::reset(rpm, first).await,
        "sendSignalToProcessId" | "sendSignalToProcessName" => say::signal(rpm, first).await,
        "sendLineToStdin" => say::line(rpm, first).await,
        "sendDataToProcessId" => say::data(rpm, first).await,
        "reloadLogs" => {
            let () = rpm.ask(Request::ReloadLogs).await?;
            Ok(vec![json!({})])
        }
        // What was done is told by the daemon's own events; the client need not.
        "notifyByProcessId" => Ok(vec![]),
        // What is stopped or deleted is not watched, by itself.
        "stopWatch" | "notifyKillPM2" => Ok(vec![json!({ "success": true })]),
        "startWatch" | "toggleWatch" => Err(refused("rpm start NAME --watch sets what is watched")),
        "monitor" | "unmonitor" => Err(refused("PM2's paid service is not here")),
        "profileCPU" | "profileMEM" => Err(refused("the daemon is no Node program")),
        unknown => Err(format!("method \"{unknown}\" does not exist")),
    }
}

fn refused(why: &str) -> String {
    format!("rpm does not do this: {why}")
}

fn methods() -> Map<String, Value> {
    let method = |name: &&str| ((*name).to_owned(), json!({ "name": name, "params": [] }));
    names::METHODS.iter().map(method).collect()
}

async fn report(rpm: &Rpm) -> Answer {
    let welcome: rpm_protocol::Welcome = rpm.ask(Request::Ping).await?;
    let apps = rpm.details(Vec::new()).await?.len();
    Ok(vec![json!({
        "pm2_version": PM2_VERSION,
        "rpm_version": welcome.program,
        "node_version": "N/A",
        "node_path": "N/A",
        "argv0": "rpm",
        "argv": ["rpm"],
        "user": std::env::var("USER").ok(),
        "uid": rpm_unix::process::effective_uid(),
        "managed_apps": apps,
    })])
}

/// Ends the fleet and the daemon. As under PM2 a signal to the client is the answer; to none but the
/// process that asked.
async fn kill(caller: &Caller<'_>, options: &Value) {
    caller.bus.say("pm2:kill", &json!({ "status": "killed", "msg": "rpm has been killed" }));
    if let Err(error) = caller.rpm.ask::<Value>(Request::Kill).await {
        tracing::warn!("a PM2 client could not end the daemon: {error}");
    }
    let named = options.get("pid").and_then(Value::as_i64);
    let client = caller.pid.filter(|pid| named == Some(i64::from(*pid)));
    let tell = |pid| -> io::Result<()> {
        let quit = rpm_unix::signal::number("SIGQUIT").unwrap_or_default();
        pidfd::send_signal(pidfd::open(pid)?, quit)
    };
    if let Some(Err(error)) = client.map(tell) {
        tracing::debug!("a PM2 client was not told of the end: {error}");
    }
}

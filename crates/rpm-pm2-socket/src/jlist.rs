//! `jlist`: PM2's JSON, field by field, for the programs that read it.

use crate::{own_keys, repository};
use rpm_config::{AppSpec, ExecMode, FilterEnv, LogFile, Ready, RestartPolicy, RunAs};
use rpm_protocol::{ExitView, InstanceDetail, InstanceView};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The array `jlist` prints: an item for each instance, in the order given.
pub fn value(details: &[InstanceDetail]) -> Value {
    Value::Array(details.iter().map(item).collect())
}

pub(crate) fn item(detail: &InstanceDetail) -> Value {
    let InstanceView { id, name, status, pid, cpu, memory, .. } = &detail.view;
    let (cpu, memory) = if status == "online" { (*cpu, *memory) } else { (0.0, 0) };
    json!({
        "pid": pid.unwrap_or(0),
        "name": name,
        "pm_id": id,
        "pm2_env": environment(detail),
        "monit": { "memory": memory, "cpu": tenths(cpu) },
    })
}

/// One decimal, in what JSON calls a number.
fn tenths(percent: f32) -> f64 {
    (f64::from(percent) * 10.0).round() / 10.0
}

/// PM2's fields, over a copy of the worker's variables as PM2 mixes them in. Where a variable has
/// the name of a field, the field stays: PM2 loses it.
fn environment(detail: &InstanceDetail) -> Map<String, Value> {
    let variables = detail.environment.iter();
    let mut fields: Map<String, Value> =
        variables.map(|(name, value)| (name.clone(), json!(value))).collect();
    fields.insert("env".into(), json!(detail.environment));
    fields.insert(detail.spec.instance_var.clone(), json!(detail.view.slot));
    let parts = [
        identity(detail),
        launch(detail),
        files(detail),
        policy(detail),
        by_itself(&detail.spec),
        own_keys::of_app(&detail.spec),
        own_keys::of_logs(&detail.spec.logs.rules),
        state(detail),
        json!({ "versioning": repository::find(&detail.spec.cwd).map(|found| found.json()) }),
    ];
    for part in parts {
        if let Value::Object(part) = part {
            fields.extend(part.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    fields
}

fn identity(detail: &InstanceDetail) -> Value {
    let InstanceDetail { view, spec, .. } = detail;
    json!({
        "name": view.name,
        "namespace": view.namespace,
        "username": view.user,
        "pm_id": view.id,
        "instance_var": spec.instance_var,
        "increment_var": spec.increment_var,
        "version": view.version.as_deref().unwrap_or("N/A"),
        "axm_actions": detail.offers.actions,
        "axm_monitor": detail.offers.monitor,
        "axm_options": detail.offers.options,
        "axm_dynamic": {},
    })
}

fn launch(detail: &InstanceDetail) -> Value {
    let spec = &detail.spec;
    let args = (!spec.launch.args.is_empty()).then_some(&spec.launch.args);
    json!({
        "pm_exec_path": spec.launch.script,
        "pm_cwd": spec.cwd,
        "exec_interpreter": spec.launch.interpreter.as_deref().unwrap_or("none"),
        "exec_mode": match spec.mode {
            ExecMode::Fork => "fork_mode",
            ExecMode::Cluster => "cluster_mode",
        },
        "instances": spec.instances,
        "args": args,
        "node_args": spec.launch.interpreter_args,
    })
}

fn files(detail: &InstanceDetail) -> Value {
    let nowhere = Path::new("/dev/null");
    let rules = &detail.spec.logs.rules;
    let streams = [&detail.spec.logs.out, &detail.spec.logs.error];
    let is_discarded = streams.iter().all(|file| **file == LogFile::Discard);
    json!({
        "pm_out_log_path": detail.out_log.as_deref().unwrap_or(nowhere),
        "pm_err_log_path": detail.error_log.as_deref().unwrap_or(nowhere),
        "pm_pid_path": detail.pid_file,
        "pm_log_path": detail.log,
        "disable_logs": is_discarded.then_some(true),
        "merge_logs": detail.spec.logs.merge.then_some(true),
        "log_type": rules.json.then_some("json"),
        "log_date_format": rules.date_format,
        "rotate": rules.rotate,
    })
}

/// What restarts it by itself, whom it runs as, and what it does not inherit.
fn by_itself(spec: &AppSpec) -> Value {
    let rules = spec.watch.as_ref().or(spec.unwatched.as_ref());
    let written = |path: &PathBuf| path.strip_prefix(&spec.cwd).unwrap_or(path).to_owned();
    let ids = spec.user.as_ref().and_then(numbers);
    json!({
        "watch": match &spec.watch {
            None => json!(false),
            Some(watch) if watch.paths == [spec.cwd.clone()] => json!(true),
            Some(watch) => json!(watch.paths.iter().map(written).collect::<Vec<_>>()),
        },
        "ignore_watch": rules.and_then(|watch| watch.ignore.as_ref()),
        "watch_delay": rules.map(|watch| watch.delay.as_millis()).filter(|delay| *delay > 0),
        "cron_restart": spec.cron_restart,
        "uid": ids.map(|(uid, _)| uid),
        "gid": ids.map(|(_, gid)| gid),
        "env_file": (!spec.env_files.is_empty()).then_some(&spec.env_files),
        "filter_env": match &spec.filter_env {
            FilterEnv::Nothing => json!([]),
            FilterEnv::All => json!(true),
            FilterEnv::Name(name) => json!(name),
            FilterEnv::Containing(texts) => json!(texts),
        },
    })
}

/// User and group by number, as PM2 has them; `None`: this machine knows them no more.
fn numbers(user: &RunAs) -> Option<(u32, u32)> {
    let account = rpm_unix::user::account(user.user.as_deref(), user.group.as_deref()).ok()?;
    Some((account.credentials.uid, account.credentials.gid))
}

fn policy(detail: &InstanceDetail) -> Value {
    let spec = &detail.spec;
    let (restart, stop) = (&spec.restart, &spec.stop);
    let codes = (!restart.stop_exit_codes.is_empty()).then_some(&restart.stop_exit_codes);
    let milliseconds = |duration: std::time::Duration| duration.as_millis();
    json!({
        "autostart": spec.autostart,
        "autorestart": restart.autorestart,
        "max_restarts": (restart.max_restarts != RestartPolicy::UNLIMITED)
            .then_some(restart.max_restarts),
        "min_uptime": milliseconds(restart.min_uptime),
        "restart_delay": milliseconds(restart.restart_delay),
        "exp_backoff_restart_delay": restart.exp_backoff_restart_delay.map(milliseconds),
        "max_memory_restart": restart.max_memory_restart,
        "stop_exit_codes": codes,
        "kill_timeout": milliseconds(stop.kill_timeout),
        "listen_timeout": spec.listen_timeout.map(milliseconds),
        "wait_ready": (spec.ready == Ready::Message).then_some(true),
        "shutdown_with_message": stop.with_message.then_some(true),
        "treekill": stop.tree,
        "kill_retry_time": 100,
        "vizion": false,
        "vizion_running": false,
        "pmx": false,
        "automation": false,
        "km_link": false,
        "windowsHide": true,
    })
}

fn state(detail: &InstanceDetail) -> Value {
    let view = &detail.view;
    // As under PM2 it is there from the first restart on.
    let back_off = (view.restarts > 0).then_some(detail.previous_delay_ms);
    json!({
        "status": view.status,
        "pm_uptime": view.started_at.unwrap_or(view.created_at),
        "created_at": view.created_at,
        "restart_time": view.restarts,
        "unstable_restarts": view.unstable_restarts,
        "prev_restart_delay": back_off,
        "balance": detail.balance,
        "queue": view.queue,
        "queue_state": detail.queue_state,
        "front": detail.front,
        "needs_roll": view.needs_roll,
        "leaving": (!view.leaving.is_empty()).then_some(&view.leaving),
        "exit_code": view.last_exit.as_ref().and_then(exit_code),
        "limits_unenforced": detail.unenforced.as_ref().map(|lacking| &lacking.limits),
        "exit_oom_kills": view.last_exit.as_ref().map(|exit| exit.oom_kills).filter(|n| *n > 0),
        "exit_signal": view.last_exit.as_ref().and_then(|exit| exit.signal.as_ref()),
    })
}

/// The code; for a signal 128 and its number, as a shell says it. PM2 says 0, which looks like
/// success.
fn exit_code(exit: &ExitView) -> Option<i32> {
    let signal = || rpm_unix::signal::number(exit.signal.as_deref()?);
    exit.code.or_else(|| signal().map(|number| number.saturating_add(128)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_whole_item() {
        let mut detail = sample::detail(0, "api");
        detail.view.last_exit = Some(ExitView {
            code: None,
            signal: Some("SIGKILL".into()),
            at: 1,
            stderr: vec![],
            oom_kills: 0,
        });
        let want = r#"[{
            "pid": 4711, "name": "api", "pm_id": 0,
            "monit": { "memory": 54083584, "cpu": 2.2 },
            "pm2_env": {
                "env": { "PATH": "/bin", "NODE_APP_INSTANCE": "0", "name": "oops" },
                "PATH": "/bin", "NODE_APP_INSTANCE": 0,
                "name": "api", "namespace": "default", "username": "me", "pm_id": 0,
                "instance_var": "NODE_APP_INSTANCE", "version": "3.2.1",
                "balance": "even", "queue": 0, "queue_state": "serving",
                "axm_actions": [], "axm_monitor": {}, "axm_options": {}, "axm_dynamic": {},
                "pm_exec_path": "/srv/app.js", "pm_cwd": "/srv", "exec_interpreter": "node",
                "exec_mode": "cluster_mode", "instances": 2, "args": ["--fast"], "node_args": [],
                "pm_out_log_path": "/h/logs/api-out-0.log",
                "pm_err_log_path": "/h/logs/api-error-0.log",
                "pm_pid_path": "/h/pids/api-0.pid",
                "autostart": true, "autorestart": true, "max_restarts": 16, "min_uptime": 1000,
                "restart_delay": 0, "max_memory_restart": 314572800, "kill_timeout": 1600,
                "treekill": true, "kill_retry_time": 100, "watch": false, "vizion": false,
                "vizion_running": false, "pmx": false, "automation": false, "km_link": false,
                "windowsHide": true, "filter_env": [],
                "rotate": { "max_size": 10485760, "keep": 10, "compress": true,
                            "interval": "daily", "max_total": null },
                "status": "online", "pm_uptime": 1000000, "created_at": 900000,
                "restart_time": 3, "unstable_restarts": 0, "prev_restart_delay": 0,
                "balance": "even", "queue": 0, "queue_state": "serving",
                "exit_code": 137, "exit_signal": "SIGKILL"
            }
        }]"#;
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&[detail]), parse(want));
    }

    #[test]
    fn what_does_not_run_uses_nothing() {
        let mut detail = sample::detail(0, "api");
        detail.view.status = "stopped".into();
        detail.view.pid = None;
        let item = item(&detail);
        assert_eq!(item["pid"], json!(0));
        assert_eq!(item["monit"], json!({ "memory": 0, "cpu": 0.0 }));
    }

    #[test]
    fn no_apps_are_an_empty_array() {
        assert_eq!(value(&[]).to_string(), "[]");
    }
}

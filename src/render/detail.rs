//! Everything about one instance, as PM2's `describe` lays it out, and what PM2 does not tell: how
//! its last workers ended.

use super::{
    grid::grid,
    leaving,
    style::{Colors, Paint},
    table, units,
};
use comfy_table::Cell;
use rpm_config::{Limits, Ready};
use rpm_pm2_socket::repository::{self, Repository};
use rpm_protocol::{ExitView, FrontView, InstanceDetail, InstanceView, UnenforcedView};
use serde_json::Value;
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// How many lines are shown of the last words of workers before the last one, which are shown all.
const SHOWN_LINES: usize = 10;

/// A label and its value.
type Row = (&'static str, String);

/// The blocks of all `details`, one after the other.
pub(crate) fn all(details: &[InstanceDetail], colors: Colors) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    let blocks = details.iter().map(|detail| block(detail, now, colors));
    blocks.collect::<Vec<_>>().join("\n")
}

fn block(detail: &InstanceDetail, now: u64, colors: Colors) -> String {
    let InstanceView { id, name, .. } = &detail.view;
    let heading = format!("Describing process with id {id} - name {name}");
    let rows = rows(detail, now).into_iter().map(|(label, text)| {
        let paint = if label == "status" { Some(Paint::of_status(&text)) } else { None };
        let value = paint.map_or_else(|| Cell::new(&text), |paint| colors.cell(paint, &text));
        vec![colors.cell(Paint::Label, label), value]
    });
    let mut lines = vec![colors.paint(Paint::Label, &heading)];
    lines.push(grid(colors, rows.collect()).to_string());
    if let Some(found) = repository::find(&detail.spec.cwd) {
        lines.push(colors.paint(Paint::Label, "Revision control metadata"));
        lines.push(grid(colors, revision(&found, colors)).to_string());
    }
    if !detail.spec.env.is_empty() {
        lines.push(colors.paint(Paint::Label, "Environment of its own"));
        lines.push(grid(colors, variables(detail, colors)).to_string());
    }
    lines.extend(exits(&detail.exits, colors));
    lines.join("\n")
}

/// Labels and values: PM2's, in its order, then ours.
fn rows(detail: &InstanceDetail, now: u64) -> Vec<Row> {
    let mut rows = rows_of_pm2(detail, now);
    let listening = &detail.listening;
    rows.push(("slot", format!("{} of {}", detail.view.slot, detail.spec.instances)));
    rows.extend(detail.view.needs_roll.clone().map(|reason| ("needs roll", reason)));
    rows.push(("listening", if listening.is_empty() { none() } else { listening.join(" ") }));
    rows.extend(rows_of_wishes(detail));
    rows.extend(rows_of_ports(detail));
    rows.extend(detail.view.last_exit.as_ref().map(|exit| ("last exit", exit_line(exit))));
    rows.extend(rows_of_logs(detail));
    rows.extend(rows_of_offers(detail));
    rows
}

fn rows_of_pm2(detail: &InstanceDetail, now: u64) -> Vec<Row> {
    let InstanceDetail { view, spec, .. } = detail;
    let launch = &spec.launch;
    let mut rows = vec![
        ("status", view.status.clone()),
        ("name", view.name.to_string()),
        ("namespace", view.namespace.clone()),
        ("version", view.version.clone().unwrap_or_else(none)),
        ("restarts", view.restarts.to_string()),
    ];
    rows.extend(spec.restart.max_memory_restart.map(|b| ("max memory restart", units::memory(b))));
    rows.extend(spec.cron_restart.clone().map(|pattern| ("cron restart", pattern)));
    rows.extend([
        ("uptime", table::uptime(view, now)),
        ("script path", launch.script.display().to_string()),
        ("script args", words(&launch.args)),
        ("error log path", path(detail.error_log.as_deref())),
        ("out log path", path(detail.out_log.as_deref())),
        ("pid path", detail.pid_file.display().to_string()),
        ("interpreter", launch.interpreter.clone().unwrap_or_else(|| "none".into())),
        ("interpreter args", words(&launch.interpreter_args)),
        ("script id", view.id.to_string()),
        ("exec cwd", spec.cwd.display().to_string()),
        ("exec mode", format!("{}_mode", view.mode)),
        ("watch & reload", if view.watching { "✔" } else { "✘" }.to_owned()),
        ("unstable restarts", view.unstable_restarts.to_string()),
        ("created at", units::timestamp(view.created_at)),
        ("pid", view.pid.map_or_else(|| "N/A".into(), |pid| pid.to_string())),
    ]);
    rows
}

/// What its keys say that PM2 does not know.
fn rows_of_wishes(detail: &InstanceDetail) -> Vec<Row> {
    let spec = &detail.spec;
    let mut rows = Vec::new();
    match &spec.ready {
        Ready::Listening | Ready::Message => {}
        Ready::Notify => rows.push(("ready when", "it sends READY=1".to_owned())),
        Ready::Probe(probe) => rows.push(("ready when", probe.to_string())),
    }
    if let Some(health) = &spec.health {
        rows.push(("health", format!("{}, {} failures", health.probe, health.failures)));
    }
    if !spec.depends_on.is_empty() {
        let all = spec.depends_on.iter().map(|(app, how)| format!("{app} ({how})"));
        rows.push(("depends on", all.collect::<Vec<_>>().join(" ")));
    }
    if !spec.on.is_empty() {
        let all = spec.on.iter().map(|(trouble, hook)| format!("{trouble}: {hook}"));
        rows.push(("on", all.collect::<Vec<_>>().join(", ")));
    }
    if spec.limits != Limits::default() {
        rows.push(("limits", spec.limits.to_string()));
    }
    if let Some(UnenforcedView { limits, why }) = &detail.unenforced {
        rows.push(("not enforced", format!("{}: {why}", limits.join(", "))));
    }
    rows.extend(detail.cgroup.as_deref().map(|group| ("cgroup", path(Some(group)))));
    rows
}

/// Who gets its connections, and how many wait.
fn rows_of_ports(detail: &InstanceDetail) -> Vec<Row> {
    let view = &detail.view;
    let mut rows = Vec::new();
    rows.extend(detail.balance.clone().map(|balance| ("balance", balance)));
    rows.extend(detail.front.as_ref().map(front_rows).unwrap_or_default());
    if let (Some(queue), Some(state)) = (view.queue, &detail.queue_state) {
        rows.push(("queue", format!("{queue} waiting, {state}")));
    }
    for old in &view.leaving {
        rows.push(("former worker", format!("pid {}, {}", old.pid, leaving::state(old))));
    }
    rows
}

/// What is wrong with its logs.
fn rows_of_logs(detail: &InstanceDetail) -> Vec<Row> {
    let mut rows = Vec::new();
    if detail.view.log_trouble {
        rows.push(("logs", "a file takes nothing: rpm events, rpm.log".to_owned()));
    }
    if detail.unshipped_log_lines > 0 {
        rows.push(("log lines unsent", detail.unshipped_log_lines.to_string()));
    }
    if detail.dropped_log_bytes > 0 {
        rows.push(("log bytes lost", units::memory(detail.dropped_log_bytes)));
    }
    rows
}

/// What it told over its channel: PM2's actions and metrics.
fn rows_of_offers(detail: &InstanceDetail) -> Vec<Row> {
    let offers = &detail.offers;
    let names = offers.actions.iter().filter_map(|one| one.get("action_name")?.as_str());
    let actions: Vec<&str> = names.collect();
    let actions = (!actions.is_empty()).then(|| ("actions", actions.join(" ")));
    let metrics =
        offers.monitor.iter().map(|(name, one)| ("metric", format!("{name}: {}", figure(one))));
    actions.into_iter().chain(metrics).collect()
}

/// The variables that were given to it alone; `rpm env` shows all.
fn variables(detail: &InstanceDetail, colors: Colors) -> Vec<Vec<Cell>> {
    let own = detail.spec.env.iter();
    own.map(|(name, value)| vec![colors.cell(Paint::Label, name), Cell::new(printable(value))])
        .collect()
}

/// A text that cannot move the cursor or break the table.
fn printable(text: &str) -> String {
    let shown = |one: char| {
        if one.is_control() { one.escape_default().to_string() } else { one.to_string() }
    };
    text.chars().map(shown).collect()
}

/// What is known of the checkout an app runs in.
fn revision(found: &Repository, colors: Colors) -> Vec<Vec<Cell>> {
    let rows = [
        ("revision control", Some("git".to_owned())),
        ("remote url", found.url.clone()),
        ("repository root", Some(found.root.display().to_string())),
        ("revision", found.revision.clone()),
        ("branch", found.branch.clone()),
    ];
    let rows = rows.into_iter().filter_map(|(label, value)| Some((label, value?)));
    rows.map(|(label, value)| vec![colors.cell(Paint::Label, label), Cell::new(value)]).collect()
}

fn front_rows(front: &FrontView) -> Vec<Row> {
    let pid = front.pid.map_or_else(|| "none, another one comes".into(), |pid| pid.to_string());
    let header = front.proxy_protocol.as_ref();
    let header = header.map_or_else(String::new, |version| format!(", PROXY protocol {version}"));
    let listening = front.listening.join(" ");
    let FrontView { connections, waiting, instance_connections: open, .. } = front;
    let state = front.instance_state.as_deref().unwrap_or("gets no connections");
    vec![
        ("front", format!("{listening} ({}{header}), pid {pid}", front.balance)),
        ("front connections", format!("{connections}, {waiting} waiting")),
        ("connections", format!("{open}, {state}")),
    ]
}

/// A figure of an app's own: `{value, unit}`, or whatever it sent.
fn figure(metric: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = text(metric.get("value").unwrap_or(metric));
    match metric.get("unit").and_then(Value::as_str) {
        Some(unit) => format!("{value} {unit}"),
        None => value,
    }
}

fn none() -> String {
    "N/A".into()
}

fn words(words: &[String]) -> String {
    if words.is_empty() { none() } else { words.join(" ") }
}

fn path(path: Option<&Path>) -> String {
    path.map_or_else(|| "/dev/null".into(), |path| path.display().to_string())
}

/// How the last workers ended, newest first, with their last words.
fn exits(exits: &[ExitView], colors: Colors) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, exit) in exits.iter().enumerate() {
        lines.push(colors.paint(Paint::Label, &format!("Ended: {}", exit_line(exit))));
        let shown = if number == 0 { usize::MAX } else { SHOWN_LINES };
        let first = exit.stderr.len().saturating_sub(shown);
        let last = exit.stderr.get(first..).unwrap_or_default();
        lines.extend(last.iter().map(|line| format!("  {} {line}", colors.paint(Paint::Dim, "|"))));
    }
    lines
}

fn exit_line(exit: &ExitView) -> String {
    let how = match (exit.code, &exit.signal) {
        (_, Some(signal)) => format!("by {signal}"),
        (Some(code), None) => format!("with code {code}"),
        (None, None) => "in an unknown way".into(),
    };
    let at = units::timestamp(exit.at);
    match exit.oom_kills {
        0 => format!("{how} at {at}"),
        1 => format!("{how}, killed at its memory limit (cgroup OOM), at {at}"),
        count => {
            format!("{how}, {count} processes killed at its memory limit (cgroup OOM), at {at}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn a_whole_block() {
        let exit = ExitView {
            code: Some(1),
            signal: None,
            at: 951_782_400_000,
            stderr: vec!["Error: no database".into()],
            oom_kills: 0,
        };
        let mut detail = sample::detail(0, "api");
        detail.view.last_exit = Some(exit.clone());
        detail.exits = vec![exit];
        let want = "\
Describing process with id 0 - name api
┌────────────────────┬─────────────────────────────────────────┐
│ status             │ online                                  │
│ name               │ api                                     │
│ namespace          │ default                                 │
│ version            │ 3.2.1                                   │
│ restarts           │ 3                                       │
│ max memory restart │ 300.0mb                                 │
│ uptime             │ 45s                                     │
│ script path        │ /srv/app.js                             │
│ script args        │ --fast                                  │
│ error log path     │ /h/logs/api-error-0.log                 │
│ out log path       │ /h/logs/api-out-0.log                   │
│ pid path           │ /h/pids/api-0.pid                       │
│ interpreter        │ node                                    │
│ interpreter args   │ N/A                                     │
│ script id          │ 0                                       │
│ exec cwd           │ /srv                                    │
│ exec mode          │ cluster_mode                            │
│ watch & reload     │ ✘                                       │
│ unstable restarts  │ 0                                       │
│ created at         │ 1970-01-01T00:15:00.000Z                │
│ pid                │ 4711                                    │
│ slot               │ 0 of 2                                  │
│ listening          │ 0.0.0.0:3000                            │
│ balance            │ even                                    │
│ queue              │ 0 waiting, serving                      │
│ last exit          │ with code 1 at 2000-02-29T00:00:00.000Z │
└────────────────────┴─────────────────────────────────────────┘
Ended: with code 1 at 2000-02-29T00:00:00.000Z
  | Error: no database";
        assert_eq!(block(&detail, 1_045_000, Colors::Off), want);
    }

    #[test]
    fn figures_have_their_unit() {
        let figures = [
            (serde_json::json!({ "value": 3, "unit": "req/s" }), "3 req/s"),
            (serde_json::json!({ "value": "12.5" }), "12.5"),
            (serde_json::json!(7), "7"),
        ];
        for (metric, want) in figures {
            assert_eq!(figure(&metric), want);
        }
    }

    #[test]
    fn signals_are_told_by_name() {
        let signal = Some("SIGKILL".to_owned());
        let exit = |oom_kills| {
            let (code, signal, stderr) = (None, signal.clone(), Vec::new());
            exit_line(&ExitView { code, signal, at: 0, stderr, oom_kills })
        };
        assert_eq!(exit(0), "by SIGKILL at 1970-01-01T00:00:00.000Z");
        let one =
            "by SIGKILL, killed at its memory limit (cgroup OOM), at 1970-01-01T00:00:00.000Z";
        assert_eq!(exit(1), one);
        let two = "by SIGKILL, 2 processes killed at its memory limit (cgroup OOM), \
                   at 1970-01-01T00:00:00.000Z";
        assert_eq!(exit(2), two);
    }
}

//! Prints what every event does in every state into `docs/states.md`, by doing it, and fails when
//! the page says something else. `RPM_UPDATE_DOCS=1` rewrites the page.

use super::bench::*;
use crate::*;
use rpm_config::Ready;
use std::{fmt::Write, fs, path::Path, time::Duration};

const BEGIN: &str = "<!-- generated: begin -->\n";
const END: &str = "<!-- generated: end -->\n";
/// The request of a row; the ones before it are 1 (the app's first start) and 2.
const TICKET: Ticket = Ticket(9);

/// An instance in a state, and the worker of it that the events are about.
struct Row {
    title: &'static str,
    subject: WorkerId,
    bench: Bench,
}

fn row(title: &'static str, subject: u64, bench: Bench) -> Row {
    Row { title, subject: WorkerId(subject), bench }
}

fn one() -> Vec<InstanceId> {
    ids(&[0])
}

/// `bench` after a request for its only instance.
fn asked(mut bench: Bench, command: Command) -> Bench {
    bench.ask(command);
    bench
}

fn proxied() -> Policy {
    Policy { proxied: true, ..fork() }
}

fn online() -> Bench {
    Bench::online(cluster(), 1)
}

fn reloading() -> Bench {
    asked(online(), Command::Reload(one()))
}

fn reloaded() -> Bench {
    let mut bench = reloading();
    bench.ready(1);
    bench
}

fn rows() -> Vec<Row> {
    let mut stopped = asked(online(), Command::Stop(one()));
    stopped.gone(0);
    let mut delayed = cluster();
    delayed.restart.restart_delay = Duration::from_millis(500);
    let mut waiting = Bench::online(delayed, 1);
    waiting.dies(0, 1);
    let mut errored = Bench::launching(cluster(), 1);
    errored.not_spawned(0);
    let mut crashed = online();
    crashed.exited(0, Exit::Code(1));
    let strict = Policy { ready: Ready::Message, ..cluster() };
    let mut removing = asked(Bench::online(cluster(), 2), Command::Reload(Vec::new()));
    removing.ask(Command::Scale { app: name("a"), instances: 1 });
    let mut rejected = reloading();
    rejected.exited(1, Exit::Code(1));
    let draining = asked(Bench::online(proxied(), 1), Command::Reload(one()));
    let depends_on = [(name("db"), rpm_config::Requirement::Ready)].into();
    let dependent = Policy { depends_on, ..cluster() };
    let mut killed = asked(online(), Command::Stop(one()));
    killed.pass(1600);
    vec![
        row("Stopped", 0, stopped),
        row("Launching", 0, Bench::launching(cluster(), 1)),
        row("Launching, must say `ready`", 0, Bench::launching(strict, 1)),
        row("Online", 0, online()),
        row("Online, fork mode", 0, Bench::online(fork(), 1)),
        row("Online, behind a front", 0, Bench::online(proxied(), 1)),
        row("Draining, behind a front", 0, draining),
        row("Stopping, asked", 0, asked(online(), Command::Stop(one()))),
        row("Stopping, killed", 0, killed),
        row("Stopping, crashed", 0, crashed),
        row("Awaiting", 0, Bench::launching(dependent, 1)),
        row("Waiting", 0, waiting),
        row("Errored", 0, errored),
        row("Removing", 1, removing),
        row("Current beside its replacement", 0, reloading()),
        row("Replacement", 1, reloading()),
        row("Leaving, draining", 0, reloaded()),
        row("Leaving, stopping", 1, rejected),
    ]
}

fn events(row: &Row) -> Vec<(&'static str, Event)> {
    let worker = row.subject;
    let target = || vec![row.bench.fleet.instances().last().unwrap().2.id];
    let ask = |command| Event::Command { ticket: TICKET, command };
    vec![
        ("start", ask(Command::Start(target()))),
        ("stop", ask(Command::Stop(target()))),
        ("restart", ask(Command::Restart(target()))),
        ("reload", ask(Command::Reload(target()))),
        ("delete", ask(Command::Delete(target()))),
        ("spawned", Event::Spawned { worker }),
        ("not spawned", Event::SpawnFailed { worker, reason: "reason".into() }),
        ("ready", Event::Ready { worker, listening: true }),
        ("exited", Event::Exited { worker, exit: Exit::Code(1) }),
        ("tree gone", Event::TreeGone { worker }),
        ("drained", Event::Drained { worker }),
        ("too much memory", Event::MemoryExceeded { worker, bytes: 1 }),
        ("ill", Event::Unhealthy { worker, reason: "reason".into() }),
        ("deadline", Event::Tick),
    ]
}

/// What the instance is after `event`, and what was done for it; `None` if nothing happened.
fn outcome(row: &Row, event: Event) -> Option<(String, String)> {
    let mut bench = row.bench.clone();
    let id = bench.fleet.instances().last()?.2.id;
    if event == Event::Tick {
        bench.now = bench.fleet.deadline().unwrap_or(bench.now);
    }
    let effects = bench.on(event);
    let after = bench.fleet.instance(id).map_or("gone".into(), |(_, _, found)| describe(found));
    let changed = bench.fleet != row.bench.fleet || !effects.is_empty();
    changed.then(|| (after, effects.join("; ")))
}

fn describe(instance: &Instance) -> String {
    let mut text = match &instance.state {
        State::Stopped => "Stopped".into(),
        State::Launching { worker, .. } => format!("Launching {worker}"),
        State::Online { worker, .. } => format!("Online {worker}"),
        State::Draining { worker, then, .. } => {
            format!("Draining {worker}, then {}", describe_then(*then))
        }
        State::Stopping { worker, then, .. } => {
            format!("Stopping {worker}, then {}", describe_then(*then))
        }
        State::Awaiting => "Awaiting".into(),
        State::Waiting { .. } => "Waiting".into(),
        State::Errored => "Errored".into(),
        State::Removing => "Removing".into(),
    };
    if let Some(Replacement { worker, .. }) = &instance.replacement {
        write!(text, " + replacement {worker}").unwrap();
    }
    for Leaving { worker, phase } in &instance.leaving {
        let phase = match phase {
            LeavingPhase::Draining { .. } => "draining",
            LeavingPhase::Stopping { .. } => "stopping",
            LeavingPhase::Killed => "killed",
        };
        write!(text, " + {phase} {worker}").unwrap();
    }
    text
}

fn describe_then(then: Then) -> String {
    match then {
        Then::Stop => "stop".into(),
        Then::Start { delay_ms: 0 } => "start".into(),
        Then::Start { delay_ms } => format!("start after {delay_ms} ms"),
        Then::Error => "error".into(),
        Then::Remove => "remove".into(),
    }
}

fn generated() -> String {
    let mut page = String::new();
    for row in rows() {
        let (_, _, instance) = row.bench.fleet.instances().last().unwrap();
        let (title, subject) = (row.title, row.subject);
        let state = describe(instance);
        writeln!(page, "\n## {title}\n\nBefore: {state}. Events are about worker {subject}.\n")
            .unwrap();
        page.push_str("| event | becomes | effects |\n|---|---|---|\n");
        for (event, it) in events(&row) {
            let (after, effects) = outcome(&row, it).unwrap_or(("·".into(), "·".into()));
            let effects = if effects.is_empty() { "·".into() } else { effects };
            writeln!(page, "| {event} | {after} | {effects} |").unwrap();
        }
    }
    page.push('\n');
    page
}

#[test]
fn the_page_says_what_happens() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    let page = fs::read_to_string(&path).unwrap();
    let (intro, rest) = page.split_once(BEGIN).expect("no begin mark");
    let (written, outro) = rest.split_once(END).expect("no end mark");
    let generated = generated();
    if std::env::var_os("RPM_UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&path, format!("{intro}{BEGIN}{generated}{END}{outro}")).unwrap();
        return;
    }
    assert_eq!(written, generated, "docs/states.md is old: RPM_UPDATE_DOCS=1 cargo test states");
}

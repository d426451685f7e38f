//! The fleet as clients see it: from state to the protocol's views.

use crate::{clock, diagnose, engine::Engine, launch, log_files};
use rpm_config::{AppName, AppSpec, ExecMode};
use rpm_protocol::{ExitView, InstanceDetail, InstanceView, LeavingView};
use rpm_supervisor::{Exit, Instance, Leaving, LeavingPhase, Moment, WorkerId};
use std::path::Path;

/// One instance, as a list shows it.
pub(crate) fn instance(
    engine: &Engine,
    app: &AppName,
    slot: u32,
    instance: &Instance,
) -> Option<InstanceView> {
    let spec = engine.specs.get(app)?;
    let worker = instance.current();
    let process = worker.and_then(|id| engine.workers.process(id)).filter(|p| !p.exited);
    let record = worker.and_then(|id| engine.workers.get(id)).map(|worker| &worker.record);
    Some(InstanceView {
        id: instance.id.0,
        name: app.clone(),
        namespace: spec.namespace.clone(),
        version: match record {
            Some(record) => record.version.clone(),
            None => engine.versions.of(app, &spec.launch.script),
        },
        slot,
        mode: mode_word(spec.mode).to_owned(),
        status: instance.status().to_string(),
        pid: process.map(|process| process.leader.pid),
        started_at: record.map(|record| record.started_at),
        created_at: clock::epoch_of(instance.created),
        restarts: instance.restarts,
        unstable_restarts: instance.unstable,
        cpu: worker.map_or(0.0, |id| engine.sampler.cpu(id)),
        memory: worker.map_or(0, |id| engine.sampler.memory(id)),
        user: user(spec),
        watching: spec.watch.is_some(),
        log_trouble: process.is_some_and(|process| process.output.is_troubled()),
        last_exit: instance.last_exit.map(|(exit, at)| ExitView {
            oom_kills: engine.last_oom_kills(instance.id),
            ..exit_view(exit, at)
        }),
        queue: engine.sharing.waiting(&launch::owner(spec, slot)),
        leaving: leaving_of(instance).filter_map(|one| leaving(engine, &one)).collect(),
        needs_roll: engine.needs_roll(app, instance),
    })
}

/// One instance, with all rpm knows.
pub(crate) fn detail(
    engine: &Engine,
    app: &AppName,
    slot: u32,
    one: &Instance,
) -> Option<InstanceDetail> {
    let view = instance(engine, app, slot, one)?;
    let spec = engine.specs.get(app)?;
    let worker = one.current();
    let known = worker.and_then(|id| engine.workers.get(id));
    let (out_log, error_log) = log_files::paths(&engine.home, spec, one.id, slot);
    let worker = worker.unwrap_or(WorkerId(0));
    let seat = launch::Seat { instance: one.id, slot, worker };
    Some(InstanceDetail {
        view,
        spec: spec.as_ref().clone(),
        environment: launch::environment(spec, &engine.places, seat),
        out_log,
        error_log,
        pid_file: crate::pid_file::path(&engine.home, spec, one.id, slot),
        log: rpm_config::combined_log_path(spec, &engine.home.logs(), one.id.0, slot),
        listening: known.map(|worker| worker.record.listening.clone()).unwrap_or_default(),
        balance: engine.sharing.balance(spec),
        front: engine.front_view(app, slot),
        queue_state: engine.sharing.standing(&launch::owner(spec, slot)).map(str::to_owned),
        exits: engine.exits.get(&one.id).cloned().unwrap_or_default(),
        previous_delay_ms: one.previous_delay_ms,
        dropped_log_bytes: known
            .and_then(|worker| worker.process.as_ref())
            .map_or(0, |process| process.output.dropped()),
        unshipped_log_lines: known
            .and_then(|worker| worker.process.as_ref())
            .map_or(0, |process| process.output.unshipped()),
        offers: known.map(|worker| worker.record.offers.clone()).unwrap_or_default(),
        unenforced: known.and_then(|worker| worker.record.unenforced.clone()),
        cgroup: known
            .and_then(|worker| worker.process.as_ref()?.leader.group.directory())
            .filter(|directory| directory.exists())
            .map(Path::to_owned),
    })
}

/// The user it runs as: as written, or who started it.
fn user(spec: &AppSpec) -> String {
    let given = spec.user.as_ref().and_then(|user| user.user.as_ref());
    let user = given.or_else(|| spec.inherited_env.get("USER"));
    user.cloned().unwrap_or_else(|| "root".to_owned())
}

/// PM2's short words for the modes.
fn mode_word(mode: ExecMode) -> &'static str {
    match mode {
        ExecMode::Fork => "fork",
        ExecMode::Cluster => "cluster",
    }
}

fn exit_view(exit: Exit, at: Moment) -> ExitView {
    let (code, signal) = match exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal(signal) => (None, Some(diagnose::signal_name(signal))),
        Exit::Unknown => (None, None),
    };
    ExitView { code, signal, at: clock::epoch_of(at), stderr: Vec::new(), oom_kills: 0 }
}

/// Workers on their way out; behind a front the current one can be among them.
fn leaving_of(instance: &Instance) -> impl Iterator<Item = Leaving> {
    let draining = instance.draining();
    let current =
        draining.map(|(until, worker)| Leaving { worker, phase: LeavingPhase::Draining { until } });
    current.into_iter().chain(instance.leaving.iter().cloned())
}

fn leaving(engine: &Engine, leaving: &Leaving) -> Option<LeavingView> {
    let pid = engine.workers.process(leaving.worker)?.leader.pid;
    let left =
        |until: Moment| u64::try_from(until.since(clock::now()).as_millis()).unwrap_or(u64::MAX);
    let (phase, left_ms) = match leaving.phase {
        LeavingPhase::Draining { until } => ("draining", left(until)),
        LeavingPhase::Stopping { deadline } => ("stopping", left(deadline)),
        LeavingPhase::Killed => ("killed", 0),
    };
    let connections = engine.sampler.connections(leaving.worker);
    Some(LeavingView { pid, phase: phase.to_owned(), left_ms, connections })
}

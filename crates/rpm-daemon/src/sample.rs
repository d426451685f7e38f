//! Memory and CPU of workers' trees: looked at when somebody asks, and every second while an app
//! has a memory limit. Reading `/proc` happens on a thread of its own, never in the engine.

use crate::{
    drains::Drains,
    engine::Engine,
    inbox::{Message, Responder},
    tree::{self, Leader},
    worker::Workers,
};
use rpm_supervisor::{Event, InstanceId, State, WorkerId};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// A sample this young answers a client without a new one.
const FRESH: Duration = Duration::from_millis(250);

/// What one worker's tree uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Resident bytes.
    pub(crate) memory: u64,
    /// CPU time since its processes began.
    pub(crate) cpu_time: Duration,
    /// Percent of one core since the former sample, or since it began.
    pub(crate) cpu: f32,
}

/// What all workers use.
pub(crate) struct Sample {
    /// `None` where /proc cannot be read.
    system: Option<System>,
    usage: BTreeMap<WorkerId, Usage>,
    /// What draining workers have left.
    connections: BTreeMap<WorkerId, u32>,
    taken: Instant,
}

/// A request that waits for a sample.
pub(crate) enum Waiting {
    /// `list`.
    List(Responder),
    /// `describe` of these.
    /// With the values of secrets, or without.
    Describe(Vec<InstanceId>, bool, Responder),
}

/// The last sample, and who waits for the next.
#[derive(Default)]
pub(crate) struct Sampler {
    /// sysinfo's memory between samples; away while a sample is being taken.
    system: Option<System>,
    running: bool,
    last: BTreeMap<WorkerId, Usage>,
    connections: BTreeMap<WorkerId, u32>,
    taken: Option<Instant>,
    waiting: Vec<Waiting>,
}

impl Sampler {
    /// What a worker used when last looked at.
    pub(crate) fn usage(&self, worker: WorkerId) -> Usage {
        self.last.get(&worker).copied().unwrap_or_default()
    }

    /// How many connections a draining worker had when last looked at.
    pub(crate) fn connections(&self, worker: WorkerId) -> Option<u32> {
        self.connections.get(&worker).copied()
    }

    /// How long ago that was.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.taken.map(|at| at.elapsed())
    }

    /// Whether the last sample is young and knows every worker.
    fn is_fresh(&self, workers: &Workers) -> bool {
        let young = self.taken.is_some_and(|at| at.elapsed() < FRESH);
        young && workers.iter().all(|(id, _)| self.last.contains_key(&id))
    }
}

impl Engine {
    /// Answers `waiting` with figures that are not old.
    pub(crate) fn with_fresh_sample(&mut self, waiting: Waiting) {
        let fresh = self.sampler.is_fresh(&self.workers) || self.workers.is_empty();
        // What fronts know is asked for each time: they have it at hand.
        self.ask_fronts();
        self.sampler.waiting.push(waiting);
        if !fresh {
            self.ask_for_slots();
            self.start_sample();
        }
        self.answer_looks();
    }

    /// Takes a sample, unless one is being taken.
    pub(crate) fn start_sample(&mut self) {
        if std::mem::replace(&mut self.sampler.running, true) {
            return;
        }
        let system = self.sampler.system.take();
        let leaders: Vec<(WorkerId, Leader)> = self
            .workers
            .iter()
            .filter_map(|(id, worker)| Some((id, worker.process.as_ref()?.leader.clone())))
            .collect();
        let orphans = self.orphans();
        let drains = self.drains();
        let sender = self.inbox.sender();
        tokio::task::spawn_local(async move {
            let take = move || take(system, &leaders, &orphans, &drains);
            let taken = tokio::task::spawn_blocking(take).await;
            if let Ok(sample) = taken {
                let _ = sender.send(Message::Sampled(Box::new(sample))).await;
            }
        });
    }

    /// A sample was taken: who waited is answered, who uses too much is reloaded.
    pub(crate) fn on_sample(&mut self, mut sample: Sample) {
        let since = self.sampler.taken.map(|at| sample.taken.duration_since(at));
        for (worker, usage) in &mut sample.usage {
            let former = self.sampler.last.get(worker);
            usage.cpu = match (former, since) {
                (Some(former), Some(since)) => percent(usage.cpu_time, former.cpu_time, since),
                _ => self.lifetime_percent(*worker, usage.cpu_time),
            };
        }
        self.sampler.running = false;
        self.sampler.taken = Some(sample.taken);
        self.sampler.last = sample.usage;
        self.sampler.system = sample.system;
        self.tell_drains(&sample.connections);
        self.sampler.connections = sample.connections;
        self.answer_looks();
        self.check_memory();
    }

    /// Answers those who wait, if all figures are there.
    pub(crate) fn answer_looks(&mut self) {
        if self.sampler.running || self.sharing.is_asking() || self.fronts.are_asked() {
            return;
        }
        for waiting in std::mem::take(&mut self.sampler.waiting) {
            self.answer_look(waiting);
        }
    }

    fn lifetime_percent(&self, worker: WorkerId, cpu_time: Duration) -> f32 {
        let started = self.workers.get(worker).map_or(0, |worker| worker.record.started_at);
        let lived = crate::clock::epoch_millis().saturating_sub(started);
        percent(cpu_time, Duration::ZERO, Duration::from_millis(lived))
    }

    /// Whether any app has a limit to look after.
    pub(crate) fn has_memory_limits(&self) -> bool {
        self.fleet.apps.values().any(|app| app.policy.restart.max_memory_restart.is_some())
    }

    fn check_memory(&mut self) {
        let over: Vec<(WorkerId, u64)> = self
            .fleet
            .apps
            .values()
            .filter_map(|app| Some((app, app.policy.restart.max_memory_restart?)))
            .flat_map(|(app, limit)| app.instances.values().map(move |one| (one, limit)))
            .filter_map(|(one, limit)| match one.state {
                State::Online { worker, .. } => Some((worker, limit)),
                _ => None,
            })
            .map(|(worker, limit)| (worker, limit, self.sampler.usage(worker).memory))
            .filter(|(_, limit, bytes)| bytes > limit)
            .map(|(worker, _, bytes)| (worker, bytes))
            .collect();
        for (worker, bytes) in over {
            self.step(Event::MemoryExceeded { worker, bytes });
        }
    }
}

/// Percent of one core between two readings of CPU time.
fn percent(now: Duration, before: Duration, elapsed: Duration) -> f32 {
    if elapsed.is_zero() {
        return 0.0;
    }
    now.saturating_sub(before).as_secs_f32() / elapsed.as_secs_f32() * 100.0
}

fn take(
    system: Option<System>,
    leaders: &[(WorkerId, Leader)],
    orphans: &[i32],
    drains: &Drains,
) -> Sample {
    let trees: BTreeMap<WorkerId, Vec<i32>> =
        leaders.iter().map(|(id, of)| (*id, tree::pids(&tree::members(of, orphans)))).collect();
    let connections = drains.count(&trees);
    let Some(mut system) = system.or_else(|| System::new().ok()) else {
        return Sample { system: None, usage: BTreeMap::new(), connections, taken: Instant::now() };
    };
    let trees: Vec<(WorkerId, Vec<Pid>)> = trees
        .into_iter()
        .map(|(id, pids)| (id, pids.into_iter().filter_map(pid_of).collect()))
        .collect();
    let all: Vec<Pid> = trees.iter().flat_map(|(_, pids)| pids.iter().copied()).collect();
    let what = ProcessRefreshKind::nothing().with_memory().with_cpu().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&all), true, what);
    let usage = trees.iter().map(|(id, pids)| (*id, total(&system, pids))).collect();
    Sample { system: Some(system), usage, connections, taken: Instant::now() }
}

fn pid_of(pid: i32) -> Option<Pid> {
    u32::try_from(pid).ok().map(Pid::from_u32)
}

fn total(system: &System, pids: &[Pid]) -> Usage {
    let mut sum = Usage::default();
    for process in pids.iter().filter_map(|pid| system.process(*pid)) {
        sum.memory += process.memory();
        sum.cpu_time += Duration::from_millis(process.accumulated_cpu_time());
    }
    sum
}

//! Memory and CPU of workers' trees: looked at when somebody asks, and every second those of apps
//! with a memory limit. Reading `/proc` happens on a thread of its own, never in the engine.

mod usage;

pub(crate) use usage::{Sample, Whom};

use crate::{
    engine::Engine,
    inbox::{Message, Responder},
    tree::Leader,
    worker::{Worker, Workers},
};
use rpm_supervisor::{Event, InstanceId, State, WorkerId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use usage::{Look, Usage};

/// A sample this young answers a client without a new one; CPU is never reckoned over less, since
/// the kernel counts it in ticks of 10 ms.
const FRESH: Duration = Duration::from_millis(250);
/// And one younger than so many times what it took: however many workers there are and however
/// often somebody asks, samples take one part in so many of a core.
const PART: u32 = 20;
/// But one as old as this never.
const STALE: Duration = Duration::from_secs(1);

/// What a worker's tree was last seen to use.
#[derive(Clone, Copy, Debug)]
struct Reading {
    usage: Usage,
    at: Instant,
    /// Percent of one core since the reading before, or since it began.
    cpu: f32,
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
    /// Whose is being taken.
    running: Option<Whom>,
    last: BTreeMap<WorkerId, Reading>,
    connections: BTreeMap<WorkerId, u32>,
    /// When the last one was.
    taken: Option<Instant>,
    /// Until when the last one of all workers is fresh.
    fresh_until: Option<Instant>,
    waiting: Vec<Waiting>,
}

impl Sampler {
    /// Resident bytes of a worker when last looked at.
    pub(crate) fn memory(&self, worker: WorkerId) -> u64 {
        self.last.get(&worker).map_or(0, |reading| reading.usage.memory)
    }

    /// Percent of one core it used then.
    pub(crate) fn cpu(&self, worker: WorkerId) -> f32 {
        self.last.get(&worker).map_or(0.0, |reading| reading.cpu)
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
        let young = self.fresh_until.is_some_and(|until| Instant::now() < until);
        young && workers.iter().all(|(id, _)| self.last.contains_key(&id))
    }

    /// What is now known of a worker that used `usage` at `at`; without a reading before, it has
    /// lived for `lived`.
    fn reading(&self, worker: WorkerId, usage: Usage, at: Instant, lived: Duration) -> Reading {
        let (before, since) = match self.last.get(&worker) {
            Some(former) if at.duration_since(former.at) < FRESH => {
                let usage = Usage { memory: usage.memory, ..former.usage };
                return Reading { usage, ..*former };
            }
            Some(former) => (former.usage.cpu_time, at.duration_since(former.at)),
            None => (Duration::ZERO, lived),
        };
        Reading { usage, at, cpu: percent(usage.cpu_time, before, since) }
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
            self.start_sample(Whom::All);
        }
        self.answer_looks();
    }

    /// Takes a sample, unless one is being taken.
    pub(crate) fn start_sample(&mut self, whom: Whom) {
        if self.sampler.running.is_some() {
            return;
        }
        self.sampler.running = Some(whom);
        let leaders = self.leaders(whom);
        let look = Look { whom, leaders, orphans: self.orphans(), drains: self.drains() };
        let sender = self.inbox.sender();
        tokio::task::spawn_local(async move {
            let taken = tokio::task::spawn_blocking(|| look.take()).await;
            if let Ok(sample) = taken {
                let _ = sender.send(Message::Sampled(Box::new(sample))).await;
            }
        });
    }

    fn leaders(&self, whom: Whom) -> Vec<(WorkerId, Leader)> {
        let watched = match whom {
            Whom::All => None,
            Whom::Watched => Some(self.watched()),
        };
        let wanted = |id: &WorkerId| watched.as_ref().is_none_or(|watched| watched.contains(id));
        let leader = |worker: &Worker| Some(worker.process.as_ref()?.leader.clone());
        let all = self.workers.iter().filter(|(id, _)| wanted(id));
        all.filter_map(|(id, worker)| Some((id, leader(worker)?))).collect()
    }

    fn watched(&self) -> BTreeSet<WorkerId> {
        let limited = self.limited().map(|(worker, _)| worker);
        limited.chain(self.draining().map(|(_, worker)| worker)).collect()
    }

    /// A sample was taken: who waited is answered, who uses too much is reloaded.
    pub(crate) fn on_sample(&mut self, sample: Sample) {
        let Sample { whom, usage, connections, taken, cost } = sample;
        for (worker, usage) in usage {
            let lived = self.lived(worker);
            let reading = self.sampler.reading(worker, usage, taken, lived);
            self.sampler.last.insert(worker, reading);
        }
        self.sampler.last.retain(|worker, _| self.workers.get(*worker).is_some());
        self.sampler.running = None;
        self.sampler.taken = Some(taken);
        self.tell_drains(&connections);
        self.sampler.connections = connections;
        match whom {
            Whom::All => {
                let fresh = cost.saturating_mul(PART).clamp(FRESH, STALE);
                self.sampler.fresh_until = Some(taken + fresh);
            }
            // Who asked meanwhile is to know of all.
            Whom::Watched if !self.sampler.waiting.is_empty() => self.start_sample(Whom::All),
            Whom::Watched => {}
        }
        self.answer_looks();
        self.check_memory();
    }

    /// Answers those who wait, if all figures are there.
    pub(crate) fn answer_looks(&mut self) {
        if self.sampler.running.is_some() || self.sharing.is_asking() || self.fronts.are_asked() {
            return;
        }
        for waiting in std::mem::take(&mut self.sampler.waiting) {
            self.answer_look(waiting);
        }
    }

    fn lived(&self, worker: WorkerId) -> Duration {
        let started = self.workers.get(worker).map_or(0, |worker| worker.record.started_at);
        Duration::from_millis(crate::clock::epoch_millis().saturating_sub(started))
    }

    /// Whether any app has a limit to look after.
    pub(crate) fn has_memory_limits(&self) -> bool {
        self.fleet.apps.values().any(|app| app.policy.restart.max_memory_restart.is_some())
    }

    /// The workers with a limit that can be reloaded, and how many bytes they may use.
    fn limited(&self) -> impl Iterator<Item = (WorkerId, u64)> {
        self.fleet
            .apps
            .values()
            .filter_map(|app| Some((app, app.policy.restart.max_memory_restart?)))
            .flat_map(|(app, limit)| app.instances.values().map(move |one| (one, limit)))
            .filter_map(|(one, limit)| match one.state {
                State::Online { worker, .. } => Some((worker, limit)),
                _ => None,
            })
    }

    fn check_memory(&mut self) {
        let over: Vec<(WorkerId, u64)> = self
            .limited()
            .map(|(worker, limit)| (worker, limit, self.sampler.memory(worker)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sampler: &mut Sampler, at: Instant, cpu_ms: u64, memory: u64) -> (u64, f32) {
        let worker = WorkerId(1);
        let usage = Usage { memory, cpu_time: Duration::from_millis(cpu_ms) };
        let reading = sampler.reading(worker, usage, at, Duration::from_secs(10));
        sampler.last.insert(worker, reading);
        (sampler.memory(worker), sampler.cpu(worker))
    }

    #[test]
    fn cpu_is_that_since_the_reading_before_but_never_of_a_moment() {
        let mut sampler = Sampler::default();
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        assert_eq!(seen(&mut sampler, begin, 1000, 7), (7, 10.0));
        assert_eq!(seen(&mut sampler, after(5), 1010, 8), (8, 10.0));
        assert_eq!(seen(&mut sampler, after(400), 1200, 9), (9, 50.0));
        assert_eq!(seen(&mut sampler, after(1400), 1200, 9), (9, 0.0));
    }

    #[test]
    fn who_was_never_looked_at_uses_nothing() {
        let sampler = Sampler::default();
        assert_eq!((sampler.memory(WorkerId(1)), sampler.cpu(WorkerId(1))), (0, 0.0));
    }
}

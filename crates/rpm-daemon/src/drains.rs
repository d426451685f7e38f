//! What draining workers still have to do: their connections are counted while somebody looks, at a
//! list or at the events, and never else.

use crate::{clock, engine::Engine, tree};
use rpm_supervisor::{Leaving, LeavingPhase, Moment, Notice, NoticeKind, WorkerId};
use rpm_unix::{procfd, procfs::Process, socket::Endpoint};
use std::{collections::BTreeMap, time::Duration};

/// How often a drain that is watched is looked at; the usual one is over before.
const INTERVAL: Duration = Duration::from_secs(1);

/// Draining workers, and where each has listened.
pub(crate) struct Drains(BTreeMap<WorkerId, Vec<Endpoint>>);

impl Drains {
    /// The connections of each whose tree is here and that is known to have listened. Reads /proc.
    pub(crate) fn count(
        &self,
        trees: &BTreeMap<WorkerId, Vec<Process>>,
    ) -> BTreeMap<WorkerId, u32> {
        let known = self.0.iter().filter(|(_, endpoints)| !endpoints.is_empty());
        let counted = known.filter_map(|(worker, endpoints)| {
            let count = procfd::connections(&tree::pids(trees.get(worker)?), endpoints);
            Some((*worker, u32::try_from(count).unwrap_or(u32::MAX)))
        });
        counted.collect()
    }
}

impl Engine {
    /// The workers that drain now.
    pub(crate) fn drains(&self) -> Drains {
        let listened = |worker: WorkerId| {
            let record = self.workers.get(worker).map(|known| &known.record);
            record.map(|record| endpoints(&record.listening)).unwrap_or_default()
        };
        Drains(self.draining().map(|(_, worker)| (worker, listened(worker))).collect())
    }

    /// When a drain is to be looked at again; never where nobody watches.
    pub(crate) fn until_drain_look(&self) -> Option<Duration> {
        if !self.events.is_watched() || self.draining().next().is_none() {
            return None;
        }
        let age = self.sampler.age().unwrap_or_default();
        // A sample older than the drain says nothing of it, and to be on time is not worth much.
        Some(INTERVAL.saturating_sub(age).max(INTERVAL / 4))
    }

    /// Tells those who watch where a number has changed.
    pub(crate) fn tell_drains(&mut self, counted: &BTreeMap<WorkerId, u32>) {
        let changed: Vec<Notice> = self
            .draining()
            .filter(|(_, worker)| counted.contains_key(worker))
            .filter(|(_, worker)| counted.get(worker).copied() != self.sampler.connections(*worker))
            .filter_map(|(until, worker)| self.still_draining(until, worker, counted))
            .collect();
        for notice in changed {
            self.events.push(notice);
            self.dirty.state = true;
        }
    }

    fn still_draining(
        &self,
        until: Moment,
        worker: WorkerId,
        counted: &BTreeMap<WorkerId, u32>,
    ) -> Option<Notice> {
        let place = self.fleet.worker(worker)?;
        let left_ms = u64::try_from(until.since(clock::now()).as_millis()).unwrap_or(u64::MAX);
        let kind = NoticeKind::Draining { connections: counted.get(&worker).copied(), left_ms };
        Some(Notice { app: place.app.clone(), instance: place.instance, kind })
    }

    pub(crate) fn draining(&self) -> impl Iterator<Item = (Moment, WorkerId)> {
        let all = self.fleet.apps.values().flat_map(|app| app.instances.values());
        let leaving = |one: &Leaving| match one.phase {
            LeavingPhase::Draining { until } => Some((until, one.worker)),
            LeavingPhase::Stopping { .. } | LeavingPhase::Killed => None,
        };
        all.flat_map(move |one| one.leaving.iter().filter_map(leaving).chain(one.draining()))
    }
}

/// Addresses as a worker's record has them; what carries no connections is left out.
fn endpoints(listening: &[String]) -> Vec<Endpoint> {
    let read = |text: &String| match text.strip_prefix("unix:") {
        Some(path) => Some(Endpoint::Unix(path.into())),
        None => text.parse().ok().map(Endpoint::Tcp),
    };
    listening.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_carry_connections() {
        let texts = ["0.0.0.0:80", "[::]:81", "unix:/run/a b.sock", "udp:0.0.0.0:53", "odd"];
        let texts = texts.map(str::to_owned);
        let want = [
            Endpoint::Tcp(([0, 0, 0, 0], 80).into()),
            Endpoint::Tcp("[::]:81".parse().unwrap()),
            Endpoint::Unix("/run/a b.sock".into()),
        ];
        assert_eq!(endpoints(&texts), want);
    }
}

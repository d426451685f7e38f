//! Taking a sample: what the processes of each tree use now. Blocks, for it reads `/proc`.

use crate::{
    drains::Drains,
    tree::{self, Leader},
};
use rpm_supervisor::WorkerId;
use rpm_unix::procfs::{self, Process};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What one worker's tree uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Resident bytes.
    pub(crate) memory: u64,
    /// CPU time since its processes began.
    pub(crate) cpu_time: Duration,
}

/// Whose use is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Every worker's: somebody asked.
    All,
    /// That of workers with a limit, and of those that drain.
    Watched,
}

/// What is to be looked at.
pub(super) struct Look {
    pub(super) whom: Whom,
    pub(super) leaders: Vec<(WorkerId, Leader)>,
    pub(super) orphans: Vec<i32>,
    pub(super) drains: Drains,
}

/// What was found.
pub(crate) struct Sample {
    pub(super) whom: Whom,
    pub(super) usage: BTreeMap<WorkerId, Usage>,
    /// What draining workers have left.
    pub(super) connections: BTreeMap<WorkerId, u32>,
    pub(super) taken: Instant,
    /// How long it took.
    pub(super) cost: Duration,
}

impl Look {
    pub(super) fn take(self) -> Sample {
        let began = Instant::now();
        let trees = tree::all_members(&self.leaders, &self.orphans);
        let usage = trees.iter().map(|(id, processes)| (*id, total(processes))).collect();
        let connections = self.drains.count(&trees);
        let taken = Instant::now();
        Sample { whom: self.whom, usage, connections, taken, cost: taken - began }
    }
}

fn total(processes: &[Process]) -> Usage {
    Usage {
        memory: processes.iter().map(|process| procfs::resident(process.pid)).sum(),
        cpu_time: processes.iter().map(|process| process.cpu_time).sum(),
    }
}

//! What the engine holds of a worker beside the supervisor's state: its process and descriptors.

use crate::{
    channel::ChannelHandle,
    log_files::Mark,
    output::Output,
    store::{Label, WorkerRecord},
    tree::Leader,
};
use rpm_supervisor::WorkerId;
use std::collections::BTreeMap;

/// One spawned process tree.
pub(crate) struct Worker {
    /// Whose it is.
    pub(crate) label: Label,
    /// What a successor daemon must know of it.
    pub(crate) record: WorkerRecord,
    /// Its process, once the keeper executed it.
    pub(crate) process: Option<Process>,
}

/// The part of a worker that exists only while its process does.
pub(crate) struct Process {
    /// The leader.
    pub(crate) leader: Leader,
    /// The leader has exited; others of the tree may live.
    pub(crate) exited: bool,
    /// Its streams on their way to files.
    pub(crate) output: Output,
    /// Its Node IPC channel.
    pub(crate) channel: Option<ChannelHandle>,
}

/// All workers, those that are only asked for included.
#[derive(Default)]
pub(crate) struct Workers(BTreeMap<WorkerId, Worker>);

impl Workers {
    /// Adds a worker that was asked for.
    pub(crate) fn insert(&mut self, id: WorkerId, worker: Worker) {
        self.0.insert(id, worker);
    }

    /// Forgets a worker.
    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        self.0.remove(&id)
    }

    /// A worker.
    pub(crate) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.0.get(&id)
    }

    /// A worker, to change.
    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.0.get_mut(&id)
    }

    /// A worker's process.
    pub(crate) fn process(&self, id: WorkerId) -> Option<&Process> {
        self.get(id)?.process.as_ref()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.0.iter().map(|(id, worker)| (*id, worker))
    }

    /// The error logs were emptied.
    pub(crate) fn forget_offsets(&mut self) {
        for worker in self.0.values_mut() {
            worker.record.error_mark = Mark::default();
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The worker whose leader is `pid`.
    pub(crate) fn led_by(&self, pid: i32) -> Option<WorkerId> {
        let leads = |worker: &Worker| {
            worker.process.as_ref().is_some_and(|process| process.leader.pid == pid)
        };
        self.iter().find(|(_, worker)| leads(worker)).map(|(id, _)| id)
    }

    /// What a successor must know of each.
    pub(crate) fn records(&self) -> BTreeMap<WorkerId, &WorkerRecord> {
        self.iter().map(|(id, worker)| (id, &worker.record)).collect()
    }
}

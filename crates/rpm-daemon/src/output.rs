//! A worker's two streams on their way to their files.

use crate::log_files::Sinks;
use rpm_logs::Pump;
use std::{os::fd::OwnedFd, rc::Rc};
use tokio::task::{JoinHandle, spawn_local};

/// The pumps of one worker. Dropping it ends them: the bytes still in the pipes stay there.
pub(crate) struct Output {
    pumps: Vec<Rc<Pump>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Output {
    /// Starts moving bytes from the pipes into `sinks`.
    pub(crate) fn start(stdout: OwnedFd, stderr: OwnedFd, sinks: Sinks) -> Self {
        let pipes = [stdout, stderr].into_iter().zip(sinks);
        let pumps: Vec<Rc<Pump>> =
            pipes.filter_map(|(pipe, sink)| Pump::new(pipe, sink).map(Rc::new).ok()).collect();
        let tasks = pumps.iter().map(|pump| spawn_local(run(pump.clone()))).collect();
        Self { pumps, tasks }
    }

    /// Takes what the pipes hold now: the last words of a leader that has just ended.
    pub(crate) fn drain_now(&self) {
        for pump in &self.pumps {
            pump.drain_now();
        }
    }

    /// Bytes that could not be written and were thrown away.
    pub(crate) fn dropped(&self) -> u64 {
        self.pumps.iter().map(|pump| pump.dropped()).sum()
    }
}

async fn run(pump: Rc<Pump>) {
    if let Err(error) = pump.run().await {
        tracing::warn!("a stream is not logged any more: {error}");
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

//! `Shipper`: lines on their way to another collector, beside the files: syslog or journald.
//!
//! Each has a task and a bounded queue. A collector that is slow or away fills the queue; what does
//! not fit is dropped and counted, and nobody waits: the files are the record, this is a copy.

mod address;
mod collector;
mod message;

pub use address::{Address, InvalidAddress};

use message::Format;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::mpsc;

/// Lines that may wait for a collector.
const MAX_WAITING: usize = 1024;

/// Whose lines they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The app.
    pub app: String,
    /// The instance: PM2's `pm_id`.
    pub id: u32,
    /// Standard error, not standard output.
    pub is_error: bool,
}

/// Sends a stream's lines to one collector.
#[derive(Debug)]
pub(crate) struct Shipper {
    queue: mpsc::Sender<Vec<u8>>,
    format: Format,
    origin: Origin,
    dropped: Arc<AtomicU64>,
}

impl Shipper {
    /// Starts the task; `dropped` counts the lines the collector did not get. Must be called inside
    /// a tokio `LocalSet`.
    pub(crate) fn start(address: Address, origin: Origin, dropped: Arc<AtomicU64>) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let format = Format::of(&address);
        tokio::task::spawn_local(collector::run(address, waiting, dropped.clone()));
        Self { queue, format, origin, dropped }
    }

    /// Sends a line, with its newline if it has one, written at `at`, milliseconds since the epoch.
    pub(crate) fn send(&mut self, line: &[u8], at: u64) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if self.queue.try_send(self.format.message(&self.origin, text, at)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

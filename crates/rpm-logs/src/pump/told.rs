//! What a pump tells of itself: counters for who looks, alarms for who is to know at once.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// What a pump has done so far. Read by others while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) troubled: AtomicBool,
}

impl Counters {
    /// Bytes that are in the file.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Bytes that the file refused and that are gone.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Whether a file takes nothing now.
    pub fn is_troubled(&self) -> bool {
        self.troubled.load(Relaxed)
    }
}

/// Told once when a file begins to refuse bytes, and once when it takes them again.
#[derive(Debug)]
pub enum Trouble {
    /// Bytes are thrown away, because of this.
    Dropping(io::Error),
    /// The app waits, because of this.
    Blocked(io::Error),
    /// All was written again.
    Recovered,
}

/// Whom to tell of [`Trouble`]. Called from the pump's task: must not wait.
pub type Alarm = Box<dyn FnMut(Trouble) + Send>;

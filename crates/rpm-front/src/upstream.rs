//! [`Upstream`]: what is known of one upstream, and [`Lease`]: one connection's place at it.
//!
//! ```text
//!        connect failed                    tried again: may fail, twice the delay, at most 10 s
//!  Up ───────────────────► Down{until} ──────────────────────► Down{until}
//!   ▲                          │ connected, or set up anew
//!   └──────────────────────────┘
//! ```

use crate::{
    address::Address,
    command::{UpstreamSpec, UpstreamStats, Wish},
};
use serde::Serialize;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long an upstream that failed once is left alone.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// How long one that fails again and again is left alone at most.
const LAST_DELAY: Duration = Duration::from_secs(10);

/// No other upstream of this process has it. One that left and came back is another upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u64);

/// How an upstream stands, for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    Up,
    /// Connecting failed; it is tried again after a while.
    Down,
    Draining,
    /// No longer in the set; connections to it are still open.
    Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Up,
    Down { until: Instant, delay: Duration },
}

/// One upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) key: Key,
    pub(crate) spec: UpstreamSpec,
    /// A turn's state; see [`crate::policy::Candidate`].
    pub(crate) credit: i64,
    health: Health,
    open: Arc<AtomicU32>,
    total: u64,
    failures: u64,
    /// Why the last connection failed, while it is down.
    error: Option<io::ErrorKind>,
}

impl Upstream {
    pub(crate) fn new(key: Key, spec: UpstreamSpec) -> Self {
        Self {
            key,
            spec,
            credit: 0,
            health: Health::Up,
            open: Arc::default(),
            total: 0,
            failures: 0,
            error: None,
        }
    }

    /// Takes over weight and wish; one that drained is healthy when it is wanted again.
    pub(crate) fn update(&mut self, spec: UpstreamSpec) {
        if self.spec.state == Wish::Draining {
            self.connected();
        }
        self.spec = spec;
    }

    /// Whether a connection may be tried now.
    pub(crate) fn is_open_for(&self, now: Instant) -> bool {
        match (self.spec.state, self.health) {
            (Wish::Draining, _) => false,
            (Wish::Up, Health::Up) => true,
            (Wish::Up, Health::Down { until, .. }) => until <= now,
        }
    }

    /// Whether it is for clients of this socket.
    pub(crate) fn serves(&self, listener: usize) -> bool {
        self.spec.listener.is_none_or(|mine| mine == listener)
    }

    /// When it may be tried again, if it is wanted and down.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        match (self.spec.state, self.health) {
            (Wish::Up, Health::Down { until, .. }) => Some(until),
            (Wish::Up, Health::Up) | (Wish::Draining, _) => None,
        }
    }

    /// A place for one more connection. One that is down is tried by this connection only, until it
    /// failed or `patience` is over.
    pub(crate) fn lease(&mut self, now: Instant, patience: Duration) -> Lease {
        let trial = match &mut self.health {
            Health::Up => false,
            Health::Down { until, .. } => {
                *until = now + patience;
                true
            }
        };
        self.total += 1;
        self.open.fetch_add(1, Relaxed);
        let address = self.spec.address.clone();
        Lease { key: self.key, address, trial, open: self.open.clone() }
    }

    /// It took a connection. Says whether it was down.
    pub(crate) fn connected(&mut self) -> bool {
        self.error = None;
        let was = std::mem::replace(&mut self.health, Health::Up);
        was != Health::Up
    }

    /// It did not take the connection of this lease. Of connections that fail together, the first
    /// one counts.
    pub(crate) fn failed(&mut self, trial: bool, error: io::ErrorKind, now: Instant) {
        self.failures += 1;
        self.error = Some(error);
        let delay = match self.health {
            Health::Up => FIRST_DELAY,
            Health::Down { delay, .. } if trial => LAST_DELAY.min(delay * 2),
            Health::Down { .. } => return,
        };
        self.health = Health::Down { until: now + delay, delay };
    }

    /// It took a connection and ended it without an answer.
    pub(crate) fn unanswered(&mut self) {
        self.failures += 1;
    }

    /// Connections it has.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    pub(crate) fn stats(&self) -> UpstreamStats {
        let state = match (self.spec.state, self.health) {
            (Wish::Draining, _) => Standing::Draining,
            (Wish::Up, Health::Up) => Standing::Up,
            (Wish::Up, Health::Down { .. }) => Standing::Down,
        };
        UpstreamStats {
            id: self.spec.id,
            address: self.spec.address.clone(),
            state,
            open: self.open(),
            total: self.total,
            failures: self.failures,
            error: self.error.map(|error| error.to_string()),
        }
    }
}

/// One connection's place at an upstream; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) key: Key,
    pub(crate) address: Address,
    /// The upstream is down, and this connection finds out whether it still is.
    pub(crate) trial: bool,
    open: Arc<AtomicU32>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: io::ErrorKind = io::ErrorKind::ConnectionRefused;

    fn upstream() -> Upstream {
        let address = "127.0.0.1:1".parse().unwrap();
        let spec = UpstreamSpec { id: 0, address, weight: 1, state: Wish::Up, listener: None };
        Upstream::new(Key(0), spec)
    }

    #[test]
    fn delays_double_up_to_ten_seconds() {
        let mut one = upstream();
        let mut now = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..10 {
            assert!(one.is_open_for(now));
            let lease = one.lease(now, Duration::from_secs(1));
            one.failed(lease.trial, REFUSED, now);
            let until = one.retry_at().unwrap();
            assert!(!one.is_open_for(until - Duration::from_nanos(1)));
            delays.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        assert!(one.connected() && one.is_open_for(now) && !one.connected());
        one.failed(false, REFUSED, now);
        assert_eq!(one.retry_at(), Some(now + FIRST_DELAY));
        assert_eq!((one.stats().failures, one.stats().total), (11, 10));
    }

    #[test]
    fn a_burst_of_failures_counts_once() {
        let mut one = upstream();
        let now = Instant::now();
        let leases: Vec<_> = (0..9).map(|_| one.lease(now, Duration::ZERO)).collect();
        assert_eq!(one.open(), 9);
        leases.iter().for_each(|lease| one.failed(lease.trial, REFUSED, now));
        assert_eq!(one.retry_at(), Some(now + FIRST_DELAY));
        drop(leases);
        assert_eq!(one.open(), 0);
    }

    #[test]
    fn one_connection_tries_and_a_lost_one_is_replaced() {
        let mut one = upstream();
        let (now, patience) = (Instant::now(), Duration::from_secs(2));
        one.failed(false, REFUSED, now);
        let later = now + FIRST_DELAY;
        let lease = one.lease(later, patience);
        assert!(lease.trial && !one.is_open_for(later + patience / 2));
        drop(lease);
        assert!(one.is_open_for(later + patience));
    }

    #[test]
    fn a_wish_decides_before_health() {
        let mut one = upstream();
        let now = Instant::now();
        one.failed(false, REFUSED, now);
        one.update(UpstreamSpec { state: Wish::Draining, ..one.spec.clone() });
        assert_eq!((one.stats().state, one.retry_at()), (Standing::Draining, None));
        assert!(!one.is_open_for(now + LAST_DELAY));
        one.update(UpstreamSpec { state: Wish::Up, ..one.spec.clone() });
        assert!(one.is_open_for(now));
        one.failed(false, REFUSED, now);
        one.update(one.spec.clone());
        let stats = one.stats();
        assert_eq!(stats.state, Standing::Down);
        assert_eq!(stats.error.as_deref(), Some("connection refused"));
    }
}

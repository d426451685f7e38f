//! [`Pool`]: the set of upstreams, and which of them may take a connection. Pure: the time comes in
//! as a value.

use crate::{
    command::{UpstreamSpec, UpstreamStats, Wish},
    policy::{Candidate, Client, Policy},
    random::Random,
    upstream::{Key, Lease, Standing, Upstream},
};
use std::{
    fmt, io, mem,
    time::{Duration, Instant},
};

/// Upstreams in a set: far more than one machine runs, and few enough to look at all of them for
/// each connection.
pub const MAX_UPSTREAMS: usize = 1_024;
/// The largest weight of an upstream.
pub const MAX_WEIGHT: u32 = 1_000;

/// Beyond its connect timeout a trial is over, whatever became of it.
const TRIAL_GRACE: Duration = Duration::from_secs(1);

/// What to do with a connection.
#[derive(Debug)]
pub(crate) enum Choice {
    /// It goes there.
    Chosen(Lease),
    /// None may be tried now; that can change.
    Wait,
    /// Every upstream had it already.
    Spent,
}

/// A set that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetError {
    TooMany(usize),
    Twice(u32),
    Weight { id: u32, weight: u32 },
}

/// The upstreams.
#[derive(Debug)]
pub(crate) struct Pool {
    policy: Policy,
    /// How long a connection that tries a down upstream keeps others from it.
    patience: Duration,
    upstreams: Vec<Upstream>,
    /// Those that left and still have connections.
    removed: Vec<Upstream>,
    random: Random,
    next_key: u64,
}

impl Pool {
    /// An empty set.
    pub(crate) fn new(policy: Policy, connect_timeout: Duration) -> Self {
        Self {
            policy,
            patience: connect_timeout + TRIAL_GRACE,
            upstreams: Vec::new(),
            removed: Vec::new(),
            random: Random::new(),
            next_key: 0,
        }
    }

    /// Makes these the upstreams, all at once or not at all. One with the same id and address stays
    /// what it was.
    pub(crate) fn replace(&mut self, specs: Vec<UpstreamSpec>) -> Result<(), SetError> {
        check(&specs)?;
        let mut former = mem::take(&mut self.upstreams);
        for spec in specs {
            let same = |one: &Upstream| one.spec.place() == spec.place();
            let upstream = match former.iter().position(same) {
                Some(index) => {
                    let mut kept = former.swap_remove(index);
                    kept.update(spec);
                    kept
                }
                None => Upstream::new(self.new_key(), spec),
            };
            self.upstreams.push(upstream);
        }
        self.removed.append(&mut former);
        self.forget_removed();
        Ok(())
    }

    /// An upstream for this client, of those for the socket it came to, that is not among those
    /// `tried`.
    pub(crate) fn choose(&mut self, client: Client, tried: &[Key], now: Instant) -> Choice {
        let serves = |one: &Upstream| one.serves(client.listener);
        let untried = |one: &Upstream| serves(one) && !tried.contains(&one.key);
        let may = |one: &Upstream| untried(one) && one.is_open_for(now);
        let mut candidates: Vec<_> =
            self.upstreams.iter_mut().filter(|one| may(one)).map(candidate).collect();
        let picked = self.policy.pick(&mut candidates, client, &mut self.random);
        let mut open = self.upstreams.iter_mut().filter(|one| may(one));
        if let Some(upstream) = picked.and_then(|index| open.nth(index)) {
            return Choice::Chosen(upstream.lease(now, self.patience));
        }
        let mut upstreams = self.upstreams.iter();
        let can_change = !upstreams.clone().any(serves) || upstreams.any(untried);
        if can_change { Choice::Wait } else { Choice::Spent }
    }

    /// This upstream took a connection. Says whether it was down.
    pub(crate) fn connected(&mut self, key: Key) -> bool {
        self.find(key).is_some_and(Upstream::connected)
    }

    /// This upstream did not take a connection.
    pub(crate) fn failed(&mut self, lease: &Lease, error: io::ErrorKind, now: Instant) {
        if let Some(upstream) = self.find(lease.key) {
            upstream.failed(lease.trial, error, now);
        }
    }

    /// This upstream took a connection and did not answer it.
    pub(crate) fn unanswered(&mut self, key: Key) {
        if let Some(upstream) = self.find(key) {
            upstream.unanswered();
        }
    }

    /// The draining upstreams without connections at any socket.
    pub(crate) fn idle(&self) -> Vec<u32> {
        let drains = |one: &&Upstream| one.spec.state == Wish::Draining;
        let busy = |id| self.upstreams.iter().any(|one| one.spec.id == id && one.open() > 0);
        let mut ids: Vec<u32> =
            self.upstreams.iter().filter(drains).map(|one| one.spec.id).collect();
        ids.dedup();
        ids.retain(|id| !busy(*id));
        ids
    }

    /// When the next of the down upstreams may be tried again. One that could be tried by now has
    /// been offered to all who wait, and waiting for it would be no waiting.
    pub(crate) fn next_retry(&self, now: Instant) -> Option<Instant> {
        self.upstreams.iter().filter_map(Upstream::retry_at).filter(|at| *at > now).min()
    }

    /// How each one stands.
    pub(crate) fn stats(&mut self) -> Vec<UpstreamStats> {
        self.forget_removed();
        let removed = self
            .removed
            .iter()
            .map(|one| UpstreamStats { state: Standing::Removed, ..one.stats() });
        self.upstreams.iter().map(Upstream::stats).chain(removed).collect()
    }

    fn find(&mut self, key: Key) -> Option<&mut Upstream> {
        self.upstreams.iter_mut().chain(&mut self.removed).find(|one| one.key == key)
    }

    fn forget_removed(&mut self) {
        self.removed.retain(|one| one.open() > 0);
    }

    fn new_key(&mut self) -> Key {
        self.next_key += 1;
        Key(self.next_key)
    }
}

fn candidate(upstream: &mut Upstream) -> Candidate<'_> {
    Candidate {
        id: upstream.spec.id,
        weight: upstream.spec.weight,
        open: upstream.open(),
        credit: &mut upstream.credit,
    }
}

fn check(specs: &[UpstreamSpec]) -> Result<(), SetError> {
    if specs.len() > MAX_UPSTREAMS {
        return Err(SetError::TooMany(specs.len()));
    }
    for (index, spec) in specs.iter().enumerate() {
        if !(1..=MAX_WEIGHT).contains(&spec.weight) {
            return Err(SetError::Weight { id: spec.id, weight: spec.weight });
        }
        let same = |other: &UpstreamSpec| {
            other.id == spec.id && (other.listener == spec.listener || spec.listener.is_none())
        };
        if specs.iter().take(index).any(same) {
            return Err(SetError::Twice(spec.id));
        }
    }
    Ok(())
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(count) => {
                write!(f, "{count} upstreams are more than {MAX_UPSTREAMS}")
            }
            Self::Twice(id) => write!(f, "upstream {id} is named twice"),
            Self::Weight { id, weight } => {
                write!(f, "upstream {id} has weight {weight}, which is not from 1 to {MAX_WEIGHT}")
            }
        }
    }
}

#[cfg(test)]
mod tests;

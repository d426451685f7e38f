//! The daemon's two clocks, read in one place: moments for policy, the wall clock for people.

use rpm_supervisor::Moment;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Now, as the supervisor counts.
pub(crate) fn now() -> Moment {
    Moment(rpm_unix::time::boot_milliseconds())
}

/// Now, in milliseconds since the epoch.
pub(crate) fn epoch_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How far the two clocks may drift apart until the difference is taken anew: the wall clock was
/// set, or slewed for long.
const MAX_DRIFT: u64 = 100;

/// The wall-clock time of a moment, in milliseconds since the epoch: the same at each question, as
/// long as nobody sets the clock.
pub(crate) fn epoch_of(moment: Moment) -> u64 {
    static BOOT: AtomicU64 = AtomicU64::new(0);
    let found = epoch_millis().saturating_sub(now().0);
    let kept = BOOT.load(Ordering::Relaxed);
    let boot = if found.abs_diff(kept) > MAX_DRIFT { found } else { kept };
    BOOT.store(boot, Ordering::Relaxed);
    boot.saturating_add(moment.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_time() {
        let moment = now();
        let first = epoch_of(moment);
        assert!(first.abs_diff(epoch_millis()) < 1000);
        assert!((0..10_000).all(|_| epoch_of(moment) == first));
    }
}

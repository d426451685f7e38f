//! The delay before an automatic restart. Whether there is one is `exit.rs`'s decision.

use rpm_config::RestartPolicy;
use std::time::Duration;

/// PM2's longest exponential delay, in milliseconds; only a first delay may be longer.
const LONGEST_MS: u64 = 15_000;
/// A worker that lived longer than this proves the trouble over: the back-off begins anew. PM2's.
const RESET: Duration = Duration::from_secs(30);

/// A delay and what to remember for the next one, both in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) delay_ms: u64,
    pub(crate) previous_ms: u64,
}

/// The delay after a worker that lived for `uptime`, when the one before waited `previous_ms`.
pub(crate) fn delay(policy: &RestartPolicy, previous_ms: u64, uptime: Duration) -> Delay {
    let Some(first) = policy.exp_backoff_restart_delay else {
        return Delay { delay_ms: millis(policy.restart_delay), previous_ms: 0 };
    };
    let previous_ms = if uptime > RESET { 0 } else { previous_ms };
    let delay_ms = match previous_ms {
        0 => millis(first),
        // In whole numbers, so it rounds down as PM2 does.
        previous => (previous.saturating_mul(3) / 2).min(LONGEST_MS),
    };
    Delay { delay_ms, previous_ms: delay_ms }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn backing_off(first_ms: u64) -> RestartPolicy {
        RestartPolicy {
            exp_backoff_restart_delay: Some(Duration::from_millis(first_ms)),
            restart_delay: Duration::from_millis(7),
            ..fixture::policy().restart
        }
    }

    #[test]
    fn grows_by_half_up_to_fifteen_seconds() {
        let (policy, mut previous, mut seen) = (backing_off(100), 0, Vec::new());
        for _ in 0..15 {
            let next = delay(&policy, previous, Duration::ZERO);
            seen.push(next.delay_ms);
            previous = next.previous_ms;
        }
        let pm2 = [100, 150, 225, 337, 505, 757, 1135, 1702, 2553, 3829];
        assert_eq!(seen[..10], pm2);
        assert_eq!(seen[10..], [5743, 8614, 12921, 15000, 15000]);
    }

    #[test]
    fn begins_anew_only_after_more_than_thirty_seconds() {
        let policy = backing_off(100);
        let kept = delay(&policy, 400, Duration::from_millis(30_000));
        assert_eq!(kept, Delay { delay_ms: 600, previous_ms: 600 });
        let anew = delay(&policy, 400, Duration::from_millis(30_001));
        assert_eq!(anew, Delay { delay_ms: 100, previous_ms: 100 });
    }

    #[test]
    fn a_first_delay_may_exceed_the_longest_and_shrinks_to_it() {
        let policy = backing_off(20_000);
        assert_eq!(delay(&policy, 0, Duration::ZERO).delay_ms, 20_000);
        assert_eq!(delay(&policy, 20_000, Duration::ZERO).delay_ms, 15_000);
    }

    #[test]
    fn without_it_the_delay_is_fixed() {
        let mut policy = backing_off(100);
        policy.exp_backoff_restart_delay = None;
        let fixed = Delay { delay_ms: 7, previous_ms: 0 };
        assert_eq!(delay(&policy, 400, Duration::ZERO), fixed);
    }
}

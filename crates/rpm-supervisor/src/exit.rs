//! Restart policy: what follows when a worker ended that nobody told to. A pure decision; it is
//! carried out by `current.rs`.

use crate::{Exit, Then, backoff};
use rpm_config::RestartPolicy;
use std::time::Duration;

/// How a worker ended without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its leader exited.
    Exited(Exit),
    /// It was not ready in time, and is being killed for it.
    NotReady,
    /// It never existed.
    NotSpawned,
}

/// The counters of an instance that the policy reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) unstable: u32,
    pub(crate) previous_delay_ms: u64,
}

impl Record {
    const CLEAN: Self = Self { unstable: 0, previous_delay_ms: 0 };
}

/// Decides what follows a worker that ended after `uptime`, and the counters from now on.
///
/// Differs from PM2 on purpose: a signal is never taken for exit code 0, early exits count however
/// long ago the instance was created, a crash counts as early for ten seconds unless `min_uptime`
/// says otherwise, and a worker that never became ready counts as an early exit.
pub(crate) fn after_exit(
    policy: &RestartPolicy,
    record: Record,
    end: End,
    uptime: Duration,
) -> (Then, Record) {
    if let Some(then) = at_rest(policy, end) {
        return (then, record);
    }
    let unstable =
        if is_unstable(policy, end, uptime) { record.unstable.saturating_add(1) } else { 0 };
    if unstable > 0 && unstable >= policy.max_restarts {
        return (Then::Error, Record::CLEAN);
    }
    let backoff::Delay { delay_ms, previous_ms } =
        backoff::delay(policy, record.previous_delay_ms, uptime);
    if end == End::NotSpawned && delay_ms == 0 {
        // The same attempt a moment later fails the same way: no loop over a missing program.
        return (Then::Error, Record::CLEAN);
    }
    (Then::Start { delay_ms }, Record { unstable, previous_delay_ms: previous_ms })
}

/// What follows where the policy does not start it again, whatever the counters say.
fn at_rest(policy: &RestartPolicy, end: End) -> Option<Then> {
    match end {
        End::Exited(Exit::Code(code)) if policy.stop_exit_codes.contains(&code) => Some(Then::Stop),
        End::Exited(_) if !policy.autorestart => Some(Then::Stop),
        End::NotReady | End::NotSpawned if !policy.autorestart => Some(Then::Error),
        End::Exited(_) | End::NotReady | End::NotSpawned => None,
    }
}

fn is_unstable(policy: &RestartPolicy, end: End, uptime: Duration) -> bool {
    match end {
        End::Exited(Exit::Code(0)) => uptime < policy.min_uptime,
        // A crash counts for longer: one each few seconds is a loop, too.
        End::Exited(_) => uptime < policy.min_uptime.max(policy.stable_after()),
        End::NotReady | End::NotSpawned => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const EARLY: Duration = Duration::from_millis(999);
    const LATE: Duration = Duration::from_millis(10_000);

    fn decide(policy: &RestartPolicy, unstable: u32, end: End, uptime: Duration) -> (Then, u32) {
        let record = Record { unstable, previous_delay_ms: 0 };
        let (then, record) = after_exit(policy, record, end, uptime);
        (then, record.unstable)
    }

    #[test]
    fn the_defaults() {
        let policy = fixture::policy().restart;
        let again = Then::Start { delay_ms: 0 };
        let code = End::Exited(Exit::Code(1));
        let signal = End::Exited(Exit::Signal(9));
        let rows = [
            (0, code, EARLY, (again, 1)),
            (0, signal, EARLY, (again, 1)),
            (0, End::Exited(Exit::Unknown), EARLY, (again, 1)),
            (0, End::Exited(Exit::Code(0)), EARLY, (again, 1)),
            (14, code, EARLY, (again, 15)),
            (15, code, EARLY, (Then::Error, 0)),
            (15, code, LATE, (again, 0)),
            (14, code, Duration::from_millis(9_999), (again, 15)),
            (15, signal, Duration::from_millis(9_999), (Then::Error, 0)),
            (15, End::Exited(Exit::Code(0)), Duration::from_millis(1000), (again, 0)),
            (0, End::NotReady, LATE, (again, 1)),
            (15, End::NotReady, LATE, (Then::Error, 0)),
            (0, End::NotSpawned, EARLY, (Then::Error, 0)),
        ];
        for (unstable, end, uptime, expected) in rows {
            let got = decide(&policy, unstable, end, uptime);
            assert_eq!(got, expected, "{unstable} {end:?} {uptime:?}");
        }
    }

    #[test]
    fn what_was_asked_for_as_uptime_holds_for_crashes_too() {
        let mut policy = fixture::policy().restart;
        policy.min_uptime = Duration::from_millis(100);
        let code = End::Exited(Exit::Code(1));
        let again = Then::Start { delay_ms: 0 };
        assert_eq!(decide(&policy, 15, code, Duration::from_millis(100)), (again, 0));
        assert_eq!(decide(&policy, 15, code, Duration::from_millis(99)), (Then::Error, 0));
    }

    #[test]
    fn stop_exit_codes_match_codes_only() {
        let mut policy = fixture::policy().restart;
        policy.stop_exit_codes = vec![0, 9];
        let again = Then::Start { delay_ms: 0 };
        let rows = [
            (Exit::Code(0), Then::Stop),
            (Exit::Code(9), Then::Stop),
            (Exit::Code(1), again),
            (Exit::Signal(9), again),
            (Exit::Unknown, again),
        ];
        for (exit, expected) in rows {
            assert_eq!(decide(&policy, 0, End::Exited(exit), LATE).0, expected, "{exit:?}");
        }
    }

    #[test]
    fn without_autorestart_it_rests() {
        let mut policy = fixture::policy().restart;
        policy.autorestart = false;
        let rows = [
            (End::Exited(Exit::Code(1)), Then::Stop),
            (End::Exited(Exit::Signal(11)), Then::Stop),
            (End::NotReady, Then::Error),
            (End::NotSpawned, Then::Error),
        ];
        for (end, expected) in rows {
            assert_eq!(decide(&policy, 15, end, EARLY), (expected, 15), "{end:?}");
        }
    }

    #[test]
    fn a_delay_gives_a_failed_spawn_more_chances() {
        let mut policy = fixture::policy().restart;
        policy.restart_delay = Duration::from_millis(200);
        let again = Then::Start { delay_ms: 200 };
        assert_eq!(decide(&policy, 14, End::NotSpawned, EARLY), (again, 15));
        assert_eq!(decide(&policy, 15, End::NotSpawned, EARLY), (Then::Error, 0));
    }

    #[test]
    fn no_restarts_allowed_still_forgives_a_long_life() {
        let mut policy = fixture::policy().restart;
        policy.max_restarts = 0;
        let code = End::Exited(Exit::Code(1));
        assert_eq!(decide(&policy, 0, code, EARLY), (Then::Error, 0));
        assert_eq!(decide(&policy, 0, code, LATE), (Then::Start { delay_ms: 0 }, 0));
    }
}

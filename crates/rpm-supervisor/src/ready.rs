//! When a launching worker's patience ends, and what that means.

use crate::{Moment, Policy};
use rpm_config::Ready;
use std::time::Duration;

/// For `ready` over IPC, and for a first look whether an app listens. PM2's `listen_timeout`.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// For an app that is known to listen, or has a probe: it is only slow.
const KNOWN_LISTENER: Duration = Duration::from_secs(30);

/// What a launching worker's deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The rules changed meanwhile (the app was seen to listen, or amended): patience until then.
    Wait(Moment),
    /// There is nothing more to wait for: it is taken for ready.
    Ready,
    /// It had this long and failed.
    Late(Duration),
}

/// The deadline of a worker spawned at `since`.
pub(crate) fn deadline(policy: &Policy, listens: bool, since: Moment) -> Moment {
    since.plus(patience(policy, listens).0)
}

/// What it means that a worker spawned at `since` has not proved itself by `now`.
pub(crate) fn verdict(policy: &Policy, listens: bool, since: Moment, now: Moment) -> Verdict {
    let due = deadline(policy, listens, since);
    if due > now { Verdict::Wait(due) } else { patience(policy, listens).1 }
}

fn patience(policy: &Policy, listens: bool) -> (Duration, Verdict) {
    let given = policy.listen_timeout;
    let strict = |patience| (patience, Verdict::Late(patience));
    match &policy.ready {
        Ready::Message => strict(given.unwrap_or(FIRST_LOOK)),
        Ready::Notify | Ready::Probe(_) => strict(given.unwrap_or(KNOWN_LISTENER)),
        // It is only slow; but some of an app's instances may have nothing to listen for.
        Ready::Listening if !policy.overlap && policy.own_port && listens => {
            (given.unwrap_or(KNOWN_LISTENER), Verdict::Ready)
        }
        Ready::Listening if !policy.overlap => (policy.restart.min_uptime, Verdict::Ready),
        Ready::Listening if listens => strict(given.unwrap_or(KNOWN_LISTENER)),
        // Its sockets accept already. Whether it calls listen on them, as most do, is learnt from
        // its first worker; until then staying alive is all it can be asked for.
        Ready::Listening if policy.activated => {
            (given.unwrap_or(policy.restart.min_uptime), Verdict::Ready)
        }
        Ready::Listening => (given.unwrap_or(FIRST_LOOK), Verdict::Ready),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn patience_by_probe() {
        let late = |ms| Verdict::Late(Duration::from_millis(ms));
        let rows = [
            (Ready::Message, false, false, None, 3000, late(3000)),
            (Ready::Message, true, true, Some(500), 500, late(500)),
            (Ready::Notify, false, false, None, 30_000, late(30_000)),
            (Ready::Notify, true, true, Some(500), 500, late(500)),
            (Ready::Listening, false, true, Some(500), 1000, Verdict::Ready),
            (Ready::Listening, true, false, None, 3000, Verdict::Ready),
            (Ready::Listening, true, false, Some(500), 500, Verdict::Ready),
            (Ready::Listening, true, true, None, 30_000, late(30_000)),
            (Ready::Listening, true, true, Some(500), 500, late(500)),
        ];
        for (ready, overlap, listens, given, ms, expected) in rows {
            let listen_timeout = given.map(Duration::from_millis);
            let policy = Policy { ready, overlap, listen_timeout, ..fixture::policy() };
            let (since, due) = (Moment(10), Moment(10 + ms));
            assert_eq!(deadline(&policy, listens, since), due);
            let early = verdict(&policy, listens, since, Moment(due.0 - 1));
            assert_eq!(early, Verdict::Wait(due));
            assert_eq!(verdict(&policy, listens, since, due), expected);
        }
    }

    #[test]
    fn an_app_that_was_seen_on_its_own_ports_is_waited_for_and_never_failed() {
        let rows = [(false, None, 1000), (true, None, 30_000), (true, Some(2500), 2500)];
        for (listens, given, ms) in rows {
            let listen_timeout = given.map(Duration::from_millis);
            let policy = Policy { own_port: true, listen_timeout, ..fixture::policy() };
            let due = Moment(10 + ms);
            assert_eq!(deadline(&policy, listens, Moment(10)), due);
            assert_eq!(verdict(&policy, listens, Moment(10), due), Verdict::Ready);
        }
    }

    #[test]
    fn an_app_with_inherited_sockets_need_not_listen_until_it_was_seen_to() {
        let late = |ms| Verdict::Late(Duration::from_millis(ms));
        let rows = [
            (false, None, 1000, Verdict::Ready),
            (false, Some(2500), 2500, Verdict::Ready),
            (true, None, 30_000, late(30_000)),
            (true, Some(2500), 2500, late(2500)),
        ];
        for (listens, given, ms, expected) in rows {
            let listen_timeout = given.map(Duration::from_millis);
            let policy =
                Policy { overlap: true, activated: true, listen_timeout, ..fixture::policy() };
            let due = Moment(10 + ms);
            assert_eq!(deadline(&policy, listens, Moment(10)), due);
            assert_eq!(verdict(&policy, listens, Moment(10), due), expected);
        }
    }
}

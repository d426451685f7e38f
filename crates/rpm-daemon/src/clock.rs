//! The daemon's two clocks, read in one place: moments for policy, the wall clock for people.

use rpm_supervisor::Moment;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, as the supervisor counts.
pub(crate) fn now() -> Moment {
    Moment(rpm_unix::time::boot_milliseconds())
}

/// Now, in milliseconds since the epoch.
pub(crate) fn epoch_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The wall-clock time of a past moment, in milliseconds since the epoch.
pub(crate) fn epoch_of(moment: Moment) -> u64 {
    let ago = now().since(moment);
    epoch_millis().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
}

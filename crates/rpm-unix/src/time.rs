//! The clock of timers: monotonic, and running while the machine sleeps.

use nix::time::{ClockId, clock_gettime};

/// Milliseconds since boot (CLOCK_BOOTTIME): the same number in every process of the machine.
pub fn boot_milliseconds() -> u64 {
    // The clock exists in every kernel we run on; a failure would mean no time at all.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
        seconds * 1000 + nanoseconds / 1_000_000
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_uptime_and_never_runs_back() {
        let first = boot_milliseconds();
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let second = boot_milliseconds();
        assert!(first > 0 && first <= second);
        assert!((uptime * 1000.0) as u64 <= second + 10);
    }
}

//! Whether this daemon has descriptors enough for one more instance. Without, the app is refused in
//! words; a daemon that runs out of them could neither hear its keeper nor answer anybody.

use crate::engine::Engine;
use rpm_unix::{fd, limits::OpenFiles};
use std::io;

/// Descriptors that are kept for ourselves: clients, log files that are read, sockets of probes.
const RESERVE: u64 = 64;
/// What an instance takes of ours: two pipes, their spools or files, time indexes, its channel
/// (traps A14).
const EACH: u64 = 8;

impl Engine {
    /// Refuses where one more worker, with those that are asked for and not there yet, would take
    /// what we need ourselves.
    pub(crate) fn has_room(&self) -> Result<(), String> {
        let coming = self.workers.iter().filter(|(_, worker)| worker.process.is_none()).count();
        let coming = u64::try_from(coming).unwrap_or(u64::MAX);
        match (next_number(), OpenFiles::current()) {
            (Ok(next), Ok(limit)) => judge(next, coming, limit.soft),
            // Not even one: none for an app.
            (Err(error), _) => Err(format!("the daemon has no descriptor left: {error}")),
            (_, Err(_)) => Ok(()),
        }
    }
}

/// The kernel gives the lowest free number, so a high one means that most are taken.
fn next_number() -> io::Result<u64> {
    let probe = rpm_unix::pipe::null()?;
    Ok(u64::try_from(fd::number(&probe)).unwrap_or(u64::MAX))
}

fn judge(next: u64, coming: u64, limit: u64) -> Result<(), String> {
    let needed = coming.saturating_add(1).saturating_mul(EACH).saturating_add(RESERVE);
    if next.saturating_add(needed) <= limit {
        return Ok(());
    }
    let hint = "raise LimitNOFILE= of the unit, or ulimit -n before rpm kill and a new start";
    Err(format!("the daemon may have {limit} descriptors, too many open files otherwise: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_is_where_it_is_said_to_be() {
        assert_eq!(judge(100, 0, 100 + RESERVE + EACH), Ok(()));
        assert_eq!(judge(100, 2, 100 + RESERVE + 3 * EACH), Ok(()));
        let error = judge(100, 2, 99 + RESERVE + 3 * EACH).unwrap_err();
        assert!(error.contains("too many open files") && error.contains("LimitNOFILE="), "{error}");
        assert!(judge(u64::MAX, u64::MAX, 1024).is_err());
    }

    #[test]
    fn the_next_number_is_a_free_one() {
        assert!(next_number().unwrap() > 2);
    }
}

//! [`Clock`]: when a line was written: by the index beside its file, else by what the lines say of
//! themselves, else by the file's last change. Never backwards within a file.

use super::said::said;
use crate::times::{Record, Times};

/// How much of a file without index is searched for the first time it says.
pub(super) const PEEK_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(super) enum Clock {
    Index { times: Times, next: u64, upcoming: Option<Record>, now: u64 },
    Said { now: u64 },
}

impl Clock {
    /// Tells the times of lines from the offset `from` on. `begin` is what the file has there, and
    /// `modified` its last change, which lines have where nothing is known.
    pub(super) fn new(times: Option<Times>, from: u64, begin: &[u8], modified: u64) -> Self {
        let Some(times) = times else {
            let first = begin.split(|byte| *byte == b'\n').find_map(said);
            return Self::Said { now: first.unwrap_or(modified) };
        };
        let next = times.partition(|record| record.offset <= from);
        // What is older than the index is at most as old as its first record says.
        let known = times.get(next.saturating_sub(1)).or_else(|| times.get(0));
        let upcoming = times.get(next);
        Self::Index { times, next, upcoming, now: known.map_or(modified, |record| record.at) }
    }

    /// When the line that begins at `offset` was written.
    pub(super) fn at(&mut self, offset: u64, text: &[u8]) -> u64 {
        match self {
            Self::Index { times, next, upcoming, now } => {
                while let Some(record) = upcoming.filter(|record| record.offset <= offset) {
                    *now = record.at;
                    *next += 1;
                    *upcoming = times.get(*next);
                }
                *now
            }
            Self::Said { now } => {
                *now = said(text).map_or(*now, |said| said.max(*now));
                *now
            }
        }
    }
}

//! How much of a pipe goes into a file now: whole lines where others write to it too, and no more
//! than there is room for.

use super::{Outcome, outcome};
use crate::peek::{self, Peek};
use std::os::fd::BorrowedFd;

/// How much of a pipe is taken at once.
pub(crate) struct Portion<'a> {
    /// Bytes, at most.
    pub(crate) limit: usize,
    /// Also the beginning of a line.
    pub(crate) unfinished: bool,
    /// To look for the ends of lines.
    pub(crate) peek: &'a mut Peek,
}

/// What to do with a pipe now.
pub(super) enum Size {
    Take(usize),
    /// As many, and the file is full then.
    Last(usize),
    /// The next line has no room in this file.
    Rotate,
    /// For the end of a line.
    Wait,
    Not(Outcome),
}

impl Portion<'_> {
    /// How many bytes of `pipe`, into a file that may have `room.0` bytes and has `room.1`; `whole`
    /// lines only.
    pub(super) fn size(
        &mut self,
        pipe: BorrowedFd<'_>,
        room: Option<(u64, u64)>,
        whole: bool,
    ) -> Size {
        let room = room.map(|(max, has)| {
            (usize::try_from(max.saturating_sub(has)).unwrap_or(usize::MAX), has == 0)
        });
        match room {
            None if !whole => return Size::Take(self.limit),
            // Far from its end: so much that the end is looked for in the last piece.
            Some((left, _)) if !whole && left > 2 * peek::MAX_BYTES => {
                return Size::Take(self.limit.min(left - peek::MAX_BYTES));
            }
            Some((0, _)) => return Size::Rotate,
            None | Some(_) => {}
        }
        let left = room.map_or(usize::MAX, |(left, _)| left);
        let seen = match self.peek.lines(pipe, left.min(self.limit)) {
            Ok(lines) if lines.seen == 0 => return Size::Not(Outcome::End),
            Ok(lines) => lines,
            Err(error) => return Size::Not(outcome(Err(error))),
        };
        let fills = seen.seen == left;
        match seen.whole {
            // The line may be longer than what can be seen of the pipe, or than the file may be.
            0 if fills && room.is_some_and(|(_, empty)| !empty) => Size::Rotate,
            0 if fills => Size::Last(left),
            0 if whole && seen.seen < peek::MAX_BYTES => Size::Wait,
            0 => Size::Take(seen.seen),
            lines if fills => Size::Last(lines),
            lines if whole => Size::Take(lines),
            _ => Size::Take(seen.seen),
        }
    }
}

//! [`Merged`]: the lines of several logs in the order of their times.

use super::{History, Timed};
use std::{cmp::Reverse, collections::BinaryHeap, fs::File, io};

/// Several histories read as one. Lines of one log keep their order, whatever times they have.
#[derive(Debug)]
pub struct Merged<'a> {
    histories: Vec<History<'a>>,
    /// The next line of each that has one: by time, then in the order given.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    lines: Vec<Option<Timed>>,
    /// A line whose end has not come: its pieces stay together.
    unfinished: Option<usize>,
}

impl<'a> Merged<'a> {
    /// Reads the first line of each.
    ///
    /// # Errors
    /// Those of reading.
    pub fn new(histories: Vec<History<'a>>) -> io::Result<Self> {
        let count = histories.len();
        let (next, lines) = (BinaryHeap::new(), vec![None; count]);
        let mut merged = Self { histories, next, lines, unfinished: None };
        (0..count).try_for_each(|index| merged.advance(index))?;
        Ok(merged)
    }

    /// The next line, and which log's, in the order given.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next_line(&mut self) -> io::Result<Option<(usize, Timed)>> {
        let index = match self.unfinished.take() {
            Some(index) => index,
            None => match self.next.pop() {
                Some(Reverse((_, index))) => index,
                None => return Ok(None),
            },
        };
        let Some(line) = self.lines.get_mut(index).and_then(Option::take) else { return Ok(None) };
        self.advance(index)?;
        if !line.ends && self.lines.get(index).is_some_and(Option::is_some) {
            self.next.retain(|Reverse((_, other))| *other != index);
            self.unfinished = Some(index);
        }
        Ok(Some((index, line)))
    }

    fn advance(&mut self, index: usize) -> io::Result<()> {
        let Some(history) = self.histories.get_mut(index) else { return Ok(()) };
        let line = history.next_line()?;
        self.next.extend(line.as_ref().map(|line| Reverse((line.at, index))));
        if let Some(place) = self.lines.get_mut(index) {
            *place = line;
        }
        Ok(())
    }

    /// Where a follower goes on, for each: see [`History::into_end`].
    pub fn into_ends(self) -> Vec<Option<(File, u64)>> {
        self.histories.into_iter().map(History::into_end).collect()
    }
}

//! [`Lines`]: which line a byte of a text stands on.

/// Byte offsets at which the lines of a text begin, but for the first.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    /// The lines of `text`.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    /// The number, from 1, of the line that holds byte `offset`.
    pub(crate) fn number(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|start| *start <= offset) + 1).unwrap_or(u32::MAX)
    }

    /// The number of the last line.
    pub(crate) fn last(&self) -> u32 {
        u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::of("a\nbc\n\nd");
        let numbers: Vec<u32> = (0..8).map(|offset| lines.number(offset)).collect();
        assert_eq!(numbers, [1, 1, 2, 2, 2, 3, 4, 4]);
        assert_eq!(lines.last(), 4);
    }
}

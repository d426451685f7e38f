//! [`Lines`]: bytes into lines, with a bound.

use crate::command::MAX_LINE_BYTES;

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its end; never empty.
    Whole(Vec<u8>),
    /// A line longer than [`MAX_LINE_BYTES`], of which nothing is kept.
    TooLong,
}

/// Lines whose end has not come yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    /// The line that began is too long: all up to its end goes.
    skipping: bool,
}

impl Lines {
    /// The lines that end in `bytes`. Empty ones are left out: a new peer begins with an empty
    /// line, to end what its predecessor may have left half said.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut found = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.extend(piece);
            if pieces.peek().is_some() {
                found.extend(self.end());
            }
        }
        found
    }

    fn extend(&mut self, piece: &[u8]) {
        if self.begun.len() + piece.len() > MAX_LINE_BYTES {
            self.skipping = true;
        }
        if self.skipping {
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    fn end(&mut self) -> Option<Line> {
        let line = std::mem::take(&mut self.begun);
        match (std::mem::take(&mut self.skipping), line.is_empty()) {
            (true, _) => Some(Line::TooLong),
            (false, true) => None,
            (false, false) => Some(Line::Whole(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_line_passes_and_a_longer_one_is_skipped() {
        let mut lines = Lines::default();
        let longest = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(lines.push(&longest), []);
        assert_eq!(lines.push(b"\n"), [Line::Whole(longest.clone())]);
        assert_eq!(lines.push(&longest), []);
        assert_eq!(lines.push(b"x"), []);
        assert!(lines.begun.is_empty());
        assert_eq!(lines.push(&longest), []);
        assert_eq!(lines.push(b"\nok\n"), [Line::TooLong, Line::Whole(b"ok".to_vec())]);
    }

    proptest! {
        /// However the bytes are cut, the lines are the same.
        #[test]
        fn cuts_do_not_matter(
            text in "[ab\n]{0,60}",
            cuts in prop::collection::vec(0_usize..7, 0..30),
        ) {
            let mut lines = Lines::default();
            let (mut found, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                found.extend(lines.push(piece));
                rest = more;
            }
            found.extend(lines.push(rest));
            let (ended, _) = text.rsplit_once('\n').unwrap_or_default();
            let want = ended.split('\n').filter(|line| !line.is_empty());
            let want: Vec<_> = want.map(|line| Line::Whole(line.as_bytes().to_vec())).collect();
            prop_assert_eq!(found, want);
        }
    }
}

//! Cuts bytes into lines of bounded length.

/// The longest line handed out as one; a longer one comes in pieces of this size.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

/// A line, or a piece of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Without its newline.
    pub(crate) text: Vec<u8>,
    /// The newline came; else the line goes on in the next piece.
    pub(crate) ends: bool,
}

/// What is left over of a line between two blocks of bytes.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// One that has the beginning of a line already.
    pub(crate) fn beginning(rest: Vec<u8>) -> Self {
        Self { rest }
    }

    /// Hands every piece that `bytes` completes to `out`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut out: impl FnMut(Piece)) {
        for part in crate::frame::lines(bytes) {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            self.fill(text, &mut out);
            if ends {
                out(Piece { text: std::mem::take(&mut self.rest), ends });
            }
        }
    }

    fn fill(&mut self, mut text: &[u8], out: &mut impl FnMut(Piece)) {
        while self.rest.len() + text.len() > MAX_LINE_BYTES {
            let (fits, left) = text.split_at(MAX_LINE_BYTES - self.rest.len());
            self.rest.extend_from_slice(fits);
            out(Piece { text: std::mem::take(&mut self.rest), ends: false });
            text = left;
        }
        self.rest.extend_from_slice(text);
    }

    /// Takes the beginning of a line whose end has not come.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(blocks: &[&[u8]]) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        for block in blocks {
            splitter.push(block, |piece| pieces.push(piece));
        }
        pieces.push(Piece { text: splitter.take_rest(), ends: false });
        pieces
    }

    #[test]
    fn a_line_at_the_bound_is_whole_and_a_longer_one_in_pieces() {
        let piece = |length, ends| Piece { text: vec![b'a'; length], ends };
        let edge = vec![b'a'; MAX_LINE_BYTES];
        assert_eq!(all(&[&edge, b"\n"]), [piece(MAX_LINE_BYTES, true), piece(0, false)]);
        assert_eq!(
            all(&[&edge, b"aa\n", b"a"]),
            [piece(MAX_LINE_BYTES, false), piece(2, true), piece(1, false)]
        );
        assert_eq!(
            all(&[&edge, &edge, &edge, b"\n"]),
            [
                piece(MAX_LINE_BYTES, false),
                piece(MAX_LINE_BYTES, false),
                piece(MAX_LINE_BYTES, true),
                piece(0, false),
            ]
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_depend_on_blocks_and_lose_nothing(
            blocks in proptest::collection::vec("[ab\n\r\0]{0,9}", 0..9),
        ) {
            let split: Vec<&[u8]> = blocks.iter().map(|block| block.as_bytes()).collect();
            let whole = blocks.concat();
            let pieces = all(&split);
            prop_assert_eq!(&pieces, &all(&[whole.as_bytes()]));
            let mut joined = Vec::new();
            for piece in pieces {
                joined.extend(piece.text);
                joined.extend(piece.ends.then_some(b'\n'));
            }
            prop_assert_eq!(joined, whole.as_bytes());
        }

        #[test]
        fn no_output_loses_a_byte(
            input in rpm_corpus::changed(rpm_corpus::inputs("log")),
            block in 1..9000_usize,
        ) {
            let blocks: Vec<&[u8]> = input.chunks(block).collect();
            let mut joined = Vec::new();
            for piece in all(&blocks) {
                prop_assert!(piece.text.len() <= MAX_LINE_BYTES);
                joined.extend(piece.text);
                joined.extend(piece.ends.then_some(b'\n'));
            }
            prop_assert!(joined == input);
        }
    }
}

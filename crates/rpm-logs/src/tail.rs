//! The last lines of a file, read backwards in blocks, so that a large file costs no more than
//! what is shown of it.

use crate::range;
use std::{fs::File, io, path::Path};

/// The longest line kept; of a longer one its end.
pub const MAX_LINE_BYTES: usize = crate::lines::MAX_LINE_BYTES;
/// Bytes kept in all; older lines are left out.
pub const MAX_TOTAL_BYTES: u64 = 16 << 20;
/// Bytes read at once.
const BLOCK_BYTES: u64 = 64 << 10;

/// The end of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Complete lines without their newlines, oldest first.
    pub lines: Vec<Vec<u8>>,
    /// What stands after the last newline, if anything: a line still being written, or the last
    /// words of a process. Counts as one of the lines asked for.
    pub unfinished: Option<Vec<u8>>,
    /// The offset behind the last newline: where a follower goes on without gap or repetition.
    pub complete_to: u64,
}

impl Tail {
    /// All lines, the unfinished one as the last.
    pub fn into_lines(self) -> Vec<Vec<u8>> {
        self.lines.into_iter().chain(self.unfinished).collect()
    }
}

/// The last `max_lines` lines of `path`.
///
/// # Errors
/// Those of opening and reading; a file that does not exist yet is `NotFound`.
pub fn last_lines(path: &Path, max_lines: usize) -> io::Result<Tail> {
    tail_bytes_from(path, 0, max_lines)
}

/// The last `max_lines` lines of what `path` holds from `offset` on: what one worker wrote, if
/// `offset` was the end when it started. A file that is shorter was truncated or replaced: all of
/// it counts then.
pub fn tail_bytes_from(path: &Path, offset: u64, max_lines: usize) -> io::Result<Tail> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    let asked = if offset > end { 0 } else { offset };
    let floor = asked.max(end.saturating_sub(MAX_TOTAL_BYTES));
    let complete_to = behind_newline(&file, floor, end, 1)?;
    let open = Some(range::read(&file, complete_to, end)?).filter(|rest| !rest.is_empty());
    let unfinished = open.filter(|_| max_lines > 0).map(|rest| last_bytes(&rest));
    let wanted = max_lines - usize::from(unfinished.is_some());
    let start = behind_newline(&file, floor, complete_to, wanted.saturating_add(1))?;
    let lines = cut(&range::read(&file, start, complete_to)?);
    Ok(Tail { lines, unfinished, complete_to })
}

/// The offset behind the `nth` newline before `end`, counted from there back, or `floor`.
fn behind_newline(file: &File, floor: u64, end: u64, nth: usize) -> io::Result<u64> {
    let (mut before, mut left) = (end, nth);
    while before > floor {
        let from = before.saturating_sub(BLOCK_BYTES).max(floor);
        let block = range::read(file, from, before)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            left -= 1;
            if left == 0 {
                return Ok(from + index as u64 + 1);
            }
        }
        before = from;
    }
    Ok(floor)
}

/// `bytes` are whole lines.
fn cut(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some(inner) = bytes.strip_suffix(b"\n") else { return Vec::new() };
    inner.split(|byte| *byte == b'\n').map(last_bytes).collect()
}

fn last_bytes(line: &[u8]) -> Vec<u8> {
    line.get(line.len().saturating_sub(MAX_LINE_BYTES)..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail(bytes: &[u8], offset: u64, max_lines: usize) -> Tail {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        std::fs::write(&path, bytes).unwrap();
        tail_bytes_from(&path, offset, max_lines).unwrap()
    }

    fn expect(lines: &[&str], unfinished: Option<&str>, complete_to: u64) -> Tail {
        Tail {
            lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
            unfinished: unfinished.map(|line| line.as_bytes().to_vec()),
            complete_to,
        }
    }

    #[test]
    fn last_lines_of_small_files() {
        for (bytes, max_lines, expected) in [
            ("", 5, expect(&[], None, 0)),
            ("\n", 5, expect(&[""], None, 1)),
            ("a\nb\nc\n", 2, expect(&["b", "c"], None, 6)),
            ("a\nb\nc\n", 3, expect(&["a", "b", "c"], None, 6)),
            ("a\nb\nc\n", 9, expect(&["a", "b", "c"], None, 6)),
            ("a\nb\nc", 2, expect(&["b"], Some("c"), 4)),
            ("a\n\n\n", 2, expect(&["", ""], None, 4)),
            ("c", 1, expect(&[], Some("c"), 0)),
            ("a\nb\n", 0, expect(&[], None, 4)),
            ("a\nb", 0, expect(&[], None, 2)),
        ] {
            assert_eq!(tail(bytes.as_bytes(), 0, max_lines), expected, "{bytes:?} {max_lines}");
        }
        assert_eq!(tail(b"a\nb", 0, 2).into_lines(), [b"a".to_vec(), b"b".to_vec()]);
    }

    #[test]
    fn what_one_worker_wrote() {
        let bytes = b"old\nold\nnew\nnewer\n";
        assert_eq!(tail(bytes, 8, 50), expect(&["new", "newer"], None, 18));
        assert_eq!(tail(bytes, 8, 1), expect(&["newer"], None, 18));
        assert_eq!(tail(bytes, 18, 50), expect(&[], None, 18));
        // Flushed since.
        assert_eq!(tail(bytes, 1000, 1), expect(&["newer"], None, 18));
    }

    #[test]
    fn a_huge_file_and_a_huge_line_cost_what_is_shown() {
        let mut bytes = vec![b'x'; 3 * MAX_LINE_BYTES];
        bytes.extend_from_slice(b"end\nlast\n");
        let found = tail(&bytes, 0, 2);
        let lengths: Vec<usize> = found.lines.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, 4]);
        assert!(found.lines[0].ends_with(b"xend"));
        let line = [b"y".repeat(999), b"\n".to_vec()].concat();
        let many = line.repeat(20_000);
        assert_eq!(tail(&many, 0, usize::MAX).lines.len(), (MAX_TOTAL_BYTES / 1000) as usize + 1);
    }

    #[test]
    fn a_file_that_does_not_exist_says_so() {
        let error = last_lines(Path::new("/nowhere/a.log"), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    proptest! {
        #[test]
        fn as_a_simple_reader_would(
            bytes in "[ab\n]{0,60}",
            offset in 0..60_u64,
            max_lines in 0..12_usize,
        ) {
            let bytes = bytes.as_bytes();
            let from = if offset > bytes.len() as u64 { 0 } else { offset as usize };
            let mut lines: Vec<&[u8]> = bytes[from..].split(|byte| *byte == b'\n').collect();
            let last = lines.pop().filter(|last| !last.is_empty());
            lines.extend(last);
            let shown: Vec<Vec<u8>> =
                lines[lines.len().saturating_sub(max_lines)..].iter().map(|l| l.to_vec()).collect();
            prop_assert_eq!(tail(bytes, offset, max_lines).into_lines(), shown);
        }
    }
}

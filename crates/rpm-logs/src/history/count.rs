//! Where lines begin, counted backwards in blocks.

use crate::range;
use std::{fs::File, io};

/// Bytes read at once.
const BLOCK_BYTES: u64 = 64 << 10;

/// The offset behind the last newline before `end`; 0 where there is none.
pub(super) fn behind_last_newline(file: &File, end: u64) -> io::Result<u64> {
    let mut found = 0;
    back(file, 0, end, |newline| {
        found = newline + 1;
        false
    })?;
    Ok(found)
}

/// Where the last `wanted` lines between `from` and `to` begin, and how many there are. What stands
/// after the last newline is one of them.
pub(super) fn lines_back(
    file: &File,
    from: u64,
    to: u64,
    wanted: usize,
) -> io::Result<(u64, usize)> {
    if wanted == 0 || from >= to {
        return Ok((to, 0));
    }
    // Each line begins behind the newline of the one before; the last byte ends the last line.
    let (mut start, mut count) = (from, 0);
    back(file, from, to - 1, |newline| {
        count += 1;
        if count == wanted {
            start = newline + 1;
        }
        count < wanted
    })?;
    Ok((start, if count < wanted { count + 1 } else { count }))
}

/// Tells the newlines between `from` and `to`, last first, until `go_on` is false.
fn back(file: &File, from: u64, to: u64, mut go_on: impl FnMut(u64) -> bool) -> io::Result<()> {
    let mut before = to;
    while before > from {
        let start = before.saturating_sub(BLOCK_BYTES).max(from);
        let block = range::read(file, start, before)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if !go_on(start + index as u64) {
                return Ok(());
            }
        }
        before = start;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    proptest! {
        #[test]
        fn as_a_simple_counter_would(
            bytes in "[a\n]{0,40}",
            from in 0..40_u64,
            wanted in 0..9_usize,
        ) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes.as_bytes()).unwrap();
            let to = bytes.len() as u64;
            let from = from.min(to);
            let mut lines: Vec<&str> = bytes[from as usize..].split_inclusive('\n').collect();
            let lines = lines.split_off(lines.len().saturating_sub(wanted));
            let length: usize = lines.iter().map(|line| line.len()).sum();
            let found = lines_back(&file, from, to, wanted).unwrap();
            prop_assert_eq!(found, (to - length as u64, lines.len()));
            let behind = bytes.rfind('\n').map_or(0, |at| at as u64 + 1);
            prop_assert_eq!(behind_last_newline(&file, to).unwrap(), behind);
        }
    }
}

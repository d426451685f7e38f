//! What comes from outside, for the tests of those who read it: kept inputs under `tests/corpus`,
//! one folder a kind, and the same changed at random as a fuzzer does it. What an input has to do
//! when it is read is left to the reader's test; that it must not panic is common to all.
//!
//! An input that once broke a reader is put into its folder, and every run tries it from then on.

#![forbid(unsafe_code)]

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::{Index, select},
};
use std::{fs, path::Path};

/// Changes of one input at most.
const MAX_CHANGES: usize = 6;
/// Bytes that mean something to one reader or another.
const SPECIAL: [&str; 22] = [
    "\n",
    "\r\n",
    "\0",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "#",
    "'",
    "\u{1b}[0m",
    "\u{fffd}",
    "-1",
    "1e999",
    "18446744073709551616",
    "null",
    "true",
    "\t",
];

/// The kept inputs of a kind, by name.
///
/// # Panics
/// There are none: the test would prove nothing.
#[allow(clippy::expect_used)]
pub fn inputs(kind: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus").join(kind);
    let entries = fs::read_dir(&folder).expect("a folder of tests/corpus");
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no inputs", folder.display());
    paths.iter().map(|path| fs::read(path).expect("a kept input")).collect()
}

/// The kept inputs of a kind whose lines are inputs of their own.
///
/// # Panics
/// As [`inputs`].
pub fn lines(kind: &str) -> Vec<Vec<u8>> {
    let text = inputs(kind).concat();
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// One of `inputs`, changed at random or not at all.
pub fn changed(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let one = select(inputs.clone());
    (one, vec(change(inputs), 0..MAX_CHANGES)).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    })
}

#[derive(Clone, Debug)]
enum Change {
    /// Another byte in its place.
    Replace(Index, u8),
    /// One bit the other way.
    Flip(Index, u8),
    /// Bytes that were not there.
    Insert(Index, Vec<u8>),
    /// From the one place to the other all is gone.
    Remove(Index, Index),
    /// What is between the places comes so often once more.
    Repeat(Index, Index, usize),
    /// The end is missing.
    Cut(Index),
    /// From here on it is another input.
    Splice(Index, Vec<u8>, Index),
}

fn change(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let special = select(&SPECIAL[..]).prop_map(|text| text.as_bytes().to_vec());
    let bytes = prop_oneof![special, vec(any::<u8>(), 1..9)];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        2 => (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        4 => (at(), bytes).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (at(), at(), prop_oneof![1..4_usize, Just(200)])
            .prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), select(inputs), at())
            .prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let place = |at: &Index| at.index(bytes.len());
        match self {
            Self::Replace(at, byte) => {
                let at = place(at);
                bytes[at] = *byte;
            }
            Self::Flip(at, bit) => {
                let at = place(at);
                bytes[at] ^= 1 << bit;
            }
            Self::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(one, other) => {
                let (from, to) = between(place(one), place(other));
                bytes.drain(from..to);
            }
            Self::Repeat(one, other, times) => {
                let (from, to) = between(place(one), place(other));
                let again = bytes[from..to.min(from + 100)].repeat(*times);
                bytes.splice(to..to, again);
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Splice(at, other, from) => {
                bytes.truncate(at.index(bytes.len()));
                bytes.extend(other.get(from.index(other.len().max(1))..).unwrap_or_default());
            }
        }
    }
}

fn between(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    use std::collections::BTreeSet;

    #[test]
    fn changes_differ_and_begin_with_what_is_kept() {
        let kept = vec![b"one line".to_vec(), b"another".to_vec()];
        let mut runner = TestRunner::deterministic();
        let strategy = changed(kept.clone());
        let made: BTreeSet<Vec<u8>> =
            (0..300).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        assert!(kept.iter().all(|one| made.contains(one)), "unchanged ones are among them");
        assert!(made.len() > 150, "{}", made.len());
    }

    #[test]
    fn every_kind_has_inputs() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus");
        for kind in fs::read_dir(folder).unwrap().flatten().filter(|one| one.path().is_dir()) {
            assert!(!inputs(kind.file_name().to_str().unwrap()).is_empty());
        }
    }
}

//! Histories of logs that were rotated, emptied, without times, and against a simple model.

use super::{merge::Merged, *};
use crate::times::TimesWriter;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::{fs, io::Write, time::SystemTime};

struct Logs {
    directory: tempfile::TempDir,
}

impl Logs {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A log whose lines were written at these times.
    fn write(&self, name: &str, lines: &[(u64, &str)]) {
        let path = self.path(name);
        let mut file = File::create(&path).unwrap();
        let mut times = TimesWriter::open(&path, &file.metadata().unwrap());
        for (at, text) in lines {
            times.note(file.metadata().unwrap().len(), *at);
            file.write_all(text.as_bytes()).unwrap();
        }
        self.changed(name, lines.last().map_or(0, |line| line.0));
    }

    fn plain(&self, name: &str, changed: u64, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.changed(name, changed);
    }

    fn changed(&self, name: &str, at: u64) {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(at);
        File::options().append(true).open(self.path(name)).unwrap().set_modified(at).unwrap();
    }

    fn compress(&self, name: &str) {
        let packed = self.path(&format!("{name}.gz"));
        let mut encoder = GzEncoder::new(File::create(packed).unwrap(), Compression::fast());
        encoder.write_all(&fs::read(self.path(name)).unwrap()).unwrap();
        let changed = modified(&self.path(name).metadata().unwrap());
        encoder.finish().unwrap();
        fs::remove_file(self.path(name)).unwrap();
        self.changed(&format!("{name}.gz"), changed);
    }

    fn read(&self, name: &str, query: Query<'_>) -> Vec<(u64, String)> {
        let mut history = History::open(&self.path(name), query).unwrap();
        std::iter::from_fn(|| history.next_line().unwrap())
            .map(|line| (line.at, String::from_utf8(line.text).unwrap()))
            .collect()
    }

    fn texts(&self, query: Query<'_>) -> String {
        let lines = self.read("a.log", query);
        lines.into_iter().map(|line| line.1).collect::<Vec<_>>().join(" ")
    }
}

/// Three files: a compressed one, a rotated one that ends within a line, and the present one.
fn rotated() -> Logs {
    let logs = Logs::new();
    logs.write("a.log.1", &[(1000, "a\n"), (2000, "b\nc\n")]);
    logs.compress("a.log.1");
    logs.write("a.log.2", &[(3000, "d\n"), (4000, "e")]);
    logs.write("a.log", &[(5000, "e\n"), (6000, "f\n"), (7000, "g")]);
    logs
}

fn last(lines: usize) -> Query<'static> {
    Query { lines: Some(lines), ..Query::default() }
}

#[test]
fn all_lines_of_all_files_with_their_times() {
    let want = [(1000, "a"), (2000, "b"), (2000, "c"), (3000, "d"), (5000, "ee"), (6000, "f")];
    let want = want.map(|(at, text)| (at, text.to_owned()));
    assert_eq!(rotated().read("a.log", Query::default()), want);
}

#[test]
fn the_last_lines_reach_back_as_far_as_needed() {
    let logs = rotated();
    for (lines, want) in [
        (0, ""),
        (1, "f"),
        (2, "ee f"),
        (3, "d ee f"),
        (4, "c d ee f"),
        (5, "b c d ee f"),
        (99, "a b c d ee f"),
    ] {
        assert_eq!(logs.texts(last(lines)), want, "{lines}");
    }
    assert_eq!(logs.texts(Query { unfinished: true, ..last(2) }), "f g");
}

#[test]
fn a_time_may_begin_and_end_it() {
    let logs = rotated();
    let texts = |since, until| logs.texts(Query { since, until, ..Query::default() });
    assert_eq!(texts(Some(2000), None), "b c d ee f");
    assert_eq!(texts(Some(3001), Some(5999)), "ee");
    assert_eq!(texts(None, Some(2000)), "a b c");
    assert_eq!(texts(Some(9000), None), "");
    let query = Query { until: Some(3000), ..last(2) };
    assert_eq!(logs.texts(query), "c d");
}

#[test]
fn only_wanted_lines_are_counted() {
    let logs = rotated();
    let wanted = |text: &[u8]| text != b"d" && text != b"c";
    let query = Query { wanted: Some(&wanted), ..last(3) };
    assert_eq!(logs.texts(query), "b ee f");
    assert_eq!(logs.texts(Query { unfinished: true, ..query }), "ee f g");
}

#[test]
fn without_an_index_lines_or_the_file_tell_the_time() {
    let logs = Logs::new();
    let text = "begin\n1970-01-01T00:00:01Z one\n  at\n1970-01-01T00:00:03Z two\n";
    logs.plain("a.log", 9000, text);
    let times: Vec<u64> = logs.read("a.log", Query::default()).iter().map(|line| line.0).collect();
    assert_eq!(times, [1000, 1000, 1000, 3000]);
    logs.plain("b.log", 9000, "a\nb\n");
    let lines = logs.read("b.log", Query::default());
    assert_eq!(lines, [(9000, "a".to_owned()), (9000, "b".to_owned())]);
}

#[test]
fn no_file_has_no_lines_and_a_device_neither() {
    let logs = Logs::new();
    assert_eq!(logs.read("a.log", last(5)), []);
    let mut null = History::open(Path::new("/dev/zero"), last(5)).unwrap();
    assert_eq!(null.next_line().unwrap(), None);
}

#[test]
fn logs_are_merged_by_time_and_keep_their_own_order() {
    let logs = Logs::new();
    logs.write("a.log", &[(1000, "a1\n"), (3000, "a3\n"), (3000, "a3b\n")]);
    logs.write("b.log", &[(2000, "b2\n"), (3000, "b3\n"), (4000, "b4\n")]);
    let open = |name: &str| History::open(&logs.path(name), Query::default()).unwrap();
    let mut merged = Merged::new(vec![open("a.log"), open("b.log")]).unwrap();
    let lines = std::iter::from_fn(|| merged.next_line().unwrap());
    let texts: Vec<String> = lines.map(|(_, line)| String::from_utf8(line.text).unwrap()).collect();
    assert_eq!(texts, ["a1", "b2", "a3", "a3b", "b3", "b4"]);
    let ends: Vec<u64> = merged.into_ends().into_iter().flatten().map(|end| end.1).collect();
    assert_eq!(ends, [10, 9]);
}

proptest! {
    #[test]
    fn as_a_simple_reader_would(
        old in "[ab\n]{0,30}",
        new in "[ab\n]{0,30}",
        lines in proptest::option::of(0..9_usize),
        only_b: bool,
        unfinished: bool,
    ) {
        let logs = Logs::new();
        logs.plain("a.log.1", 1000, &old);
        logs.plain("a.log", 2000, &new);
        // Of a line that rotation cut in two the halves are looked at to be counted.
        let only_b = only_b && (old.is_empty() || old.ends_with('\n'));
        let wanted = |text: &[u8]| text.contains(&b'b');
        let wanted: Option<Wanted<'_>> = only_b.then_some(&wanted);
        let query = Query { lines, wanted, unfinished, ..Query::default() };
        let all = old + &new;
        let (whole, rest) = all.rsplit_once('\n').unwrap_or(("", &all));
        let mut want: Vec<&str> = whole.split('\n').collect();
        if !all.contains('\n') {
            want.clear();
        }
        // A follower goes on in the new file, so the half in the old one is told now.
        let first_half = &rest[..rest.len() - new.rsplit('\n').next().map_or(0, str::len)];
        let rest = if unfinished { rest } else { first_half };
        want.extend(Some(rest).filter(|rest| !rest.is_empty()));
        want.retain(|text| !only_b || text.contains('b'));
        let want = want.split_off(want.len() - lines.unwrap_or(want.len()).min(want.len()));
        let found: Vec<String> = logs.read("a.log", query).into_iter().map(|line| line.1).collect();
        prop_assert_eq!(found, want);
    }
}

//! docs/reliability.md is what these tests show, no more and no less.

use crate::harness::repository;
use std::{collections::BTreeSet, fs, path::PathBuf};

/// The names of all tests beside this file, as the table has them.
fn tests() -> BTreeSet<String> {
    let folder = repository().join("tests/it/survive");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_stem().unwrap() != "table").flat_map(tests_of).collect()
}

fn tests_of(path: PathBuf) -> Vec<String> {
    let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(path).unwrap();
    let after = text.split("#[test]\nfn ").skip(1);
    let names = after.filter_map(|rest| rest.split_once('('));
    names.map(|(name, _)| format!("{module}::{name}")).collect()
}

#[test]
fn every_test_has_its_line_in_the_table_and_every_line_its_test() {
    let text = fs::read_to_string(repository().join("docs/reliability.md")).unwrap();
    // What follows the first table is tested elsewhere, too.
    let (deaths, _) = text.split_once("\n## ").unwrap();
    let rows = deaths.lines().filter(|line| line.starts_with("| "));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit("| ").next());
    let named = last.filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
    let named: BTreeSet<String> =
        named.filter(|name| name.contains("::")).map(str::to_owned).collect();
    let tests = tests();
    let missing: Vec<_> = tests.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&tests).collect();
    assert!(missing.is_empty(), "without a line in docs/reliability.md: {missing:#?}");
    assert!(unknown.is_empty(), "lines of no test: {unknown:#?}");
}

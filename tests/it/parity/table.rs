//! docs/pm2-parity.md names each command and option of the PM2 that is installed, each with a test
//! that exists.

use super::{KNOWN, cases};
use crate::harness::{node_modules, repository};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The first and the last cell of each row.
fn rows() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository().join("docs/pm2-parity.md")).expect("the table");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| PM2"));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect());
    let ends = |cells: Vec<&str>| Some(((*cells.first()?).to_owned(), (*cells.last()?).to_owned()));
    cells.filter_map(ends).collect()
}

/// What stands between backquotes.
fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// What each `.command('NAME …')`, `.alias('NAME')` and `.option('-s --long …')` of PM2's command
/// line has for a name.
fn of_pm2() -> BTreeSet<String> {
    let source = node_modules().join("pm2/lib/binaries/CLI.js");
    let source = fs::read_to_string(source).expect("PM2's command line");
    let mut names = BTreeSet::new();
    for line in source.lines().map(str::trim) {
        let quoted = line.split('\'').nth(1).unwrap_or_default();
        if line.contains(".command('") || line.contains(".alias('") {
            names.extend(quoted.split(' ').next().map(str::to_owned));
        } else if line.starts_with(".option('") {
            let words = quoted.split([' ', ',']).filter(|word| word.starts_with('-'));
            names.extend(words.map(str::to_owned));
        }
    }
    assert!(names.len() > 120, "only {names:?}");
    // What an unknown word is, and npm's own option of its publisher.
    names.remove("*");
    names
}

/// Every test as `file::name`, and every case as `group.name`.
fn proofs() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["tests/it", "src", "crates"] {
        tests_below(&repository().join(folder), &mut found);
    }
    for (group, cases) in cases::GROUPS {
        found.extend(cases.iter().map(|case| format!("{group}.{}", case.name)));
    }
    found
}

fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("entry").path()) {
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let module = path.file_stem().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).expect("UTF-8");
            let after = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            let names = after.map(|(name, _)| format!("{module}::{name}"));
            found.extend(names.filter(|name| text.contains("test]\n") && !name.contains(' ')));
        }
    }
}

#[test]
fn every_command_and_option_of_pm2_has_its_row() {
    let rows = rows();
    let named: BTreeSet<&str> =
        rows.iter().flat_map(|(first, _)| spans(first)).flat_map(|span| span.split(' ')).collect();
    let all = of_pm2();
    let missing: Vec<&String> = all.iter().filter(|name| !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "without a row in docs/pm2-parity.md: {missing:#?}");
}

#[test]
fn every_row_names_a_test_or_case_that_exists() {
    let proofs = proofs();
    for (first, last) in rows().iter().filter(|(first, _)| !first.starts_with("--")) {
        let named: Vec<&str> = spans(last).collect();
        assert!(!named.is_empty(), "no test in the row of {first}");
        for name in named {
            assert!(proofs.contains(name), "{name} in the row of {first} does not exist");
        }
    }
}

#[test]
fn every_known_difference_is_of_a_case_that_exists() {
    let proofs = proofs();
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let cases = lines.filter_map(|line| line.split(" | ").next());
    let groups: Vec<&str> = cases::GROUPS.iter().map(|(group, _)| *group).collect();
    let of_a_group = |case: &&str| case.split('.').next().is_some_and(|one| groups.contains(&one));
    for case in cases.filter(of_a_group) {
        assert!(proofs.contains(case), "known.txt: there is no case {case}");
    }
}

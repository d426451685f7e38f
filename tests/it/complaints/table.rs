//! docs/complaints.md has a line for each complaint, and what it names is there.

use crate::harness::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many complaints each section of the list has: A1 to A6, B1 to B8 …
const SECTIONS: [(char, u32); 9] =
    [('A', 6), ('B', 8), ('C', 4), ('D', 5), ('E', 6), ('F', 3), ('G', 9), ('H', 5), ('I', 7)];

fn table() -> String {
    fs::read_to_string(repository().join("docs/complaints.md")).expect("docs/complaints.md")
}

/// The rows of the table: complaint, what is done, what shows it.
fn rows(text: &str) -> Vec<[&str; 3]> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = lines.map(|line| line.split(" | ").collect::<Vec<_>>());
    let cells = cells.filter(|cells| cells.first().is_some_and(|first| is_complaint(first)));
    cells
        .map(|cells| cells.try_into().unwrap_or_else(|row| panic!("three cells: {row:?}")))
        .collect()
}

fn is_complaint(cell: &str) -> bool {
    let (letter, number) = cell.split_at_checked(1).unwrap_or_default();
    ("A"..="I").contains(&letter) && number.parse::<u32>().is_ok()
}

#[test]
fn every_complaint_has_its_line() {
    let text = table();
    let found: Vec<&str> = rows(&text).iter().map(|row| row[0]).collect();
    let numbers = |(letter, last): (char, u32)| (1..=last).map(move |n| format!("{letter}{n}"));
    let want: Vec<String> = SECTIONS.into_iter().flat_map(numbers).collect();
    assert_eq!(found, want);
    let empty = rows(&text).into_iter().find(|row| {
        let [_, what, proof] = row;
        what.len() < 20 || !(proof.contains('`') || proof.starts_with("not here: "))
    });
    assert_eq!(empty, None, "a clause, and a test or `not here: ` with the reason");
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What a name in the table may be: `file::test` or `folder::file` of the end-to-end tests,
/// `crate::test` of a crate, or a path of the repository.
fn names() -> BTreeSet<String> {
    let (root, mut names) = (repository(), BTreeSet::new());
    let mut ours = Vec::new();
    sources(&root.join("tests/it"), &mut ours);
    for path in ours {
        let below = path.strip_prefix(root.join("tests/it")).unwrap().with_extension("");
        let module = below.display().to_string().trim_end_matches("/mod").replace('/', "::");
        names.extend(tests_of(&path).into_iter().map(|test| format!("{module}::{test}")));
        names.insert(module);
    }
    for entry in fs::read_dir(root.join("crates")).unwrap().flatten() {
        let mut theirs = Vec::new();
        sources(&entry.path(), &mut theirs);
        let name = entry.file_name().into_string().unwrap();
        let tests = theirs.iter().flat_map(|path| tests_of(path));
        names.extend(tests.map(|test| format!("{name}::{test}")));
    }
    names
}

/// The functions under `#[test]` or `#[tokio::test]`.
fn tests_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut tests = Vec::new();
    for part in text.split("test]\n").skip(1) {
        // Other attributes may stand between.
        let line = part.lines().find(|line| !line.trim_start().starts_with("#[")).unwrap_or("");
        let name = line.trim_start().trim_start_matches("async ").strip_prefix("fn ");
        tests.extend(name.and_then(|rest| Some(rest.split_once('(')?.0.to_owned())));
    }
    tests
}

#[test]
fn every_test_that_is_named_is_there() {
    let (text, names) = (table(), names());
    let mut unknown = Vec::new();
    for [complaint, _, proof] in rows(&text) {
        for name in proof.split('`').skip(1).step_by(2) {
            // Other words are keys and commands.
            let is_name =
                name.contains("::") || ["bench/", "scripts/"].iter().any(|p| name.starts_with(p));
            let exists = names.contains(name) || repository().join(name).exists();
            if is_name && !exists {
                unknown.push(format!("{complaint}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "in docs/complaints.md, and nowhere else: {unknown:#?}");
}

//! `docs/pm2-keys.md` has every key the binary knows, with its other names, and each row a test.

use crate::harness::{Home, repository};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The words between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The cells of each row of each table, headings left out.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let cells = |line: &'_ str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    lines.map(cells).filter(|cells| !cells.contains(&"test".to_owned())).collect()
}

/// The name of every test below `tests/it`, as nextest has it.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    tests_below(&repository().join("tests/it"), "", &mut found);
    found
}

fn tests_below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            tests_below(&path, &format!("{prefix}{stem}::"), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module =
                if stem == "mod" { prefix.to_owned() } else { format!("{prefix}{stem}::") };
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split_once('('));
            found.extend(names.map(|(name, _)| format!("{module}{name}")));
        }
    }
}

/// Whether a crate has this test: `rpm-config::cron::NAME` is in its `src/cron.rs`.
fn crate_has(name: &str) -> bool {
    let (path, test) = name.rsplit_once("::").unwrap();
    let (package, module) = path.split_once("::").unwrap();
    let file = format!("crates/{package}/src/{}.rs", module.replace("::", "/"));
    let text = fs::read_to_string(repository().join(file)).unwrap_or_default();
    text.contains(&format!("fn {test}("))
}

#[test]
fn every_key_has_its_row_and_every_row_its_tests() {
    let text = fs::read_to_string(repository().join("docs/pm2-keys.md")).unwrap();
    let home = Home::new();
    let schema: Value = serde_json::from_str(&home.rpm(["schema"]).success().stdout).unwrap();
    let known = schema["$defs"]["app"]["properties"].as_object().expect("properties");
    let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut ignored = BTreeSet::new();
    for (name, value) in known.iter().filter(|(name, _)| *name == &name.to_lowercase()) {
        match value["$comment"].as_str() {
            Some(key) => keys.entry(key).or_default().insert(name),
            None => ignored.insert(name.as_str()),
        };
    }

    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut named = Vec::new();
    for cells in rows(&text) {
        let tests = quoted(cells.last().unwrap());
        assert!(!tests.is_empty(), "a row without a test: {cells:?}");
        named.extend(tests);
        if let [key, also, _, _] = &cells[..] {
            let names: BTreeSet<String> = quoted(key).into_iter().chain(quoted(also)).collect();
            listed.insert(quoted(key).remove(0), names);
        }
    }
    let owned = |names: &BTreeSet<&str>| names.iter().map(|name| (*name).to_owned()).collect();
    let keys: BTreeMap<String, BTreeSet<String>> =
        keys.iter().map(|(key, names)| ((*key).to_owned(), owned(names))).collect();
    assert_eq!(listed, keys, "the keys of docs/pm2-keys.md, and those of rpm");

    let section = text.split("## Keys that mean nothing here").nth(1).unwrap();
    let section = section.split("## ").next().unwrap();
    let section = section.split_once("says why.").unwrap().1;
    let listed = quoted(section).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(listed, owned(&ignored), "the keys that mean nothing");

    let tests = tests();
    let is_there =
        |name: &&String| tests.contains(*name) || name.starts_with("rpm-") && crate_has(name);
    let missing: Vec<&String> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

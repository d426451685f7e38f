//! The same commands to npm's `pm2` and to `rpm`: exit codes, `jlist` and files are compared, prose
//! is not. What differs is in `known.txt`, each with its reason; a difference that is not there
//! fails, and one that is there and has vanished fails too.

mod cases;
mod fields;
mod keys;
mod manager;

use self::cases::Case;
use self::manager::{Kind, Manager};
use std::collections::{BTreeMap, BTreeSet};

/// What was observed: where, and what.
type Seen = BTreeMap<String, String>;

/// `CASE | WHERE | PM2'S | RPM'S | REASON` a line.
const KNOWN: &str = include_str!("known.txt");

/// One difference, as it stands in `known.txt` without its reason.
type Difference = [String; 4];

fn known(group: &str) -> BTreeSet<Difference> {
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let all = lines.map(|line| {
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [case, key, pm2, rpm, reason] = parts[..] else { panic!("five parts: {line}") };
        assert!(reason.len() > 5, "no reason: {line}");
        [case, key, pm2, rpm].map(str::to_owned)
    });
    all.filter(|[case, ..]| case.starts_with(group)).collect()
}

/// Where the two saw different things.
fn differences(case: &str, pm2: &Seen, rpm: &Seen) -> BTreeSet<Difference> {
    let keys: BTreeSet<&String> = pm2.keys().chain(rpm.keys()).collect();
    let value = |seen: &Seen, key: &String| seen.get(key).cloned().unwrap_or_else(|| "-".into());
    // Of an instance that only one of them has, it is enough to say so.
    let id = |key: &str| key.split(' ').next().unwrap_or_default().to_owned();
    let has = |seen: &Seen, id: &str| seen.contains_key(&format!("{id} name"));
    let lonely = |key: &&String| {
        let id = id(key);
        has(pm2, &id) != has(rpm, &id) && !key.ends_with(" name")
    };
    let keys = keys.into_iter().filter(|key| !lonely(key));
    let both = keys.into_iter().map(|key| (key, value(pm2, key), value(rpm, key)));
    both.filter(|(_, pm2, rpm)| pm2 != rpm)
        .map(|(key, pm2, rpm)| [case.to_owned(), key.clone(), pm2, rpm])
        .collect()
}

/// Fails unless the differences found are just those known.
fn settle(group: &str, found: &BTreeSet<Difference>) {
    let known = known(group);
    let text = |all: Vec<&Difference>| {
        all.iter().map(|line| line.join(" | ")).collect::<Vec<_>>().join("\n")
    };
    let new = text(found.difference(&known).collect());
    let gone = text(known.difference(found).collect());
    assert!(new.is_empty() && gone.is_empty(), "\nnew:\n{new}\n\nvanished:\n{gone}");
}

fn run_group(group: &str, cases: &[Case]) {
    let managers = [Kind::Pm2, Kind::Rpm].map(Manager::new);
    let mut found = BTreeSet::new();
    for case in cases {
        let [pm2, rpm] = managers.each_ref().map(|manager| case.observe(manager));
        found.extend(differences(&format!("{group}.{}", case.name), &pm2, &rpm));
    }
    settle(&format!("{group}."), &found);
}

#[test]
fn start() {
    run_group("start", cases::START);
}

#[test]
fn targets() {
    run_group("targets", cases::TARGETS);
}

#[test]
fn change() {
    run_group("change", cases::CHANGE);
}

#[test]
fn files() {
    run_group("files", cases::FILES);
}

#[test]
fn look() {
    run_group("look", cases::LOOK);
}

#[test]
fn jlist_has_every_field_of_pm2_with_its_type() {
    let [pm2, rpm] = [Kind::Pm2, Kind::Rpm].map(|kind| fields::types(&Manager::new(kind)));
    let pm2_only = |seen: Seen| seen.into_iter().filter(|(key, _)| pm2.contains_key(key)).collect();
    settle("fields.", &differences("fields.node", &pm2, &pm2_only(rpm)));
}

//! The same commands to npm's `pm2` and to `rpm`: exit codes, `jlist` and files are compared, prose
//! is not. What differs is in `known.txt`, each with its reason; a difference that is not there
//! fails, and one that is there and has vanished fails too.

mod case;
mod cases;
mod daemon;
mod fields;
mod keys;
mod live;
mod manager;
mod table;

use self::case::Case;
use self::manager::{Kind, Manager};
use std::collections::{BTreeMap, BTreeSet};
use std::{panic, thread};

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

/// The same with a manager of each kind, side by side.
fn both<T: Send>(observe: impl Fn(&Manager) -> T + Sync) -> [T; 2] {
    let observe = &observe;
    thread::scope(|scope| {
        let kinds = [Kind::Pm2, Kind::Rpm];
        let threads = kinds.map(|kind| scope.spawn(move || observe(&Manager::new(kind))));
        threads.map(|one| one.join().unwrap_or_else(|cause| panic::resume_unwind(cause)))
    })
}

fn run_group(group: &str, cases: &[Case]) {
    let all =
        both(|manager| -> Vec<Seen> { cases.iter().map(|one| one.observe(manager)).collect() });
    let [pm2, rpm] = &all;
    let mut found = BTreeSet::new();
    for (case, (pm2, rpm)) in cases.iter().zip(pm2.iter().zip(rpm)) {
        found.extend(differences(&format!("{group}.{}", case.name), pm2, rpm));
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
fn options() {
    run_group("options", cases::OPTIONS);
}

#[test]
fn talk() {
    run_group("talk", cases::TALK);
}

#[test]
fn keep() {
    run_group("keep", cases::KEEP);
}

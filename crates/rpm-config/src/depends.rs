//! `depends_on`: which apps an app waits for before it is started, and the order that follows from
//! it. Who waits, and for how long, is decided elsewhere.

use crate::{
    AppName, AppSpec, InvalidValue,
    tree::{Data, Entry, Node},
    value,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

const DEPENDS: &str =
    "a list of apps, or a table of apps with \"ready\", \"started\" or \"done\" for each";

/// What an app waits for: others by name, and what must be true of each.
pub type Dependencies = BTreeMap<AppName, Requirement>;

/// What must be true of an app before those that depend on it are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// One of its instances is online.
    #[default]
    Ready,
    /// One of its instances has a process.
    Started,
    /// It rests, and all its instances ended with exit code 0: a migration.
    Done,
}

impl Requirement {
    /// The word for it in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Started => "started",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An app has another name: who waits for it waits for that one. Whether anything changed.
pub fn rename_in(dependencies: &mut Dependencies, from: &AppName, to: &AppName) -> bool {
    let Some(how) = dependencies.remove(from) else { return false };
    dependencies.insert(to.clone(), how);
    true
}

/// Reads `"db"`, `["db"]` or `{ db = "ready" }`.
pub(crate) fn read(node: &Node) -> Result<Dependencies, InvalidValue> {
    match &node.data {
        Data::Bool(false) => Ok(Dependencies::new()),
        Data::Text(_) | Data::List(_) => {
            let names = value::texts(node)?;
            names.iter().map(|name| Ok((app(name)?, Requirement::Ready))).collect()
        }
        Data::Table(entries) => entries.iter().map(one).collect(),
        data => Err(InvalidValue::new(DEPENDS, data.describe())),
    }
}

fn one(entry: &Entry) -> Result<(AppName, Requirement), InvalidValue> {
    let requirement = match &entry.value.data {
        Data::Text(word) if word == "ready" => Requirement::Ready,
        Data::Text(word) if word == "started" => Requirement::Started,
        Data::Text(word) if word == "done" => Requirement::Done,
        data => {
            let found = format!("{} for `{}`", data.describe(), entry.key);
            return Err(InvalidValue::new(DEPENDS, found));
        }
    };
    Ok((app(&entry.key)?, requirement))
}

fn app(name: &str) -> Result<AppName, InvalidValue> {
    AppName::new(name).map_err(|_| InvalidValue::text(DEPENDS, name))
}

/// Apps that wait for each other, each for the next and the last for the first; `None`: none do.
/// Apps that are not among `specs` wait for nobody.
pub fn cycle<'a>(specs: impl IntoIterator<Item = &'a AppSpec>) -> Option<Vec<AppName>> {
    let graph: BTreeMap<&AppName, &Dependencies> =
        specs.into_iter().map(|spec| (&spec.name, &spec.depends_on)).collect();
    let mut left: BTreeSet<&AppName> = graph.keys().copied().collect();
    // Take away who waits for nobody that is left; if nobody does, all that are left lead to a
    // cycle.
    loop {
        let free = |name: &&AppName| !waits_for(&graph, name).any(|other| left.contains(other));
        let done: Vec<&AppName> = left.iter().copied().filter(free).collect();
        if done.is_empty() {
            break;
        }
        left.retain(|name| !done.contains(name));
    }
    let mut path: Vec<&AppName> = left.first().copied().into_iter().collect();
    // Each step stays among those that are left, so one is met again after so many at most.
    for _ in 0..left.len() {
        let last = path.last().copied()?;
        let next = waits_for(&graph, last).find(|other| left.contains(other))?;
        if let Some(at) = path.iter().position(|met| *met == next) {
            return Some(path.split_off(at).into_iter().cloned().collect());
        }
        path.push(next);
    }
    None
}

fn waits_for<'a>(
    graph: &BTreeMap<&'a AppName, &'a Dependencies>,
    name: &AppName,
) -> impl Iterator<Item = &'a AppName> + use<'a> {
    graph.get(name).copied().into_iter().flat_map(BTreeMap::keys)
}

/// `a waits for b, b for a`.
pub fn cycle_in_words(cycle: &[AppName]) -> String {
    let nexts = cycle.iter().cycle().skip(1);
    let pairs: Vec<_> = cycle.iter().zip(nexts).collect();
    let words = pairs.iter().enumerate().map(|(nth, (from, to))| match nth {
        0 => format!("{from} waits for {to}"),
        _ => format!("{from} for {to}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// `items` with each app behind those it waits for, and otherwise as they were.
pub fn in_order<T>(items: Vec<T>, spec: impl Fn(&T) -> &AppSpec) -> Vec<T> {
    let (mut waiting, mut ordered) = (items, Vec::new());
    while !waiting.is_empty() {
        let names: BTreeSet<AppName> = waiting.iter().map(|one| spec(one).name.clone()).collect();
        let free = |one: &T| !spec(one).depends_on.keys().any(|name| names.contains(name));
        let (first, rest): (Vec<T>, Vec<T>) = waiting.into_iter().partition(free);
        if first.is_empty() {
            // A cycle, which whoever takes them refuses.
            ordered.extend(rest);
            break;
        }
        ordered.extend(first);
        waiting = rest;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppOptions, test_machine::Machine};

    fn apps(edges: &[(&str, &[&str])]) -> Vec<AppSpec> {
        let machine = Machine::new().program("db");
        let options = AppOptions { script: Some("db".into()), ..AppOptions::default() };
        let spec = machine.spec(&options);
        let of = |(name, on): &(&str, &[&str])| {
            let name = AppName::new(*name).unwrap();
            let on = on.iter().map(|on| (AppName::new(*on).unwrap(), Requirement::Ready));
            AppSpec { name, depends_on: on.collect(), ..spec.clone() }
        };
        edges.iter().map(of).collect()
    }

    #[test]
    fn cycles_are_found_and_named() {
        let words = |edges: &[(&str, &[&str])]| cycle(&apps(edges)).map(|c| cycle_in_words(&c));
        assert_eq!(words(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &[])]), None);
        assert_eq!(words(&[("a", &["a"])]).unwrap(), "a waits for a");
        let three: &[(&str, &[&str])] =
            &[("x", &["b"]), ("a", &["c"]), ("b", &["a"]), ("c", &["b"]), ("d", &[])];
        assert_eq!(words(three).unwrap(), "a waits for c, c for b, b for a");
    }

    #[test]
    fn an_app_stands_behind_those_it_waits_for() {
        let order = |edges: &[(&str, &[&str])]| -> Vec<String> {
            let ordered = in_order(apps(edges), |spec| spec);
            ordered.iter().map(|spec| spec.name.to_string()).collect()
        };
        assert_eq!(order(&[("b", &[]), ("a", &[]), ("c", &["zzz"])]), ["b", "a", "c"]);
        let edges: &[(&str, &[&str])] =
            &[("web", &["api"]), ("api", &["db"]), ("log", &[]), ("db", &[])];
        assert_eq!(order(edges), ["log", "db", "api", "web"]);
        assert_eq!(order(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]), ["c", "a", "b"]);
    }

    #[test]
    fn lists_and_tables_are_read() {
        let node = |data| Node { line: None, data };
        let text = |text: &str| node(Data::Text(text.into()));
        let name = |name: &str| AppName::new(name).unwrap();
        let db = BTreeMap::from([(name("db"), Requirement::Ready)]);
        assert_eq!(read(&text("db")), Ok(db.clone()));
        assert_eq!(read(&node(Data::List(vec![text("db")]))), Ok(db));
        let entry = |key: &str, word: &str| Entry { key: key.into(), value: text(word) };
        let table = Data::Table(vec![entry("db", "started"), entry("migrate", "done")]);
        let both = [(name("db"), Requirement::Started), (name("migrate"), Requirement::Done)];
        assert_eq!(read(&node(table)), Ok(both.into()));
        let wrong = read(&node(Data::Table(vec![entry("db", "healthy")]))).unwrap_err();
        assert_eq!(wrong.to_string(), format!("must be {DEPENDS}, but is \"healthy\" for `db`"));
        assert!(read(&node(Data::Integer(1))).is_err());
        assert!(read(&text("")).is_err());
    }
}

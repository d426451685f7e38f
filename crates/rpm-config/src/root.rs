//! The shapes that the root of an ecosystem file may have, and the apps found in it.

use crate::{
    App, Fault, InvalidValue, Place, Problem,
    app_table::AppTable,
    keys, static_site, suggest,
    tree::{Data, Entry, Node},
    value,
};
use std::{collections::BTreeMap, path::Path};

/// Keys beside `apps` that say nothing about starting apps.
const OTHER_ROOT_KEYS: [&str; 2] = ["deploy", "$schema"];

/// Collects apps and problems of one file.
pub(crate) struct Reader<'a> {
    origin: &'a Path,
    pub(crate) apps: Vec<App>,
    pub(crate) problems: Vec<Problem>,
    /// What would be a problem in a strict format.
    pub(crate) ignored: Vec<Problem>,
    strict: bool,
}

impl<'a> Reader<'a> {
    /// Reads all of `root`. No apps at all are a problem too.
    pub(crate) fn read(origin: &'a Path, strict: bool, root: &Node) -> Self {
        let (problems, ignored) = (Vec::new(), Vec::new());
        let mut reader = Self { origin, apps: Vec::new(), problems, ignored, strict };
        reader.root(root);
        if reader.apps.is_empty() && reader.problems.is_empty() {
            reader.problem(None, None, Fault::NoApps);
        }
        reader
    }

    /// PM2's roots: `{apps: …}`, `{pm2: …}`, a list of apps, or one app; `static` with any table.
    fn root(&mut self, root: &Node) {
        let entries = match &root.data {
            Data::Table(entries) => entries,
            _ => return self.apps(root, "the file"),
        };
        let entry = |key: &str| entries.iter().find(|entry| entry.key == key);
        match (entry("apps"), entry("pm2")) {
            (Some(apps), _) => self.apps_and_others(entries, Some(apps)),
            // A package.json, whose other keys are not ours.
            (None, Some(pm2)) => match &pm2.value.data {
                Data::Table(inner) if inner.iter().any(|entry| entry.key == "apps") => {
                    self.root(&pm2.value);
                }
                _ => self.apps(&pm2.value, "`pm2`"),
            },
            (None, None) if entry("static").is_some() => {
                self.apps_and_others(entries, None);
            }
            (None, None) => self.lone_app(root, entries),
        }
    }

    fn apps_and_others(&mut self, entries: &[Entry], apps: Option<&Entry>) {
        if let Some(apps) = apps {
            self.apps(&apps.value, "`apps`");
        }
        if let Some(deploy) = entries.iter().find(|entry| entry.key == "deploy") {
            self.deploy(&deploy.value);
        }
        for Entry { key, value } in entries {
            let fault = match key.as_str() {
                "apps" | "pm2" => continue,
                other if OTHER_ROOT_KEYS.contains(&other) => continue,
                "static" => {
                    self.sites(value);
                    continue;
                }
                _ if keys::find(key).is_some() => Fault::KeyOutsideApp { key: key.clone() },
                _ => Fault::UnknownKey { key: key.clone(), meant: keys::meant(key) },
            };
            self.problem(value.line, None, fault);
        }
    }

    /// A root that is one app, or in which `apps` is misspelt.
    fn lone_app(&mut self, root: &Node, entries: &[Entry]) {
        let typo = |entry: &&Entry| {
            let tables = matches!(entry.value.data, Data::List(_) | Data::Table(_));
            tables && suggest::nearest(&entry.key, ["apps"]).is_some()
        };
        if let Some(Entry { key, value }) = entries.iter().find(typo) {
            let fault = Fault::UnknownKey { key: key.clone(), meant: Some("apps".into()) };
            // Whatever the format: without it there are no apps.
            let place = Place { file: Some(self.origin.to_owned()), line: value.line, app: None };
            return self.problems.push(Problem { place, fault });
        }
        let is_app = entries.iter().any(|entry| keys::find(&entry.key).is_some());
        if is_app || self.strict && !entries.is_empty() {
            self.app(1, root, entries);
        }
    }

    fn apps(&mut self, node: &Node, what: &str) {
        match &node.data {
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    match &item.data {
                        Data::Table(entries) => self.app(index + 1, item, entries),
                        other => self.not_a_table(index + 1, item.line, other),
                    }
                }
            }
            Data::Table(entries) => self.app(1, node, entries),
            other => {
                let error = InvalidValue::new("a list of apps", other.describe());
                self.problem(node.line, None, Fault::Shape { what: what.to_owned(), error });
            }
        }
    }

    /// PM2's `deploy.NAME.env`: what `--env NAME` gives every app, and all else wins over.
    fn deploy(&mut self, node: &Node) {
        let Data::Table(environments) = &node.data else { return };
        for Entry { key: name, value } in environments {
            let Data::Table(entries) = &value.data else { continue };
            let env = entries.iter().find(|entry| entry.key == "env");
            let Some(Ok(variables)) = env.map(|env| value::variables(&env.value)) else { continue };
            for app in &mut self.apps {
                app.options.deploy_env.insert(name.clone(), variables.clone());
            }
        }
    }

    /// PM2's static sites: each is an app that serves a directory.
    fn sites(&mut self, node: &Node) {
        let one = std::slice::from_ref(node);
        let sites = match &node.data {
            Data::List(items) => items.as_slice(),
            _ => one,
        };
        for (index, site) in sites.iter().enumerate() {
            match &site.data {
                Data::Table(entries) => {
                    let (options, faults) = static_site::read(entries);
                    let label = options.name.clone();
                    for (line, fault) in faults {
                        self.problem(line, label.clone(), fault);
                    }
                    self.apps.push(App { options, line: site.line, lines: BTreeMap::new() });
                }
                other => {
                    let error = InvalidValue::new("a table of keys", other.describe());
                    let what = format!("site {} of `static`", index + 1);
                    self.problem(site.line, None, Fault::Shape { what, error });
                }
            }
        }
    }

    fn not_a_table(&mut self, number: usize, line: Option<u32>, data: &Data) {
        let error = InvalidValue::new("a table of keys", data.describe());
        let fault = Fault::Shape { what: format!("app {number}"), error };
        self.problem(line, None, fault);
    }

    fn app(&mut self, number: usize, node: &Node, entries: &[Entry]) {
        let AppTable { options, lines, faults, .. } = AppTable::read(entries);
        let label = options.name.clone().unwrap_or_else(|| number.to_string());
        for (line, fault) in faults {
            self.problem(line, Some(label.clone()), fault);
        }
        self.apps.push(App { options, line: node.line, lines });
    }

    fn problem(&mut self, line: Option<u32>, app: Option<String>, fault: Fault) {
        let place = Place { file: Some(self.origin.to_owned()), line, app };
        let counts = if self.strict { !fault.is_mere_warning() } else { !fault.is_ignorable() };
        let list = if counts { &mut self.problems } else { &mut self.ignored };
        list.push(Problem { place, fault });
    }
}

//! What becomes of PM2's list, of its dump or of itself: an entry for each process there, an app
//! with so many instances here.

use crate::description::{Described, Origin, describe};
use rpm_config::AppSpec;
use serde_json::{Map, Value, json};

/// An entry of PM2's list: `pm2_env`.
pub type Entry = Map<String, Value>;

/// The processes of one name, in PM2's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Their name, with a number behind it where several programs have one.
    pub name: String,
    /// Them; at least one.
    pub entries: Vec<Entry>,
    /// What is to be said of them.
    pub notes: Vec<String>,
}

/// An app to start in place of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Its description.
    pub spec: AppSpec,
    /// The slots that did not run.
    pub stopped: Vec<usize>,
    /// What of it has no meaning here.
    pub notes: Vec<String>,
}

/// Groups a list by name and program. PM2's modules are left out: they are named beside.
pub fn groups(list: Vec<Entry>) -> (Vec<Group>, Vec<String>) {
    let (modules, processes): (Vec<Entry>, Vec<Entry>) = list.into_iter().partition(is_module);
    let mut groups: Vec<Group> = Vec::new();
    for entry in processes {
        let fellow = groups.iter_mut().find(|group| {
            let first = group.entries.first();
            first.is_some_and(|first| is_same_app(first, &entry))
        });
        match fellow {
            Some(group) => group.entries.push(entry),
            None => groups.push(new_group(entry, &groups)),
        }
    }
    (groups, modules.iter().map(name).collect())
}

fn new_group(entry: Entry, others: &[Group]) -> Group {
    let given = name(&entry);
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    if !is_taken(&given) {
        return Group { name: given, entries: vec![entry], notes: Vec::new() };
    }
    let mut numbered = (2_u32..).map(|number| format!("{given}-{number}"));
    let free = numbered.find(|name| !is_taken(name)).unwrap_or_else(|| given.clone());
    let notes = vec![format!("another program of PM2's has the name {given}: this one is {free}")];
    Group { name: free, entries: vec![entry], notes }
}

impl Group {
    /// The app that stands for it.
    ///
    /// # Errors
    /// What rpm cannot run, for a person.
    pub fn take(&self, origin: Origin<'_>) -> Result<Taken, String> {
        let mut entry = self.entries.first().cloned().unwrap_or_default();
        entry.insert("name".into(), json!(self.name));
        // A single process has an instance count of another kind: what was once asked for.
        entry.insert("instances".into(), json!(self.entries.len()));
        if !entry.contains_key("exec_mode") {
            entry.insert("exec_mode".into(), json!("fork_mode"));
        }
        let Described { spec, notes } = describe(&entry, origin)?;
        let stopped: Vec<usize> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(slot, entry)| is_stopped(entry).then_some(slot))
            .collect();
        let autostart = spec.autostart && stopped.len() < self.entries.len();
        let spec = AppSpec { autostart, ..spec };
        Ok(Taken { spec, stopped, notes: [self.notes.clone(), notes].concat() })
    }

    /// PM2's ids of its processes.
    pub fn ids(&self) -> Vec<u64> {
        let ids = self.entries.iter().filter_map(|entry| entry.get("pm_id"));
        ids.filter_map(Value::as_u64).collect()
    }

    /// Whether none of it runs.
    pub fn is_at_rest(&self) -> bool {
        self.entries.iter().all(is_stopped)
    }
}

fn name(entry: &Entry) -> String {
    entry.get("name").and_then(Value::as_str).unwrap_or("nameless").to_owned()
}

fn is_module(entry: &Entry) -> bool {
    entry.get("pmx_module").is_some_and(|value| value == true)
}

/// PM2 starts `errored` ones again after a boot, and what was about to be restarted.
fn is_stopped(entry: &Entry) -> bool {
    entry.get("status").is_some_and(|status| status == "stopped" || status == "stopping")
}

fn is_same_app(one: &Entry, other: &Entry) -> bool {
    let same = |key: &str| one.get(key) == other.get(key);
    ["name", "pm_exec_path", "pm_cwd", "args", "exec_mode"].into_iter().all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Variables;
    use rpm_config::ExecMode;
    use std::path::Path;

    fn entry(name: &str, script: &str, status: &str) -> Entry {
        let entry = json!({
            "name": name, "pm_exec_path": script, "pm_cwd": "/", "exec_interpreter": "none",
            "exec_mode": "cluster_mode", "status": status, "env": {}, "pm_id": 3,
        });
        entry.as_object().unwrap().clone()
    }

    #[test]
    fn processes_of_one_program_are_one_app() {
        let mut module = entry("pm2-logrotate", "/m", "online");
        module.insert("pmx_module".into(), json!(true));
        let list = vec![
            entry("web", "/bin/sh", "online"),
            entry("job", "/bin/cat", "stopped"),
            entry("web", "/bin/sh", "stopped"),
            entry("web", "/bin/ls", "online"),
            module,
        ];
        let (groups, modules) = groups(list);
        let brief: Vec<_> =
            groups.iter().map(|group| (&group.name[..], group.entries.len())).collect();
        assert_eq!(brief, [("web", 2), ("job", 1), ("web-2", 1)]);
        assert_eq!(modules, ["pm2-logrotate"]);
        assert_eq!((groups[0].ids(), groups[0].is_at_rest()), (vec![3, 3], false));
        let environment = Variables::new();
        let logs = Path::new("/l");
        let origin = Origin { logs, numbered: true, environment: &environment };
        let web = groups[0].take(origin).unwrap();
        let size = (web.spec.instances, web.spec.mode, web.spec.autostart);
        assert_eq!(size, (2, ExecMode::Cluster, true));
        assert_eq!(web.stopped, [1]);
        let job = groups[1].take(origin).unwrap();
        assert!(!job.spec.autostart && groups[1].is_at_rest());
        assert_eq!(groups[2].take(origin).unwrap().notes.len(), 1);
    }
}

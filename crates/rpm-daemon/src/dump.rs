//! `dump.pm2`: PM2's list of process descriptions with rpm's own beside them, so that PM2 can read
//! it back and rpm loses nothing.
//!
//! One object an instance. PM2's keys carry what PM2 needs to start it; the key `rpm` carries the
//! slot and, at the first instance of an app, the whole [`AppSpec`].

use rpm_config::{AppName, AppSpec, ExecMode};
use rpm_supervisor::{Instance, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

/// The largest dump that is read.
const MAX_BYTES: u64 = 256 << 20;

/// One instance to write.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Its app.
    pub(crate) spec: &'a AppSpec,
    /// Its slot.
    pub(crate) slot: u32,
    /// Where it stands.
    pub(crate) instance: &'a Instance,
}

/// One app that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedApp {
    /// Its description.
    pub(crate) spec: AppSpec,
    /// The slots that were stopped.
    pub(crate) stopped: BTreeSet<u32>,
}

/// rpm's own part of an entry.
#[derive(Serialize, Deserialize)]
struct Own {
    slot: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<AppSpec>,
}

/// Replaces the dump at `path`; the former one stays beside it as `.bak`.
pub(crate) fn write(path: &Path, entries: &[Entry<'_>]) -> io::Result<()> {
    let mut seen = BTreeSet::new();
    let list: Vec<Value> =
        entries.iter().map(|entry| to_json(entry, seen.insert(&entry.spec.name))).collect();
    if path.exists() {
        let former = fs::read(path)?;
        rpm_unix::atomic::write(&path.with_extension("pm2.bak"), &former)?;
    }
    rpm_unix::atomic::write(path, &serde_json::to_vec_pretty(&list)?)
}

fn to_json(entry: &Entry<'_>, first: bool) -> Value {
    let Entry { spec, slot, instance } = entry;
    let stopped = matches!(instance.state, State::Stopped);
    let mode = match spec.mode {
        ExecMode::Fork => "fork_mode",
        ExecMode::Cluster => "cluster_mode",
    };
    let own = Own { slot: *slot, spec: first.then(|| AppSpec::clone(spec)) };
    json!({
        "name": spec.name,
        "namespace": spec.namespace,
        "pm_exec_path": spec.launch.script,
        "pm_cwd": spec.cwd,
        "exec_interpreter": spec.launch.interpreter.as_deref().unwrap_or("none"),
        "node_args": spec.launch.interpreter_args,
        "args": spec.launch.args,
        "exec_mode": mode,
        "env": rpm_config::instance_environment(spec, *slot),
        "autorestart": spec.restart.autorestart,
        "status": if stopped { "stopped" } else { "online" },
        "rpm": own,
    })
}

/// Reads a dump that rpm wrote. Nothing of it is changed when it is broken.
pub(crate) fn read(path: &Path) -> io::Result<Vec<SavedApp>> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::other("it is larger than any list rpm writes"));
    }
    parse(&fs::read(path)?)
}

fn parse(bytes: &[u8]) -> io::Result<Vec<SavedApp>> {
    #[derive(Deserialize)]
    struct Line {
        name: AppName,
        status: String,
        rpm: Option<Own>,
    }
    let mut apps: BTreeMap<AppName, SavedApp> = BTreeMap::new();
    let mut order = Vec::new();
    for line in serde_json::from_slice::<Vec<Line>>(bytes)? {
        let missing = || io::Error::other(format!("{} was not written by rpm", line.name));
        let own = line.rpm.ok_or_else(missing)?;
        if let Some(spec) = own.spec {
            order.push(line.name.clone());
            apps.insert(line.name.clone(), SavedApp { spec, stopped: BTreeSet::new() });
        }
        let app = apps.get_mut(&line.name).ok_or_else(missing)?;
        if line.status == "stopped" {
            app.stopped.insert(own.slot);
        }
    }
    Ok(order.into_iter().filter_map(|name| apps.remove(&name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kept sample, as a daemon wrote it.
    #[test]
    fn a_sample_is_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/formats/dump-1.json");
        let apps = read(Path::new(path)).unwrap();
        let all: Vec<_> =
            apps.iter().map(|app| (app.spec.name.as_str(), app.stopped.len())).collect();
        assert_eq!(all, [("node", 0), ("python", 0), ("idle", 1), ("crashes", 0)]);
    }
    use crate::fixture;

    fn dumped(instances: &[(u32, bool)]) -> (AppSpec, Vec<u8>) {
        let spec = fixture::spec("api");
        let mut fleet = fixture::fleet(&[&spec]);
        let app = fleet.apps.get_mut(&spec.name).unwrap();
        let mut entries = Vec::new();
        for (slot, stopped) in instances {
            let instance = app.instances.get_mut(slot).unwrap();
            if *stopped {
                instance.state = State::Stopped;
            }
        }
        for (slot, instance) in &app.instances {
            entries.push(Entry { spec: &spec, slot: *slot, instance });
        }
        let list: Vec<Value> = entries.iter().map(|one| to_json(one, one.slot == 0)).collect();
        let bytes = serde_json::to_vec(&list).unwrap();
        (spec, bytes)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (spec, bytes) = dumped(&[(0, false), (1, true)]);
        let expected = SavedApp { spec, stopped: BTreeSet::from([1]) };
        assert_eq!(parse(&bytes).unwrap(), vec![expected]);
    }

    #[test]
    fn pm2_finds_its_own_keys() {
        let (_, bytes) = dumped(&[]);
        let list: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(list[1]["name"], "api");
        assert_eq!(list[1]["pm_exec_path"], "/srv/app.js");
        assert_eq!(list[1]["exec_mode"], "cluster_mode");
        assert_eq!(list[1]["status"], "online");
        assert_eq!(list[1]["env"]["NODE_APP_INSTANCE"], "1");
    }

    #[test]
    fn a_broken_dump_is_an_error_and_no_panic() {
        let (_, bytes) = dumped(&[]);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err());
        }
        assert!(parse(br#"[{"name":"x","status":"online"}]"#).is_err());
    }

    #[test]
    fn the_former_list_stays_beside_the_new_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("dump.pm2");
        let spec = fixture::spec("api");
        let fleet = fixture::fleet(&[&spec]);
        let instance = &fleet.apps[&spec.name].instances[&0];
        write(&path, &[]).unwrap();
        write(&path, &[Entry { spec: &spec, slot: 0, instance }]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        assert_eq!(fs::read(home.path().join("dump.pm2.bak")).unwrap(), b"[]");
    }
}

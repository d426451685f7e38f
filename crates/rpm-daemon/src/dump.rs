//! `dump.pm2`: PM2's list of process descriptions with rpm's own beside them, so that PM2 can read
//! it back and rpm loses nothing.
//!
//! One object an instance. PM2's keys carry what PM2 needs to start it; the key `rpm` carries the
//! slot and, at the first instance of an app, the whole [`AppSpec`].

mod checksum;
mod generations;

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

/// Replaces the dump at `path`; the former ones stay beside it ([`generations`]).
pub(crate) fn write(path: &Path, entries: &[Entry<'_>]) -> io::Result<()> {
    let mut seen = BTreeSet::new();
    let list: Vec<Value> =
        entries.iter().map(|entry| to_json(entry, seen.insert(&entry.spec.name))).collect();
    generations::replace(path, &checksum::sealed(&list)?)
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

/// Makes the list at `path` empty, as if it had been saved so.
///
/// # Errors
/// It cannot be written; it is untouched then.
pub fn clear_dump(path: &Path) -> io::Result<()> {
    write(path, &[])
}

/// What is wrong with the newest lists beside `path` that `read` passes over, for a person:
/// which, and why. Empty where the newest is whole, or there is none.
pub fn broken_dumps(path: &Path) -> Vec<String> {
    match read(path) {
        Ok(read) => read.broken,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => vec![format!("{}: {error}", path.display())],
    }
}

/// What was read, and what was wrong with the generations that could not be.
#[derive(Debug)]
pub(crate) struct Read {
    /// The newest whole list.
    pub(crate) apps: Vec<SavedApp>,
    /// Newer ones that are broken, newest first: which, and why.
    pub(crate) broken: Vec<String>,
}

/// Reads the newest dump that is whole: the one at `path` or, where that is broken, a former one.
///
/// # Errors
/// There is none at `path`, or none of all generations is whole; the reason is the newest one's.
pub(crate) fn read(path: &Path) -> io::Result<Read> {
    let mut broken = Vec::new();
    let mut reason = match read_one(path) {
        Ok(apps) => return Ok(Read { apps, broken }),
        // Nothing was ever saved here: no fault, and nothing to fall back to.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        Err(error) => error,
    };
    broken.push(format!("{}: {reason}", path.display()));
    for former in generations::former(path) {
        match read_one(&former) {
            Ok(apps) => return Ok(Read { apps, broken }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => broken.push(format!("{}: {error}", former.display())),
        }
    }
    if broken.len() > 1 {
        reason = io::Error::other(format!("{reason}, and no former list is whole"));
    }
    Err(reason)
}

fn read_one(path: &Path) -> io::Result<Vec<SavedApp>> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::other("it is larger than any list rpm writes"));
    }
    parse(&fs::read(path)?)
}

fn parse(bytes: &[u8]) -> io::Result<Vec<SavedApp>> {
    checksum::verify(bytes)?;
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
    use crate::fixture;

    /// A kept sample, as a daemon wrote it.
    #[test]
    fn a_sample_is_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/formats/dump-1.json");
        let apps = read(Path::new(path)).unwrap().apps;
        let all: Vec<_> =
            apps.iter().map(|app| (app.spec.name.as_str(), app.stopped.len())).collect();
        assert_eq!(all, [("node", 0), ("python", 0), ("idle", 1), ("crashes", 0)]);
    }

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
    fn any_bytes_are_an_error_or_a_list_and_no_panic() {
        let config =
            proptest::test_runner::Config { failure_persistence: None, ..Default::default() };
        let (_, bytes) = dumped(&[(0, false), (1, true)]);
        let kept = rpm_corpus::changed(rpm_corpus::inputs("dump"));
        let place = 0..bytes.len();
        proptest::proptest!(config, |(at in place, byte: u8, noise: Vec<u8>, old in kept)| {
            let _any = parse(&old);
            let mut changed = bytes.clone();
            changed[at] = byte;
            let _any = parse(&changed);
            let _any = parse(&noise);
        });
    }

    /// Names a directory where [`saves_until_it_is_killed`] saves.
    const SAVER: &str = "RPM_TEST_SAVER";

    /// Not a test of its own: what [`a_kill_at_any_instant_leaves_a_whole_list`] kills.
    #[test]
    fn saves_until_it_is_killed() {
        let Some(directory) = std::env::var_os(SAVER) else { return };
        let path = Path::new(&directory).join("dump.pm2");
        let spec = fixture::spec("api");
        let fleet = fixture::fleet(&[&spec]);
        let instance = &fleet.apps[&spec.name].instances[&0];
        for round in 0.. {
            // Two lists in turn, of different length.
            let entries = [Entry { spec: &spec, slot: 0, instance }; 2];
            write(&path, &entries[..1 + round % 2]).unwrap();
            eprintln!("saved");
        }
    }

    #[test]
    fn a_kill_at_any_instant_leaves_a_whole_list() {
        use std::io::{BufRead, BufReader};
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("dump.pm2");
        for kill in 0..200 {
            let mut saver = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", "dump::tests::saves_until_it_is_killed"])
                .env(SAVER, home.path())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            // It goes on saving while we read, so that the kill meets it anywhere.
            let told = BufReader::new(saver.stderr.take().unwrap()).lines();
            assert_eq!(told.take(1 + kill % 7).filter(Result::is_ok).count(), 1 + kill % 7);
            saver.kill().unwrap();
            saver.wait().unwrap();
            let found = read(&path).unwrap();
            assert_eq!((found.apps.len(), found.broken), (1, Vec::new()));
        }
        // The newest writer may have left a file; those of the others were swept.
        assert!(fs::read_dir(home.path()).unwrap().count() <= 5 + 2);
    }

    /// A file system of 1 MB that goes away with its test.
    struct SmallDisk(tempfile::TempDir);

    impl SmallDisk {
        /// `None` for who may not mount: the test says nothing then.
        fn new() -> Option<Self> {
            let at = tempfile::tempdir().unwrap();
            let options = ["-t", "tmpfs", "-o", "size=1M", "tmpfs"];
            let mount = std::process::Command::new("mount").args(options).arg(at.path()).output();
            mount.is_ok_and(|output| output.status.success()).then_some(Self(at))
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0.path()).status();
        }
    }

    #[test]
    fn a_full_disk_leaves_the_former_list() {
        let Some(disk) = SmallDisk::new() else { return };
        let path = disk.0.path().join("dump.pm2");
        let spec = fixture::spec("api");
        let fleet = fixture::fleet(&[&spec]);
        let instance = &fleet.apps[&spec.name].instances[&0];
        let entry = Entry { spec: &spec, slot: 0, instance };
        write(&path, &[entry]).unwrap();
        let before = fs::read(&path).unwrap();
        let filler = vec![0; 2 << 20];
        assert!(fs::write(disk.0.path().join("filler"), filler).is_err());
        assert!(write(&path, &[entry, entry]).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::remove_file(disk.0.path().join("filler")).unwrap();
        write(&path, &[entry, entry]).unwrap();
        assert_eq!(read(&path).unwrap().apps.len(), 1);
    }

    #[test]
    fn a_broken_newest_list_gives_way_to_the_former_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("dump.pm2");
        let spec = fixture::spec("api");
        let fleet = fixture::fleet(&[&spec]);
        let instance = &fleet.apps[&spec.name].instances[&0];
        write(&path, &[Entry { spec: &spec, slot: 0, instance }]).unwrap();
        write(&path, &[]).unwrap();
        let whole = fs::read(&path).unwrap();
        // Cut short, and changed in one letter: both are noticed.
        let mut changed = fs::read(home.path().join("dump.pm2.bak")).unwrap();
        let at = changed.windows(6).position(|part| part == b"online").unwrap();
        changed[at] = b'x';
        for broken in [&whole[..1], b"", &changed] {
            fs::write(&path, broken).unwrap();
            let found = read(&path).unwrap();
            assert_eq!((found.apps.len(), found.broken.len()), (1, 1), "{found:?}");
        }
        fs::write(home.path().join("dump.pm2.bak"), "[").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("and no former list is whole"), "{error}");
        fs::remove_file(&path).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
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
        assert_eq!(read(&path).unwrap().apps.len(), 1);
        assert_eq!(read(&home.path().join("dump.pm2.bak")).unwrap().apps.len(), 0);
    }
}

//! The ledger: what the state of the fleet is and which processes it has, on disk, for the case
//! that keeper and daemon are killed together. The next daemon reads it (`survivors.rs`).
//!
//! It is of use only as long as the processes live, so it is renamed into place but not synced: it
//! must outlive us, not the machine. What must outlive that is the dump.

use crate::{
    engine::Engine,
    front::FrontEntry,
    store::{Exits, Label, Saved, Saving},
    worker::Process,
};
use rpm_config::AppSpec;
use rpm_supervisor::WorkerId;
use rpm_unix::home::Home;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The version of the files. A daemon reads its own and older ones.
pub(crate) const VERSION: u32 = 1;
/// A change is written at once, and the next not before this: a thousand starts are some writes.
const INTERVAL: Duration = Duration::from_millis(50);
/// A large fleet's takes longer to write: at most this part of the time is spent on it.
const SHARE: u32 = 20;
/// The largest file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// Where it is written, and what of it is out of date.
pub(crate) struct Ledger {
    boot: String,
    written: Option<Instant>,
    /// How long after that it is not written.
    interval: Duration,
    fleet: bool,
    specs: bool,
    failed: bool,
}

/// The ledger as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Entries {
    version: u32,
    boot: String,
    /// As a predecessor's state in the keeper.
    pub(crate) state: Saved,
    /// How workers ended.
    pub(crate) exits: Exits,
    /// Those that ran.
    pub(crate) processes: Vec<ProcessEntry>,
    /// Fronts that served; absent in files of older versions.
    #[serde(default)]
    pub(crate) fronts: Vec<FrontEntry>,
    /// What the keeper held; absent in files of older versions.
    #[serde(default)]
    pub(crate) sockets: Vec<SocketEntry>,
}

#[derive(Serialize)]
struct Writing<'a> {
    version: u32,
    boot: &'a str,
    state: Saving<'a>,
    exits: &'a Exits,
    processes: Vec<ProcessEntry>,
    fronts: Vec<FrontEntry>,
    sockets: Vec<SocketEntry>,
}

/// A held socket, which some survivor has open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SocketEntry {
    /// The keeper's own notes on it.
    pub(crate) record: Vec<u8>,
    /// By which `/proc` names it.
    pub(crate) inode: u64,
}

/// One worker's leader: enough to know it again, and to get its descriptors from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessEntry {
    /// Which.
    pub(crate) worker: WorkerId,
    /// Its pid, also its session.
    pub(crate) pid: i32,
    /// With the pid it names the process for ever.
    pub(crate) start_time: u64,
    /// Whose it is.
    pub(crate) label: Label,
    /// The inodes of the pipes of its two streams.
    pub(crate) pipes: [u64; 2],
    /// Its number of a duplicate of our end of its channel (traps A4).
    pub(crate) channel: Option<i32>,
}

impl Ledger {
    /// Nothing is written yet.
    pub(crate) fn new() -> Self {
        let (written, failed) = (None, false);
        Self { boot: boot(), written, interval: INTERVAL, fleet: true, specs: true, failed }
    }

    /// State, exits or processes changed.
    pub(crate) fn touch(&mut self) {
        self.fleet = true;
    }

    /// A description changed.
    pub(crate) fn touch_specs(&mut self) {
        (self.fleet, self.specs) = (true, true);
    }

    /// How long until it is to be written; `None`: it is up to date.
    pub(crate) fn due(&self) -> Option<Duration> {
        let passed = self.written.map_or(self.interval, |at| at.elapsed());
        self.fleet.then(|| self.interval.saturating_sub(passed))
    }
}

impl Engine {
    /// Writes the ledger if it is time to. A disk that is full costs the apps nothing.
    pub(crate) fn keep_ledger(&mut self) {
        if self.safe || self.ledger.due().is_none_or(|left| !left.is_zero()) {
            return;
        }
        let begun = Instant::now();
        let result = self.write_ledger();
        self.ledger.written = Some(Instant::now());
        self.ledger.interval = INTERVAL.max(begun.elapsed().saturating_mul(SHARE));
        (self.ledger.fleet, self.ledger.specs) = (false, false);
        let failed = result.is_err();
        if let Err(error) = result.as_ref().map_err(|error| error.to_string())
            && !self.ledger.failed
        {
            tracing::warn!("if keeper and daemon die together, apps will be lost: {error}");
        }
        self.ledger.failed = failed;
    }

    /// Writes it now, for another binary to read.
    pub(crate) fn write_ledger_now(&mut self) {
        self.ledger.touch_specs();
        self.ledger.written = None;
        self.keep_ledger();
    }

    fn write_ledger(&self) -> io::Result<()> {
        if self.ledger.specs {
            let specs: Vec<&AppSpec> = self.specs.values().map(AsRef::as_ref).collect();
            replace(&specs_path(&self.home), &serde_json::to_vec(&specs)?)?;
        }
        let writing = Writing {
            version: VERSION,
            boot: &self.ledger.boot,
            state: self.saving(),
            exits: &self.exits,
            processes: self.processes(),
            fronts: self.fronts.serving(&self.specs).collect(),
            sockets: self.keeper.held_sockets(),
        };
        replace(&fleet_path(&self.home), &serde_json::to_vec(&writing)?)
    }

    fn processes(&self) -> Vec<ProcessEntry> {
        let all = self.workers.iter();
        all.filter_map(|(worker, known)| {
            let process = known.process.as_ref().filter(|process| !process.exited)?;
            Some(self.entry(worker, known.label.clone(), process))
        })
        .collect()
    }

    fn entry(&self, worker: WorkerId, label: Label, process: &Process) -> ProcessEntry {
        let sockets = self.specs.get(&label.app).map_or(0, |spec| spec.listen.len());
        // The keeper's rule (docs/keeper.md, "A child"): inherited sockets, the channel, then ours.
        let number = i32::try_from(sockets).ok().and_then(|count| count.checked_add(4));
        ProcessEntry {
            worker,
            pid: process.leader.pid,
            start_time: process.leader.start_time,
            label,
            pipes: process.leader.pipes,
            channel: number.filter(|_| process.channel.is_some()),
        }
    }
}

/// What a daemon left that died together with its keeper since the machine was booted.
pub(crate) fn read(home: &Home) -> Option<(Entries, Vec<AppSpec>)> {
    let entries: Entries = parse(&fleet_path(home))?;
    if entries.version != VERSION || entries.boot != boot() {
        return None;
    }
    Some((entries, parse(&specs_path(home))?))
}

/// Whether this program can read what another one wrote.
pub(crate) fn check(home: &Home) -> Result<(), String> {
    let read =
        |path: PathBuf| fs::read(&path).map_err(|error| format!("{}: {error}", path.display()));
    let entries: Entries = serde_json::from_slice(&read(fleet_path(home))?)
        .map_err(|error| format!("the state of the fleet: {error}"))?;
    if entries.version != VERSION {
        return Err(format!("the state of the fleet has version {}", entries.version));
    }
    let _: Vec<AppSpec> = serde_json::from_slice(&read(specs_path(home))?)
        .map_err(|error| format!("the descriptions of the apps: {error}"))?;
    Ok(())
}

/// Whether keeper and daemon of a home died without having said farewell.
pub fn exists(home: &Home) -> bool {
    fleet_path(home).exists()
}

/// Everything ended as it should: there is nobody to find.
pub(crate) fn remove(home: &Home) {
    for path in [fleet_path(home), specs_path(home)] {
        // What is left is not believed after all its processes are gone.
        let _ = fs::remove_file(path);
    }
}

fn fleet_path(home: &Home) -> PathBuf {
    home.state().join("fleet.json")
}

fn specs_path(home: &Home) -> PathBuf {
    home.state().join("specs.json")
}

fn parse<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let parsed = serde_json::from_slice(&bytes);
    parsed.inspect_err(|error| tracing::error!("{}: {error}", path.display())).ok()
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    fs::rename(new, path)
}

/// Names this boot of the machine (proc(5)): pids and start times of another mean nothing.
fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kept samples of format 1, as a running daemon wrote them: a later reader must still
    /// understand them.
    const FLEET: &str = include_str!("../../../tests/fixtures/formats/fleet-1.json");
    const SPECS: &str = include_str!("../../../tests/fixtures/formats/specs-1.json");

    #[test]
    fn samples_of_this_format_are_read() {
        let entries: Entries = serde_json::from_str(FLEET).unwrap();
        assert_eq!(entries.version, 1);
        let workers: Vec<_> = entries.processes.iter().map(|one| one.worker).collect();
        assert_eq!(workers.len(), 5, "{workers:?}");
        let apps: Vec<_> = entries.state.fleet.apps.keys().map(ToString::to_string).collect();
        assert_eq!(apps, ["crashes", "idle", "node", "python"]);
        let specs: Vec<AppSpec> = serde_json::from_str(SPECS).unwrap();
        assert_eq!(specs.len(), 4);
    }

    #[test]
    fn a_sample_is_checked_as_a_new_binary_would() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("home"));
        home.create().unwrap();
        assert!(check(&home).is_err());
        fs::write(fleet_path(&home), FLEET).unwrap();
        fs::write(specs_path(&home), SPECS).unwrap();
        check(&home).unwrap();
        fs::write(fleet_path(&home), FLEET.replacen("\"version\":1", "\"version\":9", 1)).unwrap();
        assert_eq!(check(&home).unwrap_err(), "the state of the fleet has version 9");
        // Pids of another boot mean nothing.
        fs::write(fleet_path(&home), FLEET).unwrap();
        assert!(read(&home).is_none());
    }

    /// A broken disk can change it as it likes: a state that is still one can be gone on with.
    #[test]
    fn no_changed_ledger_can_panic_a_daemon() {
        use rpm_supervisor::{Event, Moment};
        let config =
            proptest::test_runner::Config { failure_persistence: None, ..Default::default() };
        let fleets = rpm_corpus::changed(rpm_corpus::inputs("fleet"));
        let specs = rpm_corpus::changed(rpm_corpus::inputs("specs"));
        proptest::proptest!(config, |(fleet in fleets, specs in specs)| {
            let _any = serde_json::from_slice::<Vec<AppSpec>>(&specs);
            if let Ok(entries) = serde_json::from_slice::<Entries>(&fleet) {
                let mut fleet = entries.state.fleet;
                fleet.recover(&Default::default(), Moment(1));
                let due = fleet.deadline().unwrap_or(Moment(2));
                fleet.step(Event::Tick, due);
            }
        });
    }
}

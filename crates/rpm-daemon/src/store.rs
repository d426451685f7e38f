//! What outlives the daemon: the state blob and the specs, as sealed memory files the keeper holds.
//!
//! Everything is written before the requests that follow from it go down the same ordered link, so
//! a successor never meets a worker its state does not know to be coming.

use crate::{
    listeners::ChosenPorts,
    log_files::Mark,
    stamp::{Lost, Stamp},
};
use rpm_cluster::key_data::KeyData;
use rpm_config::{AppName, AppSpec};
use rpm_protocol::{ExitView, Offers, UnenforcedView};
use rpm_supervisor::{Fleet, InstanceId, WorkerId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
};

/// The version of [`Saved`]. A daemon reads its own and older ones.
pub(crate) const VERSION: u32 = 1;
/// The largest state that is read back: some kilobytes for each of tens of thousands of instances.
const MAX_BYTES: usize = 256 << 20;
/// The name the state is held under.
pub(crate) const STATE: &str = "state";
/// The name the exit records are held under.
pub(crate) const EXITS: &str = "exits";
/// The name the control socket is held under.
pub(crate) const CONTROL: &str = "control";
/// The name the socket of sd_notify(3) is held under.
pub(crate) const NOTIFY: &str = "notify";
/// Prefix of the names of specs.
pub(crate) const SPEC: &str = "spec:";
/// Prefix of the names of what is between pipes and log files.
pub(crate) const SPOOL: &str = "spool:";

/// The state of a daemon, as its successor reads it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Saved {
    version: u32,
    /// When it was written, in epoch milliseconds; 0 in states of older versions.
    #[serde(default)]
    pub(crate) written_at: u64,
    /// All policy's state.
    pub(crate) fleet: Fleet,
    /// What the engine knows of workers and the supervisor need not.
    pub(crate) workers: BTreeMap<WorkerId, WorkerRecord>,
    /// The cursor of the next event.
    pub(crate) next_event: u64,
    /// The next ticket.
    pub(crate) next_ticket: u64,
    /// What Node workers of an app must be told alike.
    pub(crate) keys: BTreeMap<AppName, KeyData>,
    /// Ports chosen for listeners on port 0.
    pub(crate) ports: ChosenPorts,
}

/// The same as it is written, with nearly every event: nothing is copied for it.
#[derive(Debug, Serialize)]
pub(crate) struct Saving<'a> {
    pub(crate) version: u32,
    pub(crate) written_at: u64,
    pub(crate) fleet: &'a Fleet,
    pub(crate) workers: BTreeMap<WorkerId, &'a WorkerRecord>,
    pub(crate) next_event: u64,
    pub(crate) next_ticket: u64,
    pub(crate) keys: &'a BTreeMap<AppName, KeyData>,
    pub(crate) ports: &'a ChosenPorts,
}

/// What the engine must remember of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkerRecord {
    /// When it was started, milliseconds since the epoch.
    pub(crate) started_at: u64,
    /// Where its error log ended then.
    #[serde(default)]
    pub(crate) error_mark: Mark,
    /// Addresses it listens on.
    pub(crate) listening: Vec<String>,
    /// What it offers over its channel.
    #[serde(default)]
    pub(crate) offers: Offers,
    /// Its app's version when it was started; absent in states of older versions.
    #[serde(default)]
    pub(crate) version: Option<String>,
    /// Addresses it asked for over its channel: that it listens there proves nothing yet.
    #[serde(default)]
    pub(crate) asked: BTreeSet<String>,
    /// Where its front reaches it, by the address that it serves.
    #[serde(default)]
    pub(crate) private: BTreeMap<SocketAddr, SocketAddr>,
    /// Which of its limits it does not have.
    #[serde(default)]
    pub(crate) unenforced: Option<UnenforcedView>,
    /// What it was started with; absent in states of older versions.
    #[serde(default)]
    pub(crate) stamp: Option<Stamp>,
    /// What it cannot do any more.
    #[serde(default)]
    pub(crate) lost: Option<Lost>,
}

/// How the last workers of each instance ended, newest first.
pub(crate) type Exits = BTreeMap<InstanceId, Vec<ExitView>>;

/// The label of a spawn: enough to know a worker by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Label {
    /// Its app.
    pub(crate) app: AppName,
    /// Its instance.
    pub(crate) instance: InstanceId,
    /// Its slot.
    pub(crate) slot: u32,
}

/// The held name of an app's spec.
pub(crate) fn spec_name(app: &AppName) -> String {
    format!("{SPEC}{app}")
}

/// Any of the above as a sealed memory file.
pub(crate) fn seal<T: Serialize>(value: &T) -> io::Result<OwnedFd> {
    rpm_unix::memfd::seal(&serde_json::to_vec(value)?)
}

/// The bytes of such a file.
pub(crate) fn bytes(file: &OwnedFd) -> io::Result<Vec<u8>> {
    rpm_unix::memfd::read(file, MAX_BYTES)
}

/// The content of such a file.
pub(crate) fn open<T: DeserializeOwned>(file: &OwnedFd) -> io::Result<T> {
    Ok(serde_json::from_slice(&bytes(file)?)?)
}

/// A spec from its held file.
pub(crate) fn open_spec(file: &OwnedFd) -> io::Result<AppSpec> {
    open(file)
}

/// The state from its held file; a state of a version this program cannot read is an error.
pub(crate) fn open_state(file: &OwnedFd) -> io::Result<Saved> {
    let saved: Saved = open(file)?;
    let known = saved.version == VERSION;
    known.then_some(saved).ok_or_else(|| io::Error::other("state of an unknown version"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_successor_reads_what_was_written() {
        let fleet = fixture::fleet(&[&fixture::spec("api")]);
        let record = WorkerRecord {
            started_at: 5,
            error_mark: Mark::default(),
            listening: vec!["x".into()],
            offers: Offers::default(),
            version: Some("1.2.3".into()),
            asked: BTreeSet::new(),
            private: BTreeMap::from([(
                "0.0.0.0:80".parse().unwrap(),
                "127.0.0.1:40000".parse().unwrap(),
            )]),
            unenforced: Some(UnenforcedView { limits: vec!["cpu".into()], why: "so".into() }),
            stamp: None,
            lost: Some(Lost::Binds),
        };
        let (keys, ports) = (BTreeMap::new(), BTreeMap::new());
        let saving = Saving {
            written_at: 7,
            version: VERSION,
            fleet: &fleet,
            workers: BTreeMap::from([(WorkerId(1), &record)]),
            next_event: 7,
            next_ticket: 8,
            keys: &keys,
            ports: &ports,
        };
        let saved = open_state(&seal(&saving).unwrap()).unwrap();
        let workers = BTreeMap::from([(WorkerId(1), record.clone())]);
        let (version, next_event, next_ticket) = (VERSION, 7, 8);
        let fleet = fleet.clone();
        let expected = Saved {
            written_at: 7,
            version,
            fleet,
            workers,
            next_event,
            next_ticket,
            keys: keys.clone(),
            ports: ports.clone(),
        };
        assert_eq!(saved, expected);
    }

    #[test]
    fn a_state_of_another_version_is_refused() {
        let fd = seal(&serde_json::json!({ "version": 2 })).unwrap();
        assert!(open_state(&fd).is_err());
    }
}

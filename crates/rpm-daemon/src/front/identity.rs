//! By what a front is known again: its id and label at the keeper, its entry in the ledger.

use super::addresses;
use rpm_config::{AppName, AppSpec, Proxy};
use rpm_keeper::{ChildId, Owner};
use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt, sync::Arc};

/// What tells a front's id from those of workers, which count up from 0.
pub(super) const MARK: u64 = 1 << 63;

/// A front as the ledger has it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct FrontEntry {
    pub(crate) app: AppName,
    pub(crate) child: u64,
    pub(crate) pid: i32,
    pub(crate) start_time: u64,
    /// As in its label.
    #[serde(default)]
    pub(crate) listen: Vec<SocketAddr>,
}

impl FrontEntry {
    /// As given at its spawn.
    pub(crate) fn label(&self) -> Vec<u8> {
        label(&self.app, self.listen.clone())
    }
}

/// The label of a front's spawn.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Label {
    pub(super) front: AppName,
    /// Where it accepts for workers that share ports, in the order of its sockets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) listen: Vec<SocketAddr>,
}

/// Whether a child of the keeper is a front.
pub(crate) fn is_front(child: ChildId) -> bool {
    child.0 & MARK != 0
}

/// In whose name the keeper holds a front's sockets: the app's, but of no slot that an instance can
/// have.
pub(crate) fn owner(app: &AppName) -> Owner {
    Owner::front(app.as_str())
}

/// Where a front accepts for workers that share ports: what its label says beside its app.
pub(super) fn shared_addresses(spec: Option<&Arc<AppSpec>>, proxy: &Proxy) -> Vec<SocketAddr> {
    match spec.is_some_and(|spec| spec.proxy.is_some()) {
        true => Vec::new(),
        false => addresses::of(proxy),
    }
}

/// What tells a later daemon whose front it is.
pub(super) fn label(app: &AppName, listen: Vec<SocketAddr>) -> Vec<u8> {
    // A name of at most 128 bytes and some addresses always have a JSON form.
    serde_json::to_vec(&Label { front: app.clone(), listen }).unwrap_or_default()
}

/// Whether a process runs another program than we do: a front that is older than an update. False
/// where that cannot be told.
pub(super) fn is_of_another_program(pid: i32) -> bool {
    let program = |of: &str| {
        let found = fs::metadata(format!("/proc/{of}/exe")).ok()?;
        Some((found.dev(), found.ino()))
    };
    let theirs = program(&pid.to_string());
    theirs.is_some() && theirs != program("self")
}

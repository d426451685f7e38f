//! Files that tell pids, for scripts of users. Nothing of rpm reads them.

use crate::{engine::Engine, store::Label};
use rpm_config::AppSpec;
use rpm_supervisor::InstanceId;
use rpm_unix::home::Home;
use std::{
    fmt::Display,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// PM2's name: `pids/NAME-ID.pid`, or what the app says.
pub(crate) fn path(home: &Home, spec: &AppSpec, instance: InstanceId, slot: u32) -> PathBuf {
    rpm_config::pid_path(spec, &home.pids(), instance.0, slot)
}

/// Writes a pid for the owner to read, whatever the umask is.
pub(crate) fn write(path: &Path, pid: impl Display) -> io::Result<()> {
    let mut options = fs::File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    write!(file, "{pid}")
}

/// Writes a pid where the app's owner wants it, for readers of their own. What is there goes first:
/// a link that others planted leads nowhere then.
fn write_outside(path: &Path, pid: impl Display) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::File::options().write(true).create_new(true).mode(0o644).open(path)?;
    write!(file, "{pid}")
}

/// Removes the file, unless a replacement's pid is in it by now.
pub(crate) fn remove(path: &Path, pid: i32) {
    let ours = fs::read_to_string(path).is_ok_and(|text| text == pid.to_string());
    if ours
        && let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("{} not removed, ignoring: {error}", path.display());
    }
}

impl Engine {
    /// Where the pid of this worker's leader is told.
    pub(crate) fn pid_file_of(&self, label: &Label) -> Option<PathBuf> {
        let spec = self.specs.get(&label.app)?;
        Some(path(&self.home, spec, label.instance, label.slot))
    }

    /// Writes a worker's pid; that it cannot be written is no trouble of the app.
    pub(crate) fn write_pid_file(&self, label: &Label, pid: i32) {
        let Some(spec) = self.specs.get(&label.app) else { return };
        let path = path(&self.home, spec, label.instance, label.slot);
        let is_outside = spec.pid_file.is_some();
        let written = if is_outside { write_outside(&path, pid) } else { write(&path, pid) };
        if let Err(error) = written {
            tracing::warn!("{} not written, ignoring: {error}", path.display());
        }
    }

    /// An app is described otherwise: what runs of it is told where `spec` says.
    pub(crate) fn move_pid_files(&self, former: &AppSpec, spec: &AppSpec) {
        if former.pid_file == spec.pid_file {
            return;
        }
        for (_, worker) in self.workers.iter().filter(|(_, one)| one.label.app == spec.name) {
            let Some(process) = worker.process.as_ref().filter(|one| !one.exited) else { continue };
            let Label { instance, slot, .. } = worker.label;
            remove(&path(&self.home, former, instance, slot), process.leader.pid);
            self.write_pid_file(&worker.label, process.leader.pid);
        }
    }
}

//! Pid files below `RPM_HOME/pids`, for scripts of users. Nothing of rpm reads them.

use crate::{engine::Engine, store::Label};
use rpm_config::AppName;
use rpm_supervisor::InstanceId;
use rpm_unix::home::Home;
use std::{
    fmt::Display,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// PM2's name: `pids/NAME-ID.pid`.
pub(crate) fn path(home: &Home, app: &AppName, instance: InstanceId) -> PathBuf {
    home.pids().join(format!("{}-{instance}.pid", app.file_stem()))
}

/// Writes a pid for the owner to read, whatever the umask is.
pub(crate) fn write(path: &Path, pid: impl Display) -> io::Result<()> {
    let mut options = fs::File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    write!(file, "{pid}")
}

impl Engine {
    /// Writes a worker's pid; that it cannot be written is no trouble of the app.
    pub(crate) fn write_pid_file(&self, label: &Label, pid: i32) {
        let path = path(&self.home, &label.app, label.instance);
        if let Err(error) = write(&path, pid) {
            tracing::warn!("{} not written, ignoring: {error}", path.display());
        }
    }

    /// Removes the file, unless a replacement's pid is in it by now.
    pub(crate) fn remove_pid_file(&self, label: &Label, pid: i32) {
        let path = path(&self.home, &label.app, label.instance);
        let ours = fs::read_to_string(&path).is_ok_and(|text| text == pid.to_string());
        if ours
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{} not removed, ignoring: {error}", path.display());
        }
    }
}

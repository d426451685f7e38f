//! A directory that plays a machine: programs in PATH, and an app's directory. For tests only.

use crate::{AppOptions, AppSpec, Context, resolve};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Removed when dropped.
pub(crate) struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    /// A machine with the empty directories `bin`, which is its PATH, and `app`.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        fs::create_dir(root.path().join("app")).unwrap();
        Self { root }
    }

    /// The app's directory.
    pub(crate) fn app(&self) -> PathBuf {
        self.root.path().join("app")
    }

    /// The directory in PATH.
    pub(crate) fn bin(&self) -> PathBuf {
        self.root.path().join("bin")
    }

    /// Adds an executable of bytes to PATH.
    pub(crate) fn program(self, name: &str) -> Self {
        write(&self.bin().join(name), b"\x7fELF\0", 0o755);
        self
    }

    /// Adds a file to the app's directory.
    pub(crate) fn file(self, name: &str, bytes: &[u8], mode: u32) -> Self {
        write(&self.app().join(name), bytes, mode);
        self
    }

    /// Four CPUs, the caller in the app's directory.
    pub(crate) fn context(&self) -> Context {
        let path = self.bin().to_str().unwrap().to_owned();
        Context {
            cwd: self.app(),
            home: Some("/home/ann".into()),
            environment: BTreeMap::from([("PATH".into(), path), ("LANG".into(), "C".into())]),
            env_name: None,
            cpus: 4,
            executable: "/opt/rpm".into(),
        }
    }

    /// What `options` become; they must be right.
    pub(crate) fn spec(&self, options: &AppOptions) -> AppSpec {
        resolve(options, &self.context()).unwrap().spec
    }

    /// What is wrong with `options`: text and hint, with the machine's directory as `/m`.
    pub(crate) fn error(&self, options: &AppOptions) -> (String, Option<String>) {
        let error = resolve(options, &self.context()).unwrap_err();
        (self.plain(&error.to_string()), error.hint().map(|hint| self.plain(&hint)))
    }

    /// `text` with the machine's directory as `/m`.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(self.root.path().to_str().unwrap(), "/m")
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

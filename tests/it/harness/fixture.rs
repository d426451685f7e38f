//! The small programs under `tests/fixtures`, and what is made of them under `tests/.cache`.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fixture's own path.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let path = repository().join("tests/fixtures").join(name);
    assert!(path.exists(), "no fixture {}", path.display());
    path
}

/// Where downloaded and compiled things are kept; not under version control.
pub(crate) fn cache() -> PathBuf {
    let path = repository().join("tests/.cache");
    fs::create_dir_all(&path).expect("tests/.cache");
    path
}

/// `node_modules` with Express in it.
pub(crate) fn node_modules() -> PathBuf {
    let path = cache().join("node/node_modules");
    assert!(path.join("express").exists(), "Express is missing: run scripts/test once");
    path
}

/// A program of the Python packages in tests/python/requirements.txt.
pub(crate) fn venv(program: &str) -> PathBuf {
    let path = cache().join("venv/bin").join(program);
    assert!(path.exists(), "{} is missing: run scripts/test once", path.display());
    path
}

/// The native server, compiled once.
pub(crate) fn compiled() -> PathBuf {
    let (source, binary) = (fixture("c/server.c"), cache().join("server"));
    let lock = File::create(cache().join("compile.lock")).expect("compile.lock");
    flock(&lock, FlockOperation::LockExclusive).expect("flock");
    if !is_newer(&binary, &source) {
        let fresh = cache().join("server.new");
        compile(&source, &fresh);
        // By rename: another test may be executing the old one, which cannot be written then.
        fs::rename(&fresh, &binary).expect("rename");
    }
    binary
}

fn is_newer(target: &Path, source: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
    changed(target).is_some_and(|target| Some(target) >= changed(source))
}

fn compile(source: &Path, target: &Path) {
    let status = Command::new("gcc").args(["-O1", "-o"]).arg(target).arg(source).status();
    assert!(status.expect("gcc is missing: run scripts/test once").success(), "gcc failed");
}

/// Copies a fixture, a file or a folder, to `target`.
pub(crate) fn copy(source: &Path, target: &Path) {
    if source.is_file() {
        fs::copy(source, target).expect("copy");
        return;
    }
    fs::create_dir_all(target).expect("create");
    for entry in fs::read_dir(source).expect("read") {
        let entry = entry.expect("entry");
        copy(&entry.path(), &target.join(entry.file_name()));
    }
}

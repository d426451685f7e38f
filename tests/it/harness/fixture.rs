//! The small programs under `tests/fixtures`, and what is made of them under `tests/.cache`.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

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
    made("server", "c/server.c", |source, target| {
        Command::new("gcc").args(["-O1", "-o"]).arg(target).arg(source).status()
    })
}

/// A static 32-bit server, whose bind rpm cannot see; it needs no C library.
pub(crate) fn compiled_i386() -> PathBuf {
    made("i386", "c/i386.c", |source, target| {
        let flags = "-m32 -O1 -static -no-pie -fno-pie -nostdlib -ffreestanding";
        let flags = flags.split(' ').chain(["-fno-stack-protector", "-o"]);
        Command::new("gcc").args(flags).arg(target).arg(source).status()
    })
}

/// What a program makes of a fixture, kept in the cache until the fixture is newer. `make` gets the
/// fixture's path and that of the file or folder to make.
pub(crate) fn made(
    name: &str,
    source: &str,
    make: impl FnOnce(&Path, &Path) -> io::Result<ExitStatus>,
) -> PathBuf {
    let (source, target) = (fixture(source), cache().join(name));
    let lock = File::create(cache().join(format!("{name}.lock"))).expect("a lock");
    flock(&lock, FlockOperation::LockExclusive).expect("flock");
    if !is_newer(&target, &source) {
        let fresh = cache().join(format!("{name}.new"));
        let status = make(&source, &fresh).expect("something is missing: run scripts/test once");
        assert!(status.success(), "{name} cannot be made of {}", source.display());
        if target.is_dir() {
            fs::remove_dir_all(&target).expect("remove");
        }
        // By rename: another test may be executing the old one, which cannot be written then.
        fs::rename(&fresh, &target).expect("rename");
    }
    target
}

fn is_newer(target: &Path, source: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
    changed(target).is_some_and(|target| Some(target) >= changed(source))
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

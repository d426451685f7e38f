//! Files that are either the old ones or the new ones, also after a crash.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Replaces a file (0600) by these bytes: a temporary file beside it is written, synced and renamed
/// over it, and the directory synced. Two writers of one path must not be in one process at a time.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_name(path)?;
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one to tell; a left-over file harms nobody.
        let _ignored = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(path)
}

/// Removes temporary files beside `path` that writers left who were killed in the middle of
/// [`write()`]. Those of living processes stay: they may be writing.
pub fn sweep(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    for entry in fs::read_dir(directory_of(path))?.flatten() {
        let found = entry.file_name();
        let left = found.to_str().and_then(|found| found.strip_prefix('.')?.strip_prefix(&*name));
        let writer = left.and_then(|left| left.rsplit_once('.')?.1.parse::<u32>().ok());
        if writer.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dump");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_killed_writers_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dump");
        let own = format!(".dump.{}", std::process::id());
        let gone = format!(".dump.{}", u32::MAX);
        for name in ["dump", &own, &gone, ".dump.note", ".other.4294967295"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        sweep(&path).unwrap();
        assert!(!directory.path().join(gone).exists());
        assert!(directory.path().join(own).exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_failed_write_leaves_the_old_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dump");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"one").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

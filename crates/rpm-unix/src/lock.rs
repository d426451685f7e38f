//! Locks on files (flock): held as long as any duplicate of the description is open, in any
//! process.

use std::{
    fs::{File, TryLockError},
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::Path,
};

/// Takes the lock of this file, which is made (0600) if missing; `None` if another description has
/// it. The lock ends when the last duplicate of the descriptor is closed; it closes at exec.
pub fn try_lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file.into())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// As [`try_lock`], waiting for whoever has it.
pub fn lock(path: &Path) -> io::Result<OwnedFd> {
    let file = open(path)?;
    file.lock()?;
    Ok(file.into())
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_keeps_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = try_lock(&path).unwrap().unwrap();
        let duplicate = first.try_clone().unwrap();
        drop(first);
        assert!(try_lock(&path).unwrap().is_none());
        drop(duplicate);
        assert!(try_lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_blocking_lock_is_taken_and_excludes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let _held = lock(&path).unwrap();
        assert!(try_lock(&path).unwrap().is_none());
    }
}

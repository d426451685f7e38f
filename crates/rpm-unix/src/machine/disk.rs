//! How full a file system is.

use nix::sys::statvfs::statvfs;
use std::{io, path::Path};

/// What is left on a file system for a user without privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Bytes it has altogether.
    pub all_bytes: u64,
    /// Files that can still be made; `None` where they are not counted.
    pub free_files: Option<u64>,
}

/// The file system on which `path`, which exists, is.
pub fn disk(path: &Path) -> io::Result<Disk> {
    let found = statvfs(path)?;
    let fragment = found.fragment_size();
    Ok(Disk {
        free_bytes: found.blocks_available().saturating_mul(fragment),
        all_bytes: found.blocks().saturating_mul(fragment),
        free_files: (found.files() > 0).then(|| found.files_available()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_less_free_than_it_has() {
        let found = disk(Path::new("/")).unwrap();
        assert!(found.free_bytes <= found.all_bytes && found.all_bytes > 0);
        assert!(disk(Path::new("/nowhere")).is_err());
    }
}

//! Compresses rotated files on one thread of the lowest priority, one file at a time.
//!
//! A file that waits is known by its name alone: what a killed daemon did not come to, its
//! successor finds when it next opens the log.

use super::{keep::UNFINISHED, name::Packing};
use flate2::{Compression, write::GzEncoder};
use std::{
    ffi::OsString,
    fs::{self, File, FileTimes, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

/// Files that may wait; those beyond wait for the next opening of their log.
const MAX_WAITING: usize = 1024;
/// Bytes read at once.
const BLOCK_BYTES: usize = 64 << 10;

/// Compresses the file at `path` some time from now.
pub(crate) fn later(path: PathBuf) {
    static QUEUE: OnceLock<Option<SyncSender<PathBuf>>> = OnceLock::new();
    if let Some(queue) = QUEUE.get_or_init(start) {
        // A full queue: the file stays plain for now.
        let _full = queue.try_send(path);
    }
}

fn start() -> Option<SyncSender<PathBuf>> {
    let (sender, waiting) = sync_channel::<PathBuf>(MAX_WAITING);
    let run = move || {
        // Where the system refuses, it compresses at our own priority.
        let _refused = rpm_unix::process::lower_priority();
        for path in waiting {
            // Gone by retention meanwhile, or a full disk: the plain file is as good.
            let _plain = compress(&path);
        }
    };
    thread::Builder::new().name("log-compress".to_owned()).spawn(run).ok()?;
    Some(sender)
}

/// Replaces the file by its compressed copy, which is as old.
fn compress(path: &Path) -> io::Result<()> {
    let source = crate::open::open_for_reading(path)?;
    let metadata = source.metadata()?;
    let (Some(name), Some(directory)) = (path.file_name(), path.parent()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut packed = name.to_owned();
    packed.push(".");
    packed.push(Packing::Gzip.extension());
    let mut unfinished = OsString::from(".");
    unfinished.push(&packed);
    unfinished.push(UNFINISHED);
    let unfinished = directory.join(unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(metadata.mode() & 0o777);
    let done = options.open(&unfinished).and_then(|target| {
        let target = copy(&source, target)?;
        let times = FileTimes::new().set_modified(metadata.modified()?);
        target.set_times(times)?;
        // Gone meanwhile: its copy must not come back.
        fs::symlink_metadata(path)?;
        fs::rename(&unfinished, directory.join(packed))
    });
    match done {
        Ok(()) => fs::remove_file(path),
        Err(error) => {
            let _gone = fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

fn copy(source: &File, target: File) -> io::Result<File> {
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(&mut BufReader::with_capacity(BLOCK_BYTES, source), &mut encoder)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn the_copy_has_the_content_the_age_and_the_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log.2026-11-21_11-09-06.000");
        let text = "line\n".repeat(100_000);
        fs::write(&path, &text).unwrap();
        let before = path.metadata().unwrap();
        compress(&path).unwrap();
        assert!(!path.exists());
        let packed = directory.path().join("a.log.2026-11-21_11-09-06.000.gz");
        let after = packed.metadata().unwrap();
        assert_eq!(after.modified().unwrap(), before.modified().unwrap());
        assert_eq!(after.mode(), before.mode());
        assert!(after.len() < before.len() / 50);
        let mut found = String::new();
        GzDecoder::new(File::open(packed).unwrap()).read_to_string(&mut found).unwrap();
        assert!(found == text);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        compress(&path).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

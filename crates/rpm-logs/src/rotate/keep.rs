//! Which rotated files of a log there are, and which have to go.

use super::name::{Packing, Rotated};
use crate::times;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Behind the name of a file that is being compressed, which also begins with a dot.
pub(crate) const UNFINISHED: &str = ".tmp";

/// One rotated file.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) rotated: Rotated,
    pub(crate) path: PathBuf,
    /// On the disk.
    pub(crate) bytes: u64,
}

/// The rotated files of the log at `log`, oldest first.
pub(crate) fn all(log: &Path) -> io::Result<Vec<Kept>> {
    let (Some(name), Some(directory)) = (log.file_name().and_then(|n| n.to_str()), log.parent())
    else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.file_name();
        let Some(rotated) = found.to_str().and_then(|found| Rotated::parse(name, found)) else {
            continue;
        };
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            all.push(Kept { rotated, path: entry.path(), bytes: metadata.len() });
        }
    }
    sort(&mut all);
    Ok(all)
}

/// The oldest first.
pub(crate) fn sort(all: &mut [Kept]) {
    all.sort_by(|one, other| one.rotated.cmp(&other.rotated));
}

/// Removes what a daemon that was killed while compressing left: the unfinished file, or the plain
/// one beside its finished copy.
pub(crate) fn tidy(log: &Path, all: &mut Vec<Kept>) {
    let packed: Vec<Rotated> = all
        .iter()
        .filter(|kept| kept.rotated.packing.is_some())
        .map(|k| k.rotated.clone())
        .collect();
    all.retain(|kept| {
        let copied = kept.rotated.packing.is_none()
            && packed.iter().any(|packed| packed.is_same_rotation(&kept.rotated));
        !copied || fs::remove_file(&kept.path).is_err()
    });
    let (Some(name), Some(directory)) = (log.file_name().and_then(|n| n.to_str()), log.parent())
    else {
        return;
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let found = entry.file_name();
        let inner =
            found.to_str().and_then(|found| found.strip_prefix('.')?.strip_suffix(UNFINISHED));
        if inner.is_some_and(|inner| Rotated::parse(name, inner).is_some()) {
            let _gone = fs::remove_file(entry.path());
        }
    }
}

/// Removes the oldest until no more than `allowed` are left.
pub(crate) fn leave(allowed: u32, all: &mut Vec<Kept>) {
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    let surplus = all.len().saturating_sub(allowed);
    all.drain(..surplus).for_each(|kept| remove(&kept.path));
}

/// Removes a rotated file, also if it was compressed since it was seen.
pub(crate) fn remove_seen(path: &Path) {
    let mut packed = path.as_os_str().to_owned();
    packed.push(".");
    packed.push(Packing::Gzip.extension());
    let _gone = fs::remove_file(packed);
    remove(path);
}

/// Removes a file with its index. One that is gone already is as good.
pub(crate) fn remove(path: &Path) {
    let _gone = fs::remove_file(path);
    if let Some(index) = times::path_of(path) {
        let _gone = fs::remove_file(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(directory: &Path, names: &[&str]) {
        names.iter().for_each(|name| fs::write(directory.join(name), [0; 100]).unwrap());
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_the_oldest_of_this_log_go() {
        let directory = tempfile::tempdir().unwrap();
        let others = [
            "a-b-out.log",
            "a-b-out.log.2026-11-21_11-09-06.000",
            "aa-out.log.2026-11-21_11-09-06.000",
            "out.log.2026-11-21_11-09-06.000",
            "a-out.log.old",
            "a-out.log",
        ];
        make(directory.path(), &others);
        make(
            directory.path(),
            &[
                "a-out.log.2026-11-21_11-09-06.000.gz",
                ".a-out.log.2026-11-21_11-09-06.000.times",
                "a-out.log.2026-11-21_11-09-06.001",
                "a-out.log.2026-11-21_11-09-07.000",
            ],
        );
        let log = directory.path().join("a-out.log");
        let mut found = all(&log).unwrap();
        leave(2, &mut found);
        let mut want: Vec<&str> = [
            &others[..],
            &["a-out.log.2026-11-21_11-09-06.001", "a-out.log.2026-11-21_11-09-07.000"],
        ]
        .concat();
        want.sort_unstable();
        assert_eq!(names(directory.path()), want);
        let mut found = all(&log).unwrap();
        leave(0, &mut found);
        assert_eq!(names(directory.path()).len(), others.len());
    }

    #[test]
    fn what_a_killed_compression_left_is_tidied() {
        let directory = tempfile::tempdir().unwrap();
        make(
            directory.path(),
            &[
                "a.log.2026-11-21_11-09-06.000",
                "a.log.2026-11-21_11-09-06.000.gz",
                "a.log.2026-11-21_11-09-06.001",
                ".a.log.2026-11-21_11-09-06.001.gz.tmp",
                ".b.log.2026-11-21_11-09-06.001.gz.tmp",
            ],
        );
        let log = directory.path().join("a.log");
        let mut found = all(&log).unwrap();
        tidy(&log, &mut found);
        assert_eq!(found.len(), 2);
        let want = [
            ".b.log.2026-11-21_11-09-06.001.gz.tmp",
            "a.log.2026-11-21_11-09-06.000.gz",
            "a.log.2026-11-21_11-09-06.001",
        ];
        assert_eq!(names(directory.path()), want);
    }
}

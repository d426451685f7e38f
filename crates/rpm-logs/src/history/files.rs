//! Which files were rotated away from a log, and how they are read.

use super::modified;
use crate::{
    growing::{is_same, name_of},
    rotate::name::Rotated as Name,
};
use flate2::read::MultiGzDecoder;
use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A file that was rotated away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rotated {
    /// Its last change, in milliseconds since the epoch: that of its last line.
    pub(super) modified: u64,
    pub(super) path: PathBuf,
}

impl Rotated {
    /// `None`: gone by retention meanwhile.
    pub(super) fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Whether it is this file.
    fn is(&self, metadata: Option<&Metadata>) -> bool {
        let found = self.path.metadata();
        found.is_ok_and(|found| metadata.is_some_and(|metadata| is_same(&found, metadata)))
    }

    pub(super) fn is_compressed(&self) -> bool {
        is_compressed(&self.path)
    }
}

/// Whether a file must be unpacked.
pub(crate) fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "gz" || end == "zst")
}

/// The bytes a compressed file was made of.
pub(crate) fn unpacked(path: &Path, file: File) -> io::Result<Box<dyn Read + Send>> {
    if path.extension().is_some_and(|end| end == "gz") {
        return Ok(Box::new(MultiGzDecoder::new(file)));
    }
    let message = format!("{}: this program has no reader for it", path.display());
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// Files that were rotated away before the one that is open as `current`, oldest first.
pub(super) fn older(log: &Path, current: Option<&Metadata>) -> io::Result<Vec<Rotated>> {
    let mut all = all(log)?;
    // It may have been rotated away since it was opened, and others after it.
    if let Some(position) = all.iter().position(|rotated| rotated.is(current)) {
        all.truncate(position);
    }
    Ok(all)
}

/// The files that were rotated away from a log, oldest first.
///
/// # Errors
/// Those of reading its directory.
pub fn rotated(log: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(all(log)?.into_iter().map(|rotated| rotated.path).collect())
}

/// The files that were at `log` after `old` and before `new`, oldest first.
pub(crate) fn between(log: &Path, old: &File, new: Option<&Metadata>) -> io::Result<Vec<PathBuf>> {
    let metadata = old.metadata()?;
    let mut all = older(log, new)?;
    let place = all.iter().position(|rotated| rotated.is(Some(&metadata)));
    let place = place.or_else(|| {
        // It was compressed, which keeps its name but for the end.
        let name = name_of(old)?.display().to_string();
        let name = name.strip_suffix(" (deleted)")?.to_owned();
        all.iter().position(|rotated| {
            rotated.is_compressed() && rotated.path.with_extension("") == Path::new(&name)
        })
    });
    match place {
        Some(place) => drop(all.drain(..=place)),
        // It is gone altogether, and so are all before it.
        None => all.retain(|rotated| rotated.modified > modified(&metadata)),
    }
    Ok(all.into_iter().map(|rotated| rotated.path).collect())
}

/// The same with their times. What rpm rotated is ordered by name, and comes after what others did,
/// which is ordered by time.
fn all(log: &Path) -> io::Result<Vec<Rotated>> {
    let (Some(name), Some(directory)) = (log.file_name(), log.parent()) else {
        return Ok(Vec::new());
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry?;
        let found = entry.file_name();
        let Ok(metadata) = entry.metadata() else { continue };
        let rotated = Rotated { modified: modified(&metadata), path: entry.path() };
        let named = name.to_str().zip(found.to_str());
        if let Some(parsed) = named.and_then(|(name, found)| Name::parse(name, found)) {
            ours.push((parsed, rotated));
        } else if metadata.is_file() && is_rotated(name, &found) {
            others.push(rotated);
        }
    }
    others.sort();
    // While it is compressed a file is there twice, the plain one first.
    ours.sort();
    ours.dedup_by(|later, earlier| later.0.is_same_rotation(&earlier.0));
    others.extend(ours.into_iter().map(|(_, rotated)| rotated));
    Ok(others)
}

/// Whether `name` is that of a file rotated away from `log` by others, as logrotate does: `LOG.`
/// and what begins with a digit.
fn is_rotated(log: &OsStr, name: &OsStr) -> bool {
    let rest = name.as_bytes().strip_prefix(log.as_bytes());
    let rest = rest.and_then(|rest| rest.strip_prefix(b"."));
    rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

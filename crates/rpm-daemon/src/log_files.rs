//! Which files an app logs to, and one open description of each, shared by all that write to it and
//! held by the keeper across daemons.

use crate::{keeper_link::KeeperLink, store};
use rpm_config::AppSpec;
use rpm_keeper::Request;
use rpm_logs::{
    history::{History, Query},
    sink::LogFile,
    tail::{Tail, tail_bytes_from},
};
use rpm_supervisor::InstanceId;
use rpm_unix::home::Home;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

/// Bytes kept of each of a worker's last lines: fifty of them, of five workers of each instance,
/// are in the daemon's memory.
const MAX_KEPT_LINE: usize = 1024;

/// The paths of an instance's two streams; `None`: nothing is kept.
pub(crate) fn paths(
    home: &Home,
    spec: &AppSpec,
    instance: InstanceId,
    slot: u32,
) -> (Option<PathBuf>, Option<PathBuf>) {
    rpm_config::log_paths(spec, &home.logs(), instance.0, slot)
}

/// Where a log ended when a worker started: what it wrote stands behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The file's inode; 0 where there was none.
    file: u64,
    /// Its length.
    offset: u64,
}

impl Mark {
    /// The end of a log; one that is missing is empty.
    pub(crate) fn end_of(path: &Path) -> Self {
        let metadata = fs::metadata(path);
        metadata.map_or_else(|_| Self::default(), |f| Self { file: f.ino(), offset: f.len() })
    }

    /// The last lines, at most `limit`, that were written to the log since, which was at `at`.
    pub(crate) fn lines_since(self, path: &Path, at: u64, limit: usize) -> Vec<String> {
        let now = fs::metadata(path).map_or(0, |found| found.ino());
        let lines = if self.file == 0 || self.file == now {
            tail_bytes_from(path, self.offset, limit).map(Tail::into_lines)
        } else {
            // Rotated meanwhile: what it wrote may stand in two files.
            rotated_lines_since(path, at, limit)
        };
        lines.unwrap_or_default().iter().map(|line| shown(line)).collect()
    }
}

fn rotated_lines_since(path: &Path, at: u64, limit: usize) -> io::Result<Vec<Vec<u8>>> {
    let lines = Some(limit);
    let query = Query { lines, since: Some(at), unfinished: true, ..Query::default() };
    let mut history = History::open(path, query)?;
    std::iter::from_fn(|| history.next_line().transpose())
        .map(|line| line.map(|line| line.text))
        .collect()
}

/// A line as it is kept in memory.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.get(..MAX_KEPT_LINE).unwrap_or(line));
    if line.len() > MAX_KEPT_LINE { format!("{text}…") } else { text.into_owned() }
}

/// Empties a log: the file in place, whose writer notices and goes on at the new end, and what was
/// rotated away from it is removed.
pub(crate) fn empty(path: &Path) -> io::Result<()> {
    for rotated in rpm_logs::history::rotated(path)? {
        fs::remove_file(&rotated)?;
        if let Some(times) = rpm_logs::times::path_of(&rotated) {
            // It may have none.
            let _none = fs::remove_file(times);
        }
    }
    let file = fs::File::options().write(true).open(path)?;
    // A device cannot be emptied, and need not be.
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// The two files of an instance.
pub(crate) type Sinks = [Option<Arc<LogFile>>; 2];

/// All open log files, by path.
#[derive(Default)]
pub(crate) struct LogFiles {
    /// A predecessor's descriptions that were not asked for yet.
    held: BTreeMap<String, OwnedFd>,
    open: BTreeMap<PathBuf, Weak<LogFile>>,
}

impl LogFiles {
    /// Takes over a predecessor's descriptions.
    pub(crate) fn adopt(held: BTreeMap<String, OwnedFd>) -> Self {
        Self { held, open: BTreeMap::new() }
    }

    /// The files of an instance, opened where they are not. A file that cannot be opened is told in
    /// the daemon's log and its stream is thrown away: the app must run.
    pub(crate) fn open(
        &mut self,
        (out, error): (Option<PathBuf>, Option<PathBuf>),
        keeper: &mut KeeperLink,
    ) -> Sinks {
        [out, error].map(|path| self.file(path?, keeper))
    }

    fn file(&mut self, path: PathBuf, keeper: &mut KeeperLink) -> Option<Arc<LogFile>> {
        if let Some(open) = self.open.get(&path).and_then(Weak::upgrade) {
            return Some(open);
        }
        match self.open_or_adopt(&path, keeper) {
            Ok(file) => {
                let file = Arc::new(file);
                self.open.insert(path, Arc::downgrade(&file));
                Some(file)
            }
            Err(error) => {
                tracing::error!("{} cannot be written: {error}", path.display());
                None
            }
        }
    }

    fn open_or_adopt(&mut self, path: &Path, keeper: &mut KeeperLink) -> io::Result<LogFile> {
        let name = path.display().to_string();
        if let Some(fd) = self.held.remove(&name) {
            return LogFile::adopt(fd, path);
        }
        let file = LogFile::open(path)?;
        let fd = file.description()?;
        keeper.send(Request::Hold { name: format!("{}{name}", store::LOG), fd });
        Ok(file)
    }

    /// Somebody is about to read the files: what is in memory of their time indexes is written.
    pub(crate) fn flush_times(&self) {
        self.open.values().filter_map(Weak::upgrade).for_each(|file| file.flush_times());
    }

    /// Gives up the descriptions nobody writes to any more.
    pub(crate) fn release_unused(&mut self, keeper: &mut KeeperLink) {
        self.open.retain(|path, file| {
            let used = file.strong_count() > 0;
            if !used {
                keeper.send(Request::Drop { name: format!("{}{}", store::LOG, path.display()) });
            }
            used
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_lines_are_found_behind_its_mark_also_after_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let none = Mark::end_of(&path);
        fs::write(&path, "of another\n").unwrap();
        let mark = Mark::end_of(&path);
        fs::write(&path, "of another\none\ntw").unwrap();
        assert_eq!(mark.lines_since(&path, 0, 50), ["one", "tw"]);
        assert_eq!(mark.lines_since(&path, 0, 1), ["tw"]);
        assert_eq!(none.lines_since(&path, 0, 50), ["of another", "one", "tw"]);
        fs::rename(&path, directory.path().join("a.log.2026-11-21_10-00-00.000")).unwrap();
        fs::write(&path, "o\nthree\n").unwrap();
        assert_eq!(mark.lines_since(&path, 0, 2), ["two", "three"]);
    }

    #[test]
    fn a_long_line_is_kept_to_its_bound() {
        let edge = "a".repeat(MAX_KEPT_LINE);
        assert_eq!(shown(edge.as_bytes()), edge);
        assert_eq!(shown(format!("{edge}b").as_bytes()), format!("{edge}…"));
    }
}

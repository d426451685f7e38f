//! Which files an app logs to, and one open description of each, shared by all that write to it and
//! held by the keeper across daemons.

use crate::{keeper_link::KeeperLink, store};
use rpm_config::AppSpec;
use rpm_keeper::Request;
use rpm_logs::{
    sink::LogFile,
    tail::{Tail, tail_bytes_from},
};
use rpm_supervisor::InstanceId;
use rpm_unix::home::Home;
use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

/// The paths of an instance's two streams; `None`: nothing is kept.
pub(crate) fn paths(
    home: &Home,
    spec: &AppSpec,
    instance: InstanceId,
    slot: u32,
) -> (Option<PathBuf>, Option<PathBuf>) {
    rpm_config::log_paths(spec, &home.logs(), instance.0, slot)
}

/// How long a file is; one that is missing is empty.
pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// The last `limit` lines written since the file was `offset` long.
pub(crate) fn lines_since(path: &Path, offset: u64, limit: usize) -> Vec<String> {
    let lines = tail_bytes_from(path, offset, limit).map(Tail::into_lines).unwrap_or_default();
    lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
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

//! Which files an app logs to, and how its streams get there.

use crate::{keeper_link::KeeperLink, store};
use rpm_config::{AppSpec, LogRules};
use rpm_keeper::Request;
use rpm_logs::{
    date_format::DateFormat,
    frame::{Frame, Source},
    history::{History, Query},
    lane::Lanes,
    open::Access,
    rotate::{plan::Plan, total::Totals},
    ship::Address,
    sink::Rules,
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
    rpm_logs::open::empty(path)
}

/// Where one stream of an instance goes.
pub(crate) struct Course {
    pub(crate) files: Vec<(PathBuf, Rules)>,
    pub(crate) frame: Frame,
    pub(crate) ship: Vec<Address>,
}

impl Course {
    /// Whether lines have to go through memory.
    pub(crate) fn is_spooled(&self) -> bool {
        self.frame != Frame::Raw || self.files.len() > 1 || !self.ship.is_empty()
    }
}

/// Where standard output and standard error of an instance go.
///
/// # Errors
/// A rule that says nothing: in words, with the key that has it.
pub(crate) fn courses(
    home: &Home,
    spec: &AppSpec,
    instance: InstanceId,
    slot: u32,
) -> Result<[Course; 2], String> {
    let rules = rules(&spec.logs.rules)?;
    let (out, error) = paths(home, spec, instance, slot);
    let both = rpm_config::combined_log_path(spec, &home.logs(), instance.0, slot);
    let ship: Vec<Address> = collectors(&spec.logs.rules)?;
    Ok([("out", out), ("err", error)].map(|(stream, own)| {
        let twice = own.is_some() && own == both;
        let both = both.clone().filter(|_| !twice);
        let files = own.into_iter().chain(both).map(|path| (path, rules.clone())).collect();
        let frame = frame(spec, instance, stream);
        Course { files, frame, ship: ship.clone() }
    }))
}

fn frame(spec: &AppSpec, instance: InstanceId, stream: &'static str) -> Frame {
    let rules = &spec.logs.rules;
    let stamp = rules.date_format.as_deref().map(DateFormat::new);
    match stamp {
        stamp if rules.json => {
            Frame::Json(Source { app: spec.name.to_string(), id: instance.0, stream, stamp })
        }
        Some(stamp) => Frame::Stamped(stamp),
        None => Frame::Raw,
    }
}

fn collectors(rules: &LogRules) -> Result<Vec<Address>, String> {
    let parse = |text: &String| {
        let address = text.parse::<Address>();
        address.map_err(|expected| format!("log_ship must be {expected}, but is {text:?}"))
    };
    rules.ship.iter().map(parse).collect()
}

fn rules(rules: &LogRules) -> Result<Rules, String> {
    let group = match rules.group.as_deref() {
        None => None,
        Some(name) => Some(
            rpm_logs::open::group(name)
                .ok_or_else(|| format!("log_group: there is no group {name} on this machine"))?,
        ),
    };
    let rotate = rules.rotate.as_ref().map(|rotate| {
        let interval = rotate.interval.as_deref().map(str::parse).transpose();
        let interval =
            interval.map_err(|expected| format!("rotate.interval must be {expected}"))?;
        Ok::<_, String>(Plan {
            max_size: rotate.max_size,
            keep: rotate.keep,
            max_total: rotate.max_total,
            compress: rotate.compress,
            interval,
        })
    });
    Ok(Rules { access: Access { mode: rules.mode, group }, rotate: rotate.transpose()? })
}

/// The threads that write logs, and what a predecessor's streams left in memory.
#[derive(Default)]
pub(crate) struct Logs {
    pub(crate) lanes: Lanes,
    held: BTreeMap<String, OwnedFd>,
    /// Ended streams that are still being written.
    pub(crate) finishing: usize,
    /// A thread did not answer: until then (milliseconds since the epoch) nobody waits for one.
    pub(crate) hung_until: u64,
}

impl Logs {
    /// Takes over a predecessor's spools.
    pub(crate) fn adopt(held: BTreeMap<String, OwnedFd>, totals: Totals) -> Self {
        Self { lanes: Lanes::holding(totals), held, ..Self::default() }
    }

    /// The spool of this name, a new one if there is none; the keeper has it, too.
    pub(crate) fn spool(&mut self, name: &str, keeper: &mut KeeperLink) -> io::Result<OwnedFd> {
        if let Some(found) = self.held.remove(name) {
            return Ok(found);
        }
        let memory = rpm_logs::spool::create()?;
        self.hold(name, memory.try_clone()?, keeper);
        Ok(memory)
    }

    /// The transit of this name that a predecessor's stream was given.
    pub(crate) fn held_transit(&mut self, name: &str) -> Option<OwnedFd> {
        self.held.remove(name)
    }

    /// Has the keeper hold a new spool or transit: at once, not with this turn, for bytes must not
    /// come to one that dies with us.
    pub(crate) fn hold(&self, name: &str, fd: OwnedFd, keeper: &mut KeeperLink) {
        keeper.send_now(Request::Hold { name: format!("{}{name}", store::SPOOL), fd });
    }

    /// Lets go of what no stream asked for: all of it was written.
    pub(crate) fn release_unused(&mut self, keeper: &mut KeeperLink) {
        for name in std::mem::take(&mut self.held).into_keys() {
            keeper.send(Request::Drop { name: format!("{}{name}", store::SPOOL) });
        }
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

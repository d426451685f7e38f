//! Which files an app logs to, and how its streams get there.

use crate::{keeper_link::KeeperLink, store};
use rpm_config::{AppSpec, LogRules};
use rpm_keeper::Request;
use rpm_logs::{
    frame::{Frame, Source},
    lane::Lanes,
    open::Access,
    rotate::plan::Plan,
    ship::Address,
    sink::Rules,
    stamp::Stamp,
    tail::{Tail, tail_bytes_from},
};
use rpm_supervisor::InstanceId;
use rpm_unix::home::Home;
use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
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

/// Empties a file in place. Its writer notices and goes on at the new end.
pub(crate) fn empty(path: &Path) -> io::Result<()> {
    fs::File::options().write(true).open(path)?.set_len(0)
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
    let stamp = rules.date_format.as_deref().map(Stamp::new);
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
    pub(crate) fn adopt(held: BTreeMap<String, OwnedFd>) -> Self {
        Self { held, ..Self::default() }
    }

    /// The spool of this name, a new one if there is none; the keeper has it, too.
    pub(crate) fn spool(&mut self, name: &str, keeper: &mut KeeperLink) -> io::Result<OwnedFd> {
        if let Some(found) = self.held.remove(name) {
            return Ok(found);
        }
        let memory = rpm_logs::spool::create()?;
        let fd = memory.try_clone()?;
        // At once, not with this turn: bytes must not come to a spool that dies with us.
        keeper.send_now(Request::Hold { name: format!("{}{name}", store::SPOOL), fd });
        Ok(memory)
    }

    /// Lets go of what no stream asked for: all of it was written.
    pub(crate) fn release_unused(&mut self, keeper: &mut KeeperLink) {
        for name in std::mem::take(&mut self.held).into_keys() {
            keeper.send(Request::Drop { name: format!("{}{name}", store::SPOOL) });
        }
    }
}

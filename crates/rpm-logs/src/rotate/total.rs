//! [`Totals`]: how many bytes the logs of an app, and those of all apps, may have together.
//!
//! Each log that is rotated is a member, with the files that were rotated away from it as its own
//! writer last saw them: so nobody waits for another's disk. Whoever is about to rotate reckons for
//! his app and for all, and the oldest files go. Files that are written to may have a quarter of
//! the total together, however many they are, and are rotated earlier for it; another quarter at
//! most is for the copy that is being compressed.

use super::{
    keep::{self, Kept},
    name::Rotated,
    plan::{MIN_SIZE, Plan},
};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Logs that are reckoned with; further ones keep to what is theirs alone.
const MAX_MEMBERS: usize = 16 << 10;
/// The part of a total that files being written to may have: one in so many.
const LIVE_PART: u64 = 4;

/// Bytes all logs may have together; asked before each rotation, since it may be changed.
pub type Limit = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// The logs that share limits.
#[derive(Default)]
pub struct Totals {
    limit: Option<Limit>,
    /// Where rotated files are also without a writer: those of apps that were deleted.
    directory: Option<PathBuf>,
    members: Mutex<Members>,
    /// Changes with every share.
    generation: AtomicU64,
}

#[derive(Default)]
struct Members {
    all: BTreeMap<PathBuf, Member>,
    limit: Option<u64>,
    looked: bool,
}

/// A log.
#[derive(Debug)]
struct Member {
    app: String,
    plan: Option<Plan>,
    /// How many have it open; else it has `length`.
    open: usize,
    length: u64,
    kept: Vec<Kept>,
}

impl Member {
    fn unwritten() -> Self {
        Self { app: String::new(), plan: None, open: 0, length: 0, kept: Vec::new() }
    }
}

/// Whose logs.
#[derive(Clone, Copy)]
enum Group<'a> {
    App(&'a str),
    All,
}

impl Group<'_> {
    fn has(self, member: &Member) -> bool {
        match self {
            Self::App(app) => member.app == app && member.plan.is_some(),
            Self::All => true,
        }
    }
}

impl Totals {
    /// All logs may have as much as `limit` says; in `directory` that counts what was rotated away
    /// from logs nobody writes to.
    pub fn new(limit: Limit, directory: PathBuf) -> Self {
        Self { limit: Some(limit), directory: Some(directory), ..Self::default() }
    }

    /// A log of `app` is written to from now on, from which `kept` were rotated away.
    pub(crate) fn join(&self, log: &Path, app: &str, plan: &Plan, kept: Vec<Kept>) {
        let mut members = self.members();
        if members.all.len() < MAX_MEMBERS || members.all.contains_key(log) {
            let open = members.all.get(log).map_or(0, |member| member.open) + 1;
            let (app, plan) = (app.to_owned(), Some(plan.clone()));
            members.all.insert(log.to_owned(), Member { app, plan, open, length: 0, kept });
        }
        drop(members);
        self.generation.fetch_add(1, Relaxed);
        self.make_room(log, 0);
    }

    /// The same of a log that was written to before, under the same plan: what is kept of it is
    /// known, and its directory, which is read for [`Self::join`], may have thousands of files.
    /// False: it is another's, or new.
    pub(crate) fn join_again(&self, log: &Path, app: &str, plan: &Plan) -> bool {
        let mut members = self.members();
        let known = members.all.get_mut(log);
        let same = |one: &&mut Member| one.app == app && one.plan.as_ref() == Some(plan);
        let Some(member) = known.filter(same) else { return false };
        member.open += 1;
        drop(members);
        self.generation.fetch_add(1, Relaxed);
        self.make_room(log, 0);
        true
    }

    /// One writer less, who left it with this length.
    pub(crate) fn leave(&self, log: &Path, length: u64) {
        if let Some(member) = self.members().all.get_mut(log) {
            member.open = member.open.saturating_sub(1);
            member.length = length;
        }
        self.generation.fetch_add(1, Relaxed);
    }

    /// Another number than before: shares are others.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Bytes this log may have before it is rotated; `None`: any number.
    pub(crate) fn share(&self, log: &Path) -> Option<u64> {
        let members = self.members();
        members.all.get(log).and_then(|member| members.share(member, &members.live()))
    }

    /// The files rotated away from this log are these, and `coming` bytes more will be: removes
    /// the oldest of its app and of all, as many as have to go. Whether what comes may be kept.
    pub(crate) fn replace(&self, log: &Path, kept: Vec<Kept>, coming: u64) -> bool {
        if let Some(member) = self.members().all.get_mut(log) {
            member.kept = kept;
        }
        self.make_room(log, coming)
    }

    /// What comes has come.
    pub(crate) fn add(&self, log: &Path, kept: Kept) {
        if let Some(member) = self.members().all.get_mut(log) {
            member.kept.push(kept);
        }
    }

    fn make_room(&self, log: &Path, coming: u64) -> bool {
        self.look();
        let mut members = self.members();
        let mut gone = Vec::new();
        let own = members.all.get(log).map(|member| {
            (member.app.clone(), member.plan.as_ref().and_then(|plan| plan.max_total))
        });
        let all = members.limit;
        let fits = own.is_none_or(|(app, limit)| {
            let app =
                limit.is_none_or(|limit| members.fit(Group::App(&app), limit, coming, &mut gone));
            all.is_none_or(|limit| members.fit(Group::All, limit, coming, &mut gone)) && app
        });
        // Not while others wait: its disk may be slow.
        drop(members);
        gone.iter().for_each(|path| keep::remove_seen(path));
        fits
    }

    /// Asks for the limit, and the first time there is one for the files of logs nobody writes to.
    fn look(&self) {
        let limit = self.limit.as_ref().and_then(|limit| limit());
        let mut members = self.members();
        if members.limit != limit {
            members.limit = limit;
            self.generation.fetch_add(1, Relaxed);
        }
        if limit.is_none() || std::mem::replace(&mut members.looked, true) {
            return;
        }
        drop(members);
        let found = self.directory.as_deref().map(unwritten).unwrap_or_default();
        let mut members = self.members();
        for (log, member) in found.into_iter().take(MAX_MEMBERS) {
            members.all.entry(log).or_insert(member);
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many logs are written to.
struct Live<'a> {
    all: u64,
    apps: BTreeMap<&'a str, u64>,
}

impl Members {
    fn live(&self) -> Live<'_> {
        let mut live = Live { all: 0, apps: BTreeMap::new() };
        for member in self.all.values().filter(|member| member.open > 0) {
            live.all += 1;
            *live.apps.entry(&member.app).or_default() += 1;
        }
        live
    }

    fn share(&self, member: &Member, live: &Live<'_>) -> Option<u64> {
        let plan = member.plan.as_ref()?;
        let part = |limit: u64, among: u64| limit / LIVE_PART / among.max(1);
        let of_app = live.apps.get(member.app.as_str()).copied().unwrap_or(0);
        let app = plan.max_total.map(|limit| part(limit, of_app));
        let all = self.limit.map(|limit| part(limit, live.all));
        let smallest = [plan.max_size, app, all].into_iter().flatten().min();
        smallest.map(|bytes| bytes.max(MIN_SIZE))
    }

    /// Forgets the oldest until all fits; what has to be removed is in `gone`.
    fn fit(&mut self, group: Group<'_>, limit: u64, coming: u64, gone: &mut Vec<PathBuf>) -> bool {
        let members = || self.all.values().filter(|member| group.has(member));
        let shares = members().filter(|member| member.open > 0);
        let live = self.live();
        let shares: Vec<u64> = shares.map(|one| self.share(one, &live).unwrap_or(0)).collect();
        let closed: u64 = members().filter(|one| one.open == 0).map(|one| one.length).sum();
        let copy = shares.iter().max().copied().unwrap_or(0).max(coming);
        let taken = shares.iter().sum::<u64>() + closed + copy + coming;
        let mut kept: u64 = members().flat_map(|one| &one.kept).map(|kept| kept.bytes).sum();
        while kept.saturating_add(taken) > limit {
            let Some(oldest) = self.take_oldest(group) else { return false };
            kept = kept.saturating_sub(oldest.bytes);
            gone.push(oldest.path);
        }
        true
    }

    fn take_oldest(&mut self, group: Group<'_>) -> Option<Kept> {
        let having = self.all.values_mut().filter(|one| group.has(one) && !one.kept.is_empty());
        let oldest = having.min_by(|one, other| {
            let first = |member: &Member| member.kept.first().map(|kept| kept.rotated.clone());
            first(one).cmp(&first(other))
        })?;
        Some(oldest.kept.remove(0))
    }
}

/// The logs of a directory from which something was rotated away. They themselves do not count:
/// what nobody rotates has no limit, and would leave none for the others.
fn unwritten(directory: &Path) -> BTreeMap<PathBuf, Member> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_str().filter(|name| !name.starts_with('.'));
        let Some((log, rotated)) = name.and_then(Rotated::split) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let member = found.entry(directory.join(log)).or_insert_with(Member::unwritten);
            member.kept.push(Kept { rotated, path: entry.path(), bytes: metadata.len() });
        }
    }
    found.values_mut().for_each(|member| keep::sort(&mut member.kept));
    found
}

/// What a [`crate::sink::LogFile`] has of it: its log's share, looked up where that may have
/// changed.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) totals: Arc<Totals>,
    pub(crate) app: String,
    generation: AtomicU64,
    /// 0: any number.
    bytes: AtomicU64,
}

impl Share {
    pub(crate) fn new(totals: Arc<Totals>, app: &str) -> Self {
        let generation = AtomicU64::new(u64::MAX);
        Self { totals, app: app.to_owned(), generation, bytes: AtomicU64::new(0) }
    }

    /// Bytes the log may have; `None`: any number.
    pub(crate) fn of(&self, log: &Path) -> Option<u64> {
        let now = self.totals.generation();
        if self.generation.swap(now, Relaxed) != now {
            self.bytes.store(self.totals.share(log).unwrap_or(0), Relaxed);
        }
        Some(self.bytes.load(Relaxed)).filter(|bytes| *bytes > 0)
    }
}

impl fmt::Debug for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totals").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

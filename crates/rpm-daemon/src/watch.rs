//! Watching an app's files: which directories inotify(7) is asked for, and which changes count.
//! What is ignored is never asked for, so that a large `node_modules` costs nothing.

use crate::{clock, inbox::Message};
use futures_util::StreamExt;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use rpm_config::{AppSpec, Watch, WatchFilter};
use rpm_supervisor::Moment;
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// The most directories watched for one app: the kernel's default for a whole user is 8192 and up
/// (fs.inotify.max_user_watches).
const MAX_DIRECTORIES: usize = 8192;

/// The least wait from a change to the restart: writing one file is several events.
const SETTLE: Duration = Duration::from_millis(100);

/// So many restarts in a row for one path, each as soon as the app runs, are a loop.
const LOOP_RESTARTS: u32 = 5;
/// A change within this time of the restart before counts towards a loop.
const LOOP_GAP: Duration = Duration::from_secs(2);
/// A path that made a loop counts again when it has been quiet for so long.
const LOOP_QUIET: Duration = Duration::from_secs(30);

/// Room for the events of one read; each has at most a name of 255 bytes (inotify(7)).
const BUFFER_BYTES: usize = 16 << 10;

/// Watches the files of `spec` and tells the engine of changes, until it is aborted.
pub(crate) async fn run(spec: Arc<AppSpec>, own: Vec<PathBuf>, engine: mpsc::Sender<Message>) {
    if let Err(error) = watch(&spec, own, &engine).await {
        let full = error.kind() == io::ErrorKind::StorageFull;
        let hint =
            if full { "; sysctl fs.inotify.max_user_watches=524288 allows more" } else { "" };
        tracing::error!(app = %spec.name, "its files are not watched: {error}{hint}");
    }
}

async fn watch(
    spec: &AppSpec,
    own: Vec<PathBuf>,
    engine: &mpsc::Sender<Message>,
) -> io::Result<()> {
    let Some(wanted) = &spec.watch else { return Ok(()) };
    let inotify = Inotify::init()?;
    let scope = Scope::new(wanted, &spec.cwd, own);
    let mut places = Places { watches: inotify.watches(), directories: HashMap::new(), scope };
    for base in places.scope.bases.clone() {
        places = walk(places, base.clone(), base).await?;
    }
    let (daemon, directories) = (std::process::id(), places.directories.len());
    tracing::info!(app = %spec.name, daemon, directories, "watching its files");
    let mut events = inotify.into_event_stream(vec![0; BUFFER_BYTES])?;
    while let Some(event) = events.next().await {
        let Some((path, base)) = places.changed(&event?) else { continue };
        let at = clock::now();
        if path.is_dir() {
            places = walk(places, path.clone(), base).await?;
        }
        if !places.scope.filter.wants(&path) {
            continue;
        }
        tokio::time::sleep(wanted.delay.max(SETTLE)).await;
        // What changed meanwhile belongs to the same restart.
        while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
            if let Some((path, base)) = places.changed(&event?)
                && path.is_dir()
            {
                places = walk(places, path, base).await?;
            }
        }
        if engine.send(Message::Changed { app: spec.name.clone(), path, at }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Looks into directories on a thread of its own: the tree may be large, or on a slow disk.
async fn walk(mut places: Places, directory: PathBuf, base: PathBuf) -> io::Result<Places> {
    let walked = tokio::task::spawn_blocking(move || {
        places.add(&directory, &base)?;
        Ok(places)
    });
    walked.await.map_err(io::Error::other)?
}

/// What counts: the paths as given, and what is ignored below them.
struct Scope {
    /// Directories to look into.
    bases: Vec<PathBuf>,
    /// Single files and patterns; empty: everything below the bases.
    only: Vec<PathBuf>,
    filter: WatchFilter,
    follow_links: bool,
}

impl Scope {
    fn new(watch: &Watch, cwd: &Path, own: Vec<PathBuf>) -> Self {
        let filter = WatchFilter::new(watch, cwd, own);
        let (mut bases, mut only) = (Vec::new(), Vec::new());
        for path in &watch.paths {
            if path.is_dir() {
                bases.push(path.clone());
            } else {
                bases.push(directory_of(path));
                only.push(path.clone());
            }
        }
        // A directory beside single files counts wholly.
        if !only.is_empty() {
            only.extend(watch.paths.iter().filter(|path| path.is_dir()).cloned());
        }
        Self { bases, only, filter, follow_links: watch.follow_links }
    }

    fn counts(&self, path: &Path, base: &Path) -> bool {
        let named = |only: &PathBuf| path.starts_with(only) || rpm_config::matches(only, path);
        let named = self.only.is_empty() || self.only.iter().any(named);
        named && !self.filter.ignores(path, base)
    }
}

/// The deepest directory that a file or pattern is certainly in.
fn directory_of(path: &Path) -> PathBuf {
    let plain = |part: &std::path::Component<'_>| {
        !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{'])
    };
    let fixed: PathBuf = path.components().take_while(plain).collect();
    if fixed == path { path.parent().unwrap_or(path).to_owned() } else { fixed }
}

/// The directories that are watched.
struct Places {
    watches: Watches,
    /// Directory and base of each watch.
    directories: HashMap<WatchDescriptor, (PathBuf, PathBuf)>,
    scope: Scope,
}

impl Places {
    /// Watches `directory` and all below it that is not ignored. One that went away is no error.
    fn add(&mut self, directory: &Path, base: &Path) -> io::Result<()> {
        let mask = WatchMask::CREATE
            | WatchMask::CLOSE_WRITE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::ONLYDIR;
        let mut left = vec![directory.to_owned()];
        while let Some(directory) = left.pop() {
            if self.directories.len() >= MAX_DIRECTORIES {
                let reason = format!("more than {MAX_DIRECTORIES} directories; see ignore_watch");
                return Err(io::Error::other(reason));
            }
            match self.watches.add(&directory, mask) {
                Ok(watch) => {
                    self.directories.insert(watch, (directory.clone(), base.to_owned()));
                }
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
                Err(_) => continue,
            }
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if self.is_directory(&entry) && !self.scope.filter.ignores(&path, base) {
                    left.push(path);
                }
            }
        }
        Ok(())
    }

    fn is_directory(&self, entry: &fs::DirEntry) -> bool {
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => self.scope.follow_links && entry.path().is_dir(),
            Ok(kind) => kind.is_dir(),
            Err(_) => false,
        }
    }

    /// The path an event is about and its base, if it counts.
    fn changed(
        &mut self,
        event: &inotify::Event<std::ffi::OsString>,
    ) -> Option<(PathBuf, PathBuf)> {
        if event.mask.contains(EventMask::IGNORED) {
            self.directories.remove(&event.wd);
            return None;
        }
        let (directory, base) = self.directories.get(&event.wd)?;
        let path = directory.join(event.name.as_ref()?);
        self.scope.counts(&path, base).then(|| (path, base.clone()))
    }
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A restart.
    Counts,
    /// From now on nothing: the app itself changes this path at each start.
    Breaks,
    /// Nothing, still.
    Broken,
}

/// Ends the loop of an app that writes what it watches.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    paths: BTreeMap<PathBuf, History>,
}

/// How often a path was the reason of a restart, one soon after the other, and when last.
#[derive(Clone, Copy, Debug)]
struct History {
    restarts: u32,
    last: Moment,
}

/// So many paths are remembered; the rest is no loop of one file.
const MAX_PATHS: usize = 64;

impl Breaker {
    /// Takes a change of `path` into account.
    pub(crate) fn judge(&mut self, path: &Path, now: Moment) -> Verdict {
        self.paths.retain(|_, history| now.since(history.last) < LOOP_QUIET);
        if self.paths.len() >= MAX_PATHS && !self.paths.contains_key(path) {
            return Verdict::Counts;
        }
        let new = History { restarts: 0, last: now };
        let history = self.paths.entry(path.to_owned()).or_insert(new);
        let soon = now.since(history.last) < LOOP_GAP + SETTLE;
        let broken = history.restarts > LOOP_RESTARTS;
        history.last = now;
        if !broken {
            history.restarts = if soon { history.restarts + 1 } else { 1 };
        }
        match history.restarts > LOOP_RESTARTS {
            false => Verdict::Counts,
            true if broken => Verdict::Broken,
            true => Verdict::Breaks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_changes_at_each_start_is_ignored_until_it_is_quiet() {
        let mut breaker = Breaker::default();
        let mut judge = |at: u64| breaker.judge(Path::new("/a"), Moment(at));
        let verdicts: Vec<Verdict> = (1..=7).map(|n| judge(n * 1000)).collect();
        let mut want = vec![Verdict::Counts; 5];
        want.extend([Verdict::Breaks, Verdict::Broken]);
        assert_eq!(verdicts, want);
        assert_eq!(judge(36_999), Verdict::Broken);
        assert_eq!(judge(66_999), Verdict::Counts);
    }

    #[test]
    fn a_person_who_saves_now_and_then_makes_no_loop() {
        let mut breaker = Breaker::default();
        for n in 1..50 {
            let verdict = breaker.judge(Path::new("/a"), Moment(n * 2100));
            assert_eq!(verdict, Verdict::Counts, "{n}");
        }
    }

    #[test]
    fn patterns_are_looked_for_where_they_can_be() {
        let table = [("/a/b.js", "/a"), ("/a/*.js", "/a"), ("/a/**/b/*.js", "/a"), ("/*", "/")];
        for (path, want) in table {
            assert_eq!(directory_of(Path::new(path)), Path::new(want), "{path}");
        }
    }
}

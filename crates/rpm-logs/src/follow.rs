//! [`Follower`]: the lines that files get, as they come, told by inotify. It reads the files, so a
//! follower that is slow or stopped costs nobody but itself; no timer, no daemon.
//!
//! A file may not exist yet, be truncated, or be replaced (rotation). Replaced files are read to
//! their end first, those too that came and were replaced again before their coming was read of;
//! the last few are then read beside their successor, for the writer may still have one open.

use crate::{
    growing::{Block, Growing},
    history,
    lines::{Piece, Splitter},
};
use futures_util::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    ffi::OsString,
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

/// Replaced files of one source that are still looked at when all of them was read.
const MAX_PREVIOUS: usize = 4;
/// Replaced files of one source that wait to be read; a reader that is slower than rotation loses
/// the oldest, or the disk would fill with what only it keeps.
const MAX_UNREAD: usize = 16;
/// Bytes of events read at once.
const EVENT_BYTES: usize = 16 << 10;

/// A file to follow.
#[derive(Debug)]
pub struct Source {
    /// Where it is, or will be; its directory must exist.
    pub path: PathBuf,
    /// Where to begin. A file that appears later is read from its beginning.
    pub from: Start,
}

/// Where a follower begins.
#[derive(Debug)]
pub enum Start {
    /// At the beginning of the file that is there.
    Beginning,
    /// At its end.
    End,
    /// At this offset of an open file: it may have been replaced since, by several even.
    At(File, u64),
}

/// A line of a followed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which of the sources, in the order given.
    pub source: usize,
    /// Without its newline, at most 1 MiB.
    pub text: Vec<u8>,
    /// Whether the line ends here. `false`: it is longer than 1 MiB and goes on in the source's
    /// next one, or its file was emptied or replaced before its end came.
    pub ends: bool,
}

/// Follows files until dropped.
pub struct Follower {
    events: EventStream<[u8; EVENT_BYTES]>,
    watches: Watches,
    sources: Vec<State>,
    /// Which sources a watched file belongs to, and which watched directory holds which names.
    files: HashMap<WatchDescriptor, HashSet<usize>>,
    directories: HashMap<WatchDescriptor, HashMap<OsString, Vec<usize>>>,
    /// Sources that may have bytes to read, each once, in the order the events came.
    due: VecDeque<usize>,
    is_due: HashSet<usize>,
    /// Lines of one block, at most.
    ready: VecDeque<Line>,
    /// Replaced files that were given up unread.
    given_up: u64,
}

#[derive(Debug)]
struct State {
    path: PathBuf,
    current: Option<Watched>,
    /// What `current` was before, oldest first, at most [`MAX_UNREAD`].
    previous: VecDeque<Watched>,
}

#[derive(Debug)]
struct Watched {
    file: Growing,
    splitter: Splitter,
    /// `None`: it was compressed, so it does not grow.
    watch: Option<WatchDescriptor>,
}

impl Follower {
    /// Starts to follow. Must be called inside a tokio runtime with I/O.
    ///
    /// # Errors
    /// A source's directory does not exist or cannot be watched, a file cannot be read.
    pub fn new(sources: Vec<Source>) -> io::Result<Self> {
        let events = Inotify::init()?.into_event_stream([0; EVENT_BYTES])?;
        let watches = events.watches();
        let mut follower = Self {
            events,
            watches,
            sources: Vec::new(),
            files: HashMap::new(),
            directories: HashMap::new(),
            due: VecDeque::new(),
            is_due: HashSet::new(),
            ready: VecDeque::new(),
            given_up: 0,
        };
        sources.into_iter().try_for_each(|source| follower.add(source))?;
        Ok(follower)
    }

    /// The next line. Dropping the future loses nothing.
    pub async fn next(&mut self) -> io::Result<Line> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(line);
            }
            if let Some(source) = self.due.pop_front() {
                self.is_due.remove(&source);
                self.read(source)?;
                continue;
            }
            match self.events.next().await {
                Some(event) => self.on_event(&event?)?,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Follows one more file; its lines have the next number as their source.
    ///
    /// # Errors
    /// As [`Follower::new`].
    pub fn add(&mut self, Source { path, from }: Source) -> io::Result<()> {
        let source = self.sources.len();
        // The directory first: a file that appears in between is seen twice, not never.
        self.watch_directory(&path, source)?;
        self.sources.push(State { path, current: None, previous: VecDeque::new() });
        match from {
            Start::Beginning => self.replaced(source)?,
            Start::End => {
                if let Some(state) = self.sources.get(source)
                    && let Some(file) = Growing::open(&state.path, None)?
                {
                    self.push(source, file)?;
                }
            }
            Start::At(file, offset) => {
                self.push(source, Growing::new(file, offset))?;
                self.appeared(source)?;
            }
        }
        self.mark(source);
        Ok(())
    }

    fn watch_directory(&mut self, path: &Path, source: usize) -> io::Result<()> {
        let Some(name) = path.file_name() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        let mask = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        let watch = self.watches.add(directory, mask)?;
        let names = self.directories.entry(watch).or_default();
        names.entry(name.to_owned()).or_default().push(source);
        Ok(())
    }

    fn on_event(&mut self, event: &EventOwned) -> io::Result<()> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return self.look_everywhere();
        }
        if event.mask.contains(EventMask::IGNORED) {
            self.files.remove(&event.wd);
        }
        for source in self.files.get(&event.wd).cloned().unwrap_or_default() {
            self.mark(source);
        }
        let name = event.name.as_ref();
        let names = self.directories.get(&event.wd);
        let named = names.zip(name).and_then(|(names, name)| names.get(name));
        for source in named.cloned().unwrap_or_default() {
            self.appeared(source)?;
        }
        Ok(())
    }

    /// Events were lost: whatever could have happened is looked at.
    fn look_everywhere(&mut self) -> io::Result<()> {
        (0..self.sources.len()).try_for_each(|source| {
            self.mark(source);
            self.appeared(source)
        })
    }

    /// A file came to the source's path.
    fn appeared(&mut self, source: usize) -> io::Result<()> {
        let Some(state) = self.sources.get(source) else { return Ok(()) };
        let known = state.current.as_ref().is_some_and(|current| current.file.is_at(&state.path));
        if !known {
            self.replaced(source)?;
        }
        self.mark(source);
        Ok(())
    }

    /// Another file is at the path, or none any more; and others may have been there in between.
    fn replaced(&mut self, source: usize) -> io::Result<()> {
        let Some(state) = self.sources.get(source) else { return Ok(()) };
        // This first: what comes to the path from now on is told by an event.
        let successor = Growing::open(&state.path, Some(0))?;
        let between = match &state.current {
            Some(current) => {
                let successor = successor.as_ref().map(Growing::metadata).transpose()?;
                history::between(&state.path, current.file.file(), successor.as_ref())?
            }
            None => Vec::new(),
        };
        for path in between {
            // It may have gone again.
            if let Some(file) = Growing::open_rotated(&path)?
                && !self.is_known(source, &path)
            {
                self.push(source, file)?;
            }
        }
        successor.map_or(Ok(()), |file| self.push(source, file))
    }

    /// Whether a file is one that was replaced before, and was written once more since.
    fn is_known(&self, source: usize, path: &Path) -> bool {
        let state = self.sources.get(source);
        state.is_some_and(|state| state.previous.iter().any(|known| known.file.is_at(path)))
    }

    /// Reads a file from now on, after those of its source that are known.
    fn push(&mut self, source: usize, file: Growing) -> io::Result<()> {
        let watch = match file.grows() {
            // Not by its path, which may name another file by now.
            true => Some(format!("/proc/self/fd/{}", file.file().as_raw_fd())),
            false => None,
        };
        let watch = watch.map(|path| self.watches.add(path, WatchMask::MODIFY)).transpose()?;
        if let Some(watch) = &watch {
            self.files.entry(watch.clone()).or_default().insert(source);
        }
        let Some(state) = self.sources.get_mut(source) else { return Ok(()) };
        let watched = Watched { file, splitter: Splitter::default(), watch };
        state.previous.extend(state.current.replace(watched));
        if state.previous.len() > MAX_UNREAD {
            self.given_up += 1;
            self.forget_oldest(source);
        }
        Ok(())
    }

    /// How many replaced files were given up, because they came faster than they were read.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    fn forget_oldest(&mut self, source: usize) {
        let state = self.sources.get_mut(source);
        let Some(mut watched) = state.and_then(|state| state.previous.pop_front()) else { return };
        let text = watched.splitter.take_rest();
        if !text.is_empty() {
            self.ready.push_back(Line { source, text, ends: false });
        }
        let Some(watch) = watched.watch else { return };
        // Two sources may name one file; then the watch is still another's.
        let mut needed =
            self.sources.iter().flat_map(|state| state.previous.iter().chain(&state.current));
        if !needed.any(|other| other.watch.as_ref() == Some(&watch)) {
            self.files.remove(&watch);
            // It may be gone with its file.
            let _gone = self.watches.remove(watch);
        }
    }

    fn mark(&mut self, source: usize) {
        if self.is_due.insert(source) {
            self.due.push_back(source);
        }
    }

    fn read(&mut self, source: usize) -> io::Result<()> {
        let Some(state) = self.sources.get_mut(source) else { return Ok(()) };
        let ready = &mut self.ready;
        let more = state.read(|Piece { text, ends }| {
            ready.push_back(Line { source, text, ends });
        })?;
        let finished = state.previous.len().saturating_sub(MAX_PREVIOUS);
        if more {
            self.mark(source);
        } else {
            (0..finished).for_each(|_| self.forget_oldest(source));
        }
        Ok(())
    }
}

impl State {
    /// One block: of the oldest file that has any, so that order holds. Whether there may be more.
    fn read(&mut self, mut out: impl FnMut(Piece)) -> io::Result<bool> {
        let mut rest = Vec::new();
        for watched in self.previous.iter_mut().chain(&mut self.current) {
            match watched.file.read()? {
                Block::End => {
                    // Its line goes on in a file that came later, if that has anything.
                    if rest.is_empty() {
                        rest = watched.splitter.take_rest();
                    }
                    continue;
                }
                Block::Bytes(bytes) => {
                    if !rest.is_empty() {
                        rest.extend(watched.splitter.take_rest());
                        watched.splitter = Splitter::beginning(std::mem::take(&mut rest));
                    }
                    watched.splitter.push(&bytes, out);
                }
                Block::Truncated => {
                    rest.extend(watched.splitter.take_rest());
                    if !rest.is_empty() {
                        out(Piece { text: rest, ends: false });
                    }
                }
            }
            return Ok(true);
        }
        // Nothing came: it stays with the last of them.
        if let Some(last) = self.current.as_mut().or(self.previous.back_mut())
            && !rest.is_empty()
        {
            last.splitter = Splitter::beginning(rest);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;

//! [`History`]: the lines a log has by now, rotated files included, each with its time.
//!
//! Where to begin is found first, from the newest file backwards, so that the last lines of a large
//! log cost what is shown of them; then everything is read forwards in blocks. Who prints them, and
//! in which order those of several logs go ([`merge`]), is others' work.

mod clock;
mod count;
mod files;
pub mod merge;
mod reader;
mod said;

pub use self::files::rotated;
pub(crate) use self::files::{between, is_compressed, unpacked};
use self::{files::Rotated, reader::Reader};
use crate::times::Times;
use std::{
    collections::VecDeque,
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Whether a line's text is wanted.
pub type Wanted<'a> = &'a dyn Fn(&[u8]) -> bool;

/// Which lines.
#[derive(Clone, Copy, Default)]
pub struct Query<'a> {
    /// Only the last so many of those that are left by the rest; `None`: all.
    pub lines: Option<usize>,
    /// Only those written then or later, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// Only those written then or before.
    pub until: Option<u64>,
    /// Only those it likes. Of a line above 1 MiB it sees the pieces.
    pub wanted: Option<Wanted<'a>>,
    /// Also what stands after the last newline.
    pub unfinished: bool,
}

impl std::fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lines, since, until, wanted, unfinished } = self;
        let wanted = wanted.is_some();
        f.debug_tuple("Query").field(&(lines, since, until, wanted, unfinished)).finish()
    }
}

/// A line of the past, or a piece of a very long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// When it was written, in milliseconds since the epoch, as well as that is known.
    pub at: u64,
    /// Without its newline, at most 1 MiB.
    pub text: Vec<u8>,
    /// Whether the line ends here.
    pub ends: bool,
}

/// What a log has, in order.
#[derive(Debug)]
pub struct History<'a> {
    query: Query<'a>,
    parts: VecDeque<Part>,
    reader: Option<Reader>,
    /// Lines that were begun in a file and go on in the next.
    rest: Vec<u8>,
    /// Where a follower goes on.
    end: Option<(File, u64)>,
    /// What the next older file ends with.
    cut: Cut,
}

/// What is to be read of one file.
#[derive(Debug)]
struct Part {
    content: Content,
    from: u64,
    to: u64,
    /// So many wanted lines are left out first.
    skip: usize,
}

#[derive(Debug)]
enum Content {
    /// The file at the log's path.
    Current(File),
    /// One that was rotated away: opened when its turn comes, for there may be many.
    Rotated(PathBuf),
}

impl<'a> History<'a> {
    /// What `path` and the files rotated away from it have. No file is no lines.
    ///
    /// # Errors
    /// Those of opening and reading.
    pub fn open(path: &Path, query: Query<'a>) -> io::Result<Self> {
        let mut history = Self::empty(query);
        let mut left = query.lines;
        let current = match File::open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let metadata = current.as_ref().map(File::metadata).transpose()?;
        // A pipe or a device has no history.
        if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return Ok(history);
        }
        if let (Some(file), Some(metadata)) = (current, &metadata) {
            history.current(path, file, metadata, &mut left)?;
        }
        for rotated in files::older(path, metadata.as_ref())?.into_iter().rev() {
            if left == Some(0) {
                history.cut_line(&rotated)?;
                break;
            }
            if query.since.is_some_and(|since| rotated.modified < since) {
                break;
            }
            history.rotated(&rotated, &mut left)?;
        }
        Ok(history)
    }

    fn empty(query: Query<'a>) -> Self {
        let (parts, rest) = (VecDeque::new(), Vec::new());
        Self { query, parts, reader: None, rest, end: None, cut: Cut::Line }
    }

    fn current(
        &mut self,
        path: &Path,
        file: File,
        metadata: &Metadata,
        left: &mut Option<usize>,
    ) -> io::Result<()> {
        let whole_to = count::behind_last_newline(&file, metadata.len())?;
        let to = if self.query.unfinished { metadata.len() } else { whole_to };
        self.end = Some((file.try_clone()?, whole_to));
        let times = Times::open(path, Some(metadata));
        let (from, to) = self.window(times.as_ref(), to);
        let found = match self.is_scanned(times.as_ref()) {
            true => Found::Scanned(reader::open(file.try_clone()?, times, from, to)?, Cut::Line),
            false => Found::Counted(&file, Cut::Line),
        };
        self.cut = if to > 0 { Cut::Half } else { Cut::Line };
        if let Some((from, skip)) = self.start(found, from, to, left)? {
            self.parts.push_front(Part { content: Content::Current(file), from, to, skip });
        }
        Ok(())
    }

    fn rotated(&mut self, rotated: &Rotated, left: &mut Option<usize>) -> io::Result<()> {
        let path = &rotated.path;
        let Some(file) = rotated.open()? else { return Ok(()) };
        let metadata = file.metadata()?;
        let times = Times::open(path, (!rotated.is_compressed()).then_some(&metadata));
        let end = if rotated.is_compressed() { u64::MAX } else { metadata.len() };
        let (from, to) = self.window(times.as_ref(), end);
        let found = match rotated.is_compressed() || self.is_scanned(times.as_ref()) {
            true => Found::Scanned(reader::open_rotated(path, from, to)?, self.cut),
            false => Found::Counted(&file, self.cut),
        };
        self.cut = Cut::Half;
        if let Some((from, skip)) = self.start(found, from, to, left)? {
            let content = Content::Rotated(path.clone());
            self.parts.push_front(Part { content, from, to, skip });
            return Ok(());
        }
        self.cut_line(rotated)
    }

    /// Rotation may cut a line in two: the first half of one whose second is wanted.
    fn cut_line(&mut self, rotated: &Rotated) -> io::Result<()> {
        let whole = self.parts.front().is_some_and(|part| part.from == 0 && part.skip == 0);
        let Some(file) = rotated.open()?.filter(|_| whole) else { return Ok(()) };
        let (from, to) = if rotated.is_compressed() {
            let mut reader = reader::open_rotated(&rotated.path, 0, u64::MAX)?;
            while reader.next(&mut Vec::new())?.is_some() {}
            (reader.offset(), u64::MAX)
        } else {
            let to = file.metadata()?.len();
            (count::behind_last_newline(&file, to)?, to)
        };
        let content = Content::Rotated(rotated.path.clone());
        self.parts.push_front(Part { content, from, to, skip: 0 });
        Ok(())
    }

    /// The bytes that can have been written between `since` and `until`.
    fn window(&self, times: Option<&Times>, end: u64) -> (u64, u64) {
        let Some(times) = times else { return (0, end) };
        let from = self.query.since.map_or(0, |since| {
            // The last record before it covers bytes up to the next one.
            let later = times.partition(|record| record.at < since);
            let from = times.get(later).map_or(end, |record| record.offset);
            if later == 0 { 0 } else { from }
        });
        let to = self.query.until.map_or(end, |until| {
            let later = times.partition(|record| record.at <= until);
            times.get(later).map_or(end, |record| record.offset)
        });
        (from.min(end), to.min(end))
    }

    /// Whether lines must be looked at to be counted.
    fn is_scanned(&self, times: Option<&Times>) -> bool {
        self.query.wanted.is_some() || (self.query.until.is_some() && times.is_none())
    }

    /// From which byte, and after how many wanted lines, a file is to be read; `None`: not at all.
    fn start(
        &self,
        found: Found<'_>,
        from: u64,
        to: u64,
        left: &mut Option<usize>,
    ) -> io::Result<Option<(u64, usize)>> {
        let Some(wanted) = left else { return Ok((from < to).then_some((from, 0))) };
        let (start, skip, count) = match found {
            Found::Counted(file, cut) => {
                let to = match cut {
                    Cut::Line => to,
                    Cut::Half => count::behind_last_newline(file, to)?,
                };
                let (start, count) = count::lines_back(file, from, to, *wanted)?;
                (start, 0, count)
            }
            Found::Scanned(reader, cut) => {
                let all = self.count(reader, cut)?;
                (from, all.saturating_sub(*wanted), all.min(*wanted))
            }
        };
        *wanted -= count;
        Ok((count > 0).then_some((start, skip)))
    }

    fn count(&self, mut reader: Reader, cut: Cut) -> io::Result<usize> {
        let mut count = 0;
        while let Some(line) = reader.next(&mut Vec::new())? {
            count += usize::from(line.ends && self.likes(&line));
        }
        let rest = reader.unfinished().filter(|_| cut == Cut::Line);
        let rest = rest.is_some_and(|line| self.likes(&line));
        Ok(count + usize::from(rest))
    }

    fn likes(&self, line: &Timed) -> bool {
        self.query.since.is_none_or(|since| line.at >= since)
            && self.query.until.is_none_or(|until| line.at <= until)
            && self.query.wanted.is_none_or(|wanted| wanted(&line.text))
    }

    /// The next line, oldest first.
    ///
    /// # Errors
    /// Those of reading; a rotated file that retention removed meanwhile is left out.
    pub fn next_line(&mut self) -> io::Result<Option<Timed>> {
        loop {
            let Some(reader) = &mut self.reader else {
                if !self.next_part()? {
                    return Ok(None);
                }
                continue;
            };
            let (line, is_last) = match reader.next(&mut self.rest)? {
                Some(line) => (Some(line), false),
                // What a file ends with goes on in the next one.
                None if self.parts.is_empty() => (reader.unfinished(), true),
                None => {
                    self.rest = reader.take_rest();
                    (None, true)
                }
            };
            let wanted = line.filter(|line| self.likes(line));
            let wanted = wanted.filter(|line| self.skipped(line));
            if is_last {
                self.reader = None;
            }
            if wanted.is_some() {
                return Ok(wanted);
            }
        }
    }

    /// False while lines are to be left out.
    fn skipped(&mut self, line: &Timed) -> bool {
        let Some(reader) = &mut self.reader else { return true };
        let skips = reader.skip > 0;
        reader.skip -= usize::from(skips && line.ends);
        !skips
    }

    fn next_part(&mut self) -> io::Result<bool> {
        while let Some(Part { content, from, to, skip }) = self.parts.pop_front() {
            let opened = match content {
                Content::Current(file) => {
                    let end = file.metadata()?.len().min(to);
                    let times = self.end.as_ref().and_then(|(file, _)| times_of(file));
                    reader::open(file, times, from, end)
                }
                Content::Rotated(path) => reader::open_rotated(&path, from, to),
            };
            match opened {
                Ok(mut reader) => {
                    reader.skip = skip;
                    self.reader = Some(reader);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The file that was at the path, and the offset behind its last newline when it was opened:
    /// where a follower goes on without gap or repetition.
    pub fn into_end(self) -> Option<(File, u64)> {
        self.end
    }
}

/// What stands after a file's last newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A line of its own.
    Line,
    /// The first half of one that counts where its second half is.
    Half,
}

/// How the lines of a file are counted.
enum Found<'a> {
    Counted(&'a File, Cut),
    Scanned(Reader, Cut),
}

/// The index of an open log, by the name it has now.
fn times_of(file: &File) -> Option<Times> {
    Times::open(&crate::growing::name_of(file)?, Some(&file.metadata().ok()?))
}

/// A file's last change, in milliseconds since the epoch.
fn modified(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;

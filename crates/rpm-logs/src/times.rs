//! When bytes of a log file were written: the time index beside it.
//!
//! Raw lines carry no time, and a file's own time is that of its last byte only. So the writer
//! notes, at most once in [`RESOLUTION_MS`], at which offset it was when; readers merge files in
//! that order and find `--since` by bisection. The index is a help, not a promise: where it is
//! missing, unwritable or of another file, readers fall back on what the lines and the file say.
//!
//! The index of `DIR/NAME` is `DIR/.NAME.times`; whoever renames or removes a log does so with its
//! index. It has a header of 24 bytes (`rpmtime1`, device and inode of its log) and records of 12:
//! an offset and milliseconds since the epoch, 48 bits each. All numbers are little-endian.

use crate::open::open_beside;
use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// How exactly a line's time is known.
pub const RESOLUTION_MS: u64 = 10;
const MAGIC: &[u8; 8] = b"rpmtime1";
const HEADER_BYTES: u64 = 24;
const RECORD_BYTES: usize = 12;
/// Records kept in memory before they are written: what a killed daemon loses, at most.
const MAX_WAITING: usize = 64;
/// How long records are kept in memory while more come.
const MAX_DELAY_MS: u64 = 1000;

/// The index of a log file; `None` where `log` has no name. A compressed log has that of the file
/// it was made of, whose offsets are its own once it is unpacked.
pub fn path_of(log: &Path) -> Option<PathBuf> {
    let compressed = log.extension().is_some_and(|end| end == "gz" || end == "zst");
    let plain = if compressed { log.with_extension("") } else { log.to_owned() };
    let mut name = OsString::from(".");
    name.push(plain.file_name()?);
    name.push(".times");
    Some(plain.with_file_name(name))
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// From `offset` on, what the log has was written at `at` or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    /// Milliseconds since the epoch.
    pub(crate) at: u64,
}

impl Record {
    fn bytes(self) -> impl Iterator<Item = u8> {
        let six = |number: u64| number.to_le_bytes().into_iter().take(RECORD_BYTES / 2);
        six(self.offset).chain(six(self.at))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (offset, at) = bytes.get(..RECORD_BYTES)?.split_at(RECORD_BYTES / 2);
        let number = |six: &[u8]| six.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(Self { offset: number(offset), at: number(at) })
    }
}

fn header(log: &Metadata) -> Vec<u8> {
    [*MAGIC, log.dev().to_le_bytes(), log.ino().to_le_bytes()].concat()
}

/// The writer's half.
#[derive(Debug)]
pub(crate) struct TimesWriter {
    /// `None`: it cannot be written, and the log is none the worse for it.
    file: Option<File>,
    /// The index's length.
    length: u64,
    last: Option<Record>,
    waiting: Vec<u8>,
    written_at: u64,
}

impl TimesWriter {
    /// Continues the index of `log`, which is open as `metadata` says, or begins it.
    pub(crate) fn open(log: &Path, metadata: &Metadata) -> Self {
        let mut writer =
            Self { file: None, length: 0, last: None, waiting: Vec::new(), written_at: 0 };
        // A file that is no longer there, or was never, needs none.
        let named = log.metadata().is_ok_and(|named| crate::growing::is_same(&named, metadata));
        let path = path_of(log).filter(|_| named && metadata.is_file());
        let Some(path) = path else { return writer };
        // A link in its place would lead us to write elsewhere, and nobody else has one there.
        let link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        if let Some(file) = (!link).then(|| open_beside(&path).ok()).flatten() {
            // Where this fails there is no index; nothing else depends on it.
            let _unwritable = writer.begin(file, metadata);
        }
        writer
    }

    fn begin(&mut self, file: File, log: &Metadata) -> io::Result<()> {
        let header = header(log);
        let times = Times::check(file.try_clone()?, Some(&header));
        self.last = times.as_ref().and_then(|times| times.get(times.count().checked_sub(1)?));
        self.length = match &times {
            Some(times) => HEADER_BYTES + times.count() * RECORD_BYTES as u64,
            None => HEADER_BYTES,
        };
        if times.is_none() {
            file.set_len(0)?;
            file.write_all_at(&header, 0)?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Bytes were written at `offset`, now.
    pub(crate) fn note(&mut self, offset: u64, now: u64) {
        if self.file.is_none() {
            return;
        }
        if self.last.is_some_and(|last| offset < last.offset) {
            self.forget();
        }
        // A clock that was set back must not put lines out of order.
        let at = self.last.map_or(now, |last| now.max(last.at));
        if self.last.is_some_and(|last| at - last.at < RESOLUTION_MS) {
            return;
        }
        let record = Record { offset, at };
        self.waiting.extend(record.bytes());
        self.last = Some(record);
        let full = self.waiting.len() >= MAX_WAITING * RECORD_BYTES;
        if full || now.abs_diff(self.written_at) >= MAX_DELAY_MS {
            self.flush(now);
        }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self, now: u64) {
        self.written_at = now;
        let Some(file) = self.file.as_ref().filter(|_| !self.waiting.is_empty()) else { return };
        match file.write_all_at(&self.waiting, self.length) {
            Ok(()) => self.length += self.waiting.len() as u64,
            // A full disk: what it took of this is written over by the next try, or cut off as no
            // whole record by who reads it.
            Err(_) => drop(file.set_len(self.length)),
        }
        self.waiting.clear();
    }

    /// The log was emptied, and starts anew.
    fn forget(&mut self) {
        self.waiting.clear();
        self.last = None;
        self.length = HEADER_BYTES;
        let emptied = self.file.as_ref().map(|file| file.set_len(HEADER_BYTES));
        if emptied.is_some_and(|emptied| emptied.is_err()) {
            self.file = None;
        }
    }
}

impl Drop for TimesWriter {
    fn drop(&mut self) {
        self.flush(0);
    }
}

/// The reader's half: an index as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Times {
    file: File,
    count: u64,
}

impl Times {
    /// The index of `log`; `None` where there is none with a record in it. `metadata` is that of
    /// the open log; a compressed log (`None`) is not the file the index was made for.
    pub(crate) fn open(log: &Path, metadata: Option<&Metadata>) -> Option<Self> {
        let file = File::open(path_of(log)?).ok()?;
        let header = metadata.map(header);
        Self::check(file, header.as_deref()).filter(|times| times.count > 0)
    }

    fn check(file: File, wanted: Option<&[u8]>) -> Option<Self> {
        let mut found = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut found, 0).ok()?;
        let ours = wanted.map_or(found.starts_with(MAGIC), |wanted| found == wanted);
        let bytes = file.metadata().ok()?.len().checked_sub(HEADER_BYTES)?;
        ours.then_some(Self { file, count: bytes / RECORD_BYTES as u64 })
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// A record by its number; `None` behind the last, or where it cannot be read.
    pub(crate) fn get(&self, number: u64) -> Option<Record> {
        if number >= self.count {
            return None;
        }
        let mut bytes = [0; RECORD_BYTES];
        let at = HEADER_BYTES + number * RECORD_BYTES as u64;
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Record::read(&bytes)
    }

    /// How many records are `before`; it must be true for none after one for which it is false.
    pub(crate) fn partition(&self, before: impl Fn(Record) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Log {
        directory: tempfile::TempDir,
    }

    impl Log {
        fn new() -> Self {
            let log = Self { directory: tempfile::tempdir().unwrap() };
            File::create(log.path()).unwrap();
            log
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("a.log")
        }

        fn writer(&self) -> TimesWriter {
            TimesWriter::open(&self.path(), &self.path().metadata().unwrap())
        }

        fn records(&self) -> Vec<(u64, u64)> {
            let times = Times::open(&self.path(), Some(&self.path().metadata().unwrap()));
            let times = times.into_iter();
            let all = times.flat_map(|times| (0..=times.count()).map_while(move |n| times.get(n)));
            all.map(|Record { offset, at }| (offset, at)).collect()
        }
    }

    #[test]
    fn names_are_beside_the_log_and_those_of_what_was_compressed() {
        let of = |log: &str| path_of(Path::new(log)).unwrap().display().to_string();
        assert_eq!(of("/l/a-out.log"), "/l/.a-out.log.times");
        assert_eq!(of("/l/a-out.log.1.gz"), "/l/.a-out.log.1.times");
        assert_eq!(of("a.log.zst"), ".a.log.times");
        assert_eq!(path_of(Path::new("/")), None);
    }

    #[test]
    fn a_record_each_ten_milliseconds_and_never_backwards() {
        let log = Log::new();
        let mut writer = log.writer();
        for (offset, now) in [(0, 5000), (10, 5009), (20, 5010), (30, 3000), (40, 5020)] {
            writer.note(offset, now);
        }
        drop(writer);
        assert_eq!(log.records(), [(0, 5000), (20, 5010), (40, 5020)]);
    }

    #[test]
    fn a_second_or_sixty_four_records_are_written() {
        let log = Log::new();
        let mut writer = log.writer();
        writer.note(0, 5000);
        assert_eq!(log.records(), [(0, 5000)]);
        for number in 1..=64 {
            writer.note(number, 5000 + 10 * number);
            let written = if number < 64 { 1 } else { 65 };
            assert_eq!(log.records().len(), written, "{number}");
        }
        writer.note(65, 6630);
        assert_eq!(log.records().len(), 65);
        writer.note(66, 6640);
        assert_eq!(log.records().len(), 67);
    }

    #[test]
    fn a_successor_goes_on_and_an_emptied_or_other_log_begins_anew() {
        let log = Log::new();
        log.writer().note(0, 5000);
        log.writer().note(7, 6000);
        assert_eq!(log.records(), [(0, 5000), (7, 6000)]);
        log.writer().note(3, 7000);
        assert_eq!(log.records(), [(3, 7000)]);
        let old = log.path().with_file_name("old");
        std::fs::rename(log.path(), &old).unwrap();
        File::create(log.path()).unwrap();
        assert_eq!(log.records(), []);
        log.writer().note(0, 8000);
        assert_eq!(log.records(), [(0, 8000)]);
    }

    #[test]
    fn half_a_record_is_none_and_is_written_over() {
        let log = Log::new();
        log.writer().note(1 << 40, 5000);
        let index = path_of(&log.path()).unwrap();
        let mut bytes = std::fs::read(&index).unwrap();
        bytes.extend([1, 2, 3]);
        std::fs::write(&index, &bytes).unwrap();
        assert_eq!(log.records(), [(1 << 40, 5000)]);
        log.writer().note(1 << 41, 6000);
        assert_eq!(log.records(), [(1 << 40, 5000), (1 << 41, 6000)]);
        std::fs::write(&index, b"rpmtime1 but short").unwrap();
        assert_eq!(log.records(), []);
        log.writer().note(9, 7000);
        assert_eq!(log.records(), [(9, 7000)]);
    }

    #[test]
    fn a_log_in_an_unwritable_place_has_none() {
        let metadata = Path::new("/proc/self/status").metadata().unwrap();
        let mut writer = TimesWriter::open(Path::new("/proc/self/status"), &metadata);
        writer.note(0, 5000);
        assert!(writer.file.is_none());
    }

    #[test]
    fn a_link_in_its_place_is_left_alone() {
        let log = Log::new();
        let target = log.path().with_file_name("precious");
        std::fs::write(&target, "precious").unwrap();
        let index = path_of(&log.path()).unwrap();
        std::os::unix::fs::symlink(&target, &index).unwrap();
        log.writer().note(0, 5000);
        std::fs::remove_file(&index).unwrap();
        // A second name counts as one where others than root may write.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(log.directory.path(), all).unwrap();
        std::fs::hard_link(&target, &index).unwrap();
        if nix::unistd::geteuid().is_root() {
            log.writer().note(0, 5000);
        }
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn bisection_finds_the_edge() {
        let log = Log::new();
        let mut writer = log.writer();
        (0..100).for_each(|n| writer.note(n * 10, 1000 + n * 100));
        drop(writer);
        let times = Times::open(&log.path(), None).unwrap();
        for at in [0, 999, 1000, 1001, 5000, 10_900, 99_999] {
            let plain = (0..100).filter(|n| 1000 + n * 100 < at).count() as u64;
            assert_eq!(times.partition(|record| record.at < at), plain, "{at}");
        }
    }
}

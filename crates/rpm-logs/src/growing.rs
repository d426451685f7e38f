//! [`Growing`]: one open file that is read as it grows.

use crate::history;
use std::{
    fmt,
    fs::{File, Metadata},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// Bytes read in one turn, so that one flooded file does not starve the others.
const BLOCK_BYTES: usize = 64 << 10;

/// A file and how far it was read.
pub(crate) struct Growing {
    file: File,
    offset: u64,
    /// The bytes of a compressed file.
    unpacked: Option<Box<dyn Read + Send>>,
}

/// What a turn of reading found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// New bytes.
    Bytes(Vec<u8>),
    /// Nothing new.
    End,
    /// The file was emptied; the next turn starts at its beginning.
    Truncated,
}

impl Growing {
    /// Opens `path` to be read from `offset`; `None` if there is no such file.
    pub(crate) fn open(path: &Path, offset: Option<u64>) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                let offset = offset.map_or_else(|| file.metadata().map(|data| data.len()), Ok)?;
                Ok(Some(Self::new(file, offset)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An open file, to be read from `offset`.
    pub(crate) fn new(file: File, offset: u64) -> Self {
        Self { file, offset, unpacked: None }
    }

    /// A file that was rotated away, compressed perhaps; `None` if there is no such file.
    pub(crate) fn open_rotated(path: &Path) -> io::Result<Option<Self>> {
        let Some(growing) = Self::open(path, Some(0))? else { return Ok(None) };
        if !history::is_compressed(path) {
            return Ok(Some(growing));
        }
        let unpacked = Some(history::unpacked(path, growing.file.try_clone()?)?);
        Ok(Some(Self { unpacked, ..growing }))
    }

    /// Whether more may be written to it.
    pub(crate) fn grows(&self) -> bool {
        self.unpacked.is_none()
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// The file itself, whatever its name is by now.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether `path` still names this file.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        match (self.file.metadata(), std::fs::metadata(path)) {
            (Ok(ours), Ok(theirs)) => is_same(&ours, &theirs),
            _ => false,
        }
    }

    pub(crate) fn read(&mut self) -> io::Result<Block> {
        if self.grows() && self.file.metadata()?.len() < self.offset {
            self.offset = 0;
            return Ok(Block::Truncated);
        }
        let mut bytes = vec![0; BLOCK_BYTES];
        let count = loop {
            let read = match &mut self.unpacked {
                Some(unpacked) => unpacked.read(&mut bytes),
                None => self.file.read_at(&mut bytes, self.offset),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        bytes.truncate(count);
        self.offset += count as u64;
        Ok(if count == 0 { Block::End } else { Block::Bytes(bytes) })
    }
}

impl fmt::Debug for Growing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Growing").field("file", &self.file).field("offset", &self.offset).finish()
    }
}

/// Whether two are of one file.
pub(crate) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The name an open file has now (proc(5)); ` (deleted)` stands behind one that has none.
pub(crate) fn name_of(file: &File) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

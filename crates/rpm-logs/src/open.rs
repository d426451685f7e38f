//! Opening log files, so that nobody can make root write where it should not.
//!
//! A daemon of root may log into a directory of an app's user. Links there are that user's, so they
//! are refused: each part of the path is opened from the one before, and a symbolic link counts
//! only in a directory that nobody but root may write to.

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat, readlinkat},
    sys::stat::{Mode, fstat, mkdirat},
    unistd::{Gid, Uid, fchown, geteuid},
};
use std::{
    ffi::{OsStr, OsString},
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io::{self, Seek, SeekFrom},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Component, Path, PathBuf},
};

/// Links on the way to one file, as many as the kernel follows.
const MAX_LINKS: u32 = 40;
/// Missing directories are the owner's alone.
const DIRECTORY_MODE: u32 = 0o700;
/// A named pipe without a reader is an error, not a daemon that hangs.
const FLAGS: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Who may read a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits; 0600 unless given.
    pub mode: u32,
    /// Its group, by number; the daemon's own unless given.
    pub group: Option<u32>,
}

impl Default for Access {
    fn default() -> Self {
        Self { mode: 0o600, group: None }
    }
}

/// The number of a group, given by name or number.
pub fn group(name: &str) -> Option<u32> {
    let number = name.parse().ok();
    number.or_else(|| nix::unistd::Group::from_name(name).ok()?.map(|group| group.gid.as_raw()))
}

/// Opens `path` for writing at its end; makes it and its directories where they are missing.
pub(crate) fn open(path: &Path, access: Access) -> io::Result<File> {
    let mut file = open_for(path, OFlag::O_WRONLY | OFlag::O_CREAT)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        apply(&file, access, metadata.mode(), metadata.gid())?;
        file.seek(SeekFrom::End(0))?;
    }
    Ok(file)
}

/// As [`open`] a file of our own beside a log, for reading as well.
pub(crate) fn open_beside(path: &Path) -> io::Result<File> {
    open_for(path, OFlag::O_RDWR | OFlag::O_CREAT)
}

/// Opens a file that is there, for reading.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<File> {
    open_for(path, OFlag::O_RDONLY)
}

/// Makes a log empty; a device stays as it is.
///
/// # Errors
/// There is none, or it is not for us to write: a link of somebody else's.
pub fn empty(path: &Path) -> io::Result<()> {
    let file = open_for(path, OFlag::O_WRONLY)?;
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// `usage`: `O_RDONLY`, `O_WRONLY` or `O_RDWR`, with `O_CREAT` where a missing one is made.
fn open_for(path: &Path, usage: OFlag) -> io::Result<File> {
    if geteuid().is_root() { open_carefully(path, usage) } else { open_plainly(path, usage) }
}

fn apply(file: &File, access: Access, mode: u32, group: u32) -> io::Result<()> {
    if let Some(wanted) = access.group.filter(|wanted| *wanted != group) {
        fchown(file, None, Some(Gid::from_raw(wanted)))?;
    }
    // A file that was there keeps the bits its owner gave it, unless we are told which.
    let told = access != Access::default();
    if mode & 0o777 != access.mode && told {
        file.set_permissions(Permissions::from_mode(access.mode))?;
    }
    Ok(())
}

fn open_plainly(path: &Path, usage: OFlag) -> io::Result<File> {
    let create = usage.contains(OFlag::O_CREAT);
    if let Some(directory) = path.parent().filter(|_| create) {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    }
    let mut options = OpenOptions::new();
    options
        .read(!usage.contains(OFlag::O_WRONLY))
        .write(usage.intersects(OFlag::O_WRONLY | OFlag::O_RDWR))
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(FLAGS.bits());
    options.open(path)
}

/// The way to a file, part by part.
struct Walk {
    directory: OwnedFd,
    /// Nobody but root may write to `directory`.
    trusted: bool,
    /// Still to go, the next one last.
    parts: Vec<OsString>,
    links: u32,
    usage: OFlag,
}

fn open_carefully(path: &Path, usage: OFlag) -> io::Result<File> {
    let directory = root()?;
    let mut walk =
        Walk { trusted: is_trusted(&directory)?, directory, parts: Vec::new(), links: 0, usage };
    walk.push(path)?;
    while let Some(part) = walk.parts.pop() {
        if walk.parts.is_empty() {
            if let Some(file) = walk.file(&part)? {
                return Ok(file);
            }
        } else {
            walk.enter(&part)?;
        }
    }
    Err(io::ErrorKind::IsADirectory.into())
}

fn root() -> io::Result<OwnedFd> {
    Ok(File::open("/")?.into())
}

/// Nobody but root may make or rename anything in it.
fn is_trusted(directory: &OwnedFd) -> io::Result<bool> {
    let found = fstat(directory)?;
    Ok(Uid::from_raw(found.st_uid).is_root() && found.st_mode & 0o022 == 0)
}

impl Walk {
    fn push(&mut self, path: &Path) -> io::Result<()> {
        for component in path.components().rev() {
            match component {
                Component::Normal(part) => self.parts.push(part.to_owned()),
                Component::ParentDir => self.parts.push("..".into()),
                Component::CurDir | Component::RootDir => {}
                Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(())
    }

    fn enter(&mut self, part: &OsStr) -> io::Result<()> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let entered = match openat(&self.directory, part, flags, Mode::empty()) {
            Err(Errno::ENOENT) if self.usage.contains(OFlag::O_CREAT) => {
                let made = mkdirat(&self.directory, part, Mode::from_bits_truncate(DIRECTORY_MODE));
                made.or_else(|error| if error == Errno::EEXIST { Ok(()) } else { Err(error) })?;
                openat(&self.directory, part, flags, Mode::empty())
            }
            opened => opened,
        };
        match entered {
            Ok(directory) => {
                self.trusted = is_trusted(&directory)?;
                self.directory = directory;
                Ok(())
            }
            Err(Errno::ELOOP | Errno::ENOTDIR) => self.follow(part),
            Err(error) => Err(error.into()),
        }
    }

    /// The file itself; `None`: it is a link that leads elsewhere.
    fn file(&mut self, part: &OsStr) -> io::Result<Option<File>> {
        let flags = self.usage | OFlag::O_NOFOLLOW | FLAGS;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        match openat(&self.directory, part, flags, mode) {
            Ok(file) => {
                let file = File::from(file);
                let metadata = file.metadata()?;
                // A second name of a file of somebody else's, put here to be written to.
                if !self.trusted && metadata.is_file() && metadata.nlink() > 1 {
                    return Err(refused(part));
                }
                Ok(Some(file))
            }
            Err(Errno::ELOOP) => self.follow(part).map(|()| None),
            Err(error) => Err(error.into()),
        }
    }

    fn follow(&mut self, part: &OsStr) -> io::Result<()> {
        let target = PathBuf::from(readlinkat(&self.directory, part)?);
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if !self.trusted {
            return Err(refused(part));
        }
        if target.is_absolute() {
            self.directory = root()?;
            self.trusted = is_trusted(&self.directory)?;
        }
        self.push(&target)
    }
}

fn refused(part: &OsStr) -> io::Error {
    let name = part.display();
    let message = format!("{name} is a link in a directory that others than root may write to");
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn writable_by_all(path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }

    #[test]
    fn links_count_only_where_nobody_else_could_have_made_them() {
        if !geteuid().is_root() {
            return;
        }
        // Not below /tmp, which everybody may write to; a link is judged by its own directory.
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("real")).unwrap();
        symlink("real", path("link")).unwrap();
        symlink(path("real/target.log"), path("real/a.log")).unwrap();
        open(&path("link/a.log"), Access::default()).unwrap();
        assert!(path("real/target.log").exists());
        writable_by_all(&path("real"));
        let error = open(&path("link/a.log"), Access::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().starts_with("a.log is a link in a directory"), "{error}");
        open(&path("link/b.log"), Access::default()).unwrap();
        writable_by_all(directory.path());
        open(&path("link/b.log"), Access::default()).unwrap_err();
        open(&path("real/b.log"), Access::default()).unwrap();
        fs::hard_link(path("real/b.log"), path("real/c.log")).unwrap();
        open(&path("real/c.log"), Access::default()).unwrap_err();
        open(&path("real/deep/er/d.log"), Access::default()).unwrap();
        open(&path("real/deep/../e.log"), Access::default()).unwrap();
        assert!(path("real/e.log").exists());
    }

    #[test]
    fn what_is_there_is_emptied_but_not_through_a_link_of_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("victim"), "precious").unwrap();
        fs::write(path("a.log"), "line").unwrap();
        empty(&path("a.log")).unwrap();
        assert_eq!(fs::read(path("a.log")).unwrap(), b"");
        for missing in ["b.log", "deep/b.log"] {
            assert_eq!(empty(&path(missing)).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert!(!path("deep").exists());
        if geteuid().is_root() {
            symlink(path("victim"), path("c.log")).unwrap();
            writable_by_all(directory.path());
            empty(&path("c.log")).unwrap_err();
            open_for_reading(&path("c.log")).unwrap_err();
            assert_eq!(fs::read(path("victim")).unwrap(), b"precious");
        }
    }

    #[test]
    fn mode_and_group_are_as_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        open(&path, Access::default()).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let group = path.metadata().unwrap().gid();
        open(&path, Access { mode: 0o640, group: Some(group) }).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
    }
}

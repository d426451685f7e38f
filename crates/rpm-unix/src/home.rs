//! The layout of `RPM_HOME`: every file name rpm uses below it, in one place; making its
//! directories.

use crate::{fnv, process::effective_uid};
use nix::unistd::{AccessFlags, access};
use std::{
    fmt, fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

/// The longest path a Unix socket can have: sun_path has 108 bytes, the last of them 0.
const MAX_SOCKET_PATH: usize = 107;

/// A home: one fleet, one keeper, one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home at `root`, an absolute path. Touches nothing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself, 0700.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The socket of the command line protocol, 0600.
    pub fn socket(&self) -> PathBuf {
        self.root.join("rpm.sock")
    }

    /// The daemon's and keeper's own log.
    pub fn daemon_log(&self) -> PathBuf {
        self.root.join("rpm.log")
    }

    /// The daemon's pid, for people and scripts; nothing of rpm trusts it.
    pub fn pid_file(&self) -> PathBuf {
        self.root.join("rpm.pid")
    }

    /// The apps' logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The apps' pid files.
    pub fn pids(&self) -> PathBuf {
        self.root.join("pids")
    }

    /// The saved list of apps.
    pub fn dump(&self) -> PathBuf {
        self.root.join("dump.pm2")
    }

    /// The settings of `rpm set`, in PM2's form.
    pub fn module_conf(&self) -> PathBuf {
        self.root.join("module_conf.json")
    }

    /// What only rpm reads: the lock.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Versions of Node executables, as far as they were asked for.
    pub fn node_versions(&self) -> PathBuf {
        self.state().join("node-versions.json")
    }

    /// Where control groups of this home are, a directory a line.
    pub fn cgroups(&self) -> PathBuf {
        self.state().join("cgroups")
    }

    /// Locked as long as a keeper or daemon of this home lives.
    pub fn lock(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Locked by a command line while it looks for a keeper or starts one.
    pub fn start_lock(&self) -> PathBuf {
        self.state().join("start.lock")
    }

    /// What apps must reach: the preload and the control socket (traps A10). As root it is outside
    /// the home, which an app with a user of its own may not enter; else it is below `runtime`,
    /// which is the user's `XDG_RUNTIME_DIR`, or below the home.
    pub fn run(&self, runtime: Option<&Path>) -> PathBuf {
        self.run_as(effective_uid(), runtime)
    }

    fn run_as(&self, uid: u32, runtime: Option<&Path>) -> PathBuf {
        match (uid, runtime) {
            (0, _) => PathBuf::from(format!("/run/rpm-0-{}", self.hash())),
            (_, Some(directory)) => directory.join(format!("rpm-{}", self.hash())),
            (_, None) => self.root.join("run"),
        }
    }

    /// Sixteen hexadecimal digits that stand for this home where its path would be too long or have
    /// blanks: FNV-1a, 64 bits, of the path.
    pub fn hash(&self) -> String {
        let bytes = self.root.as_os_str().as_bytes();
        format!("{:016x}", fnv::add(fnv::BASIS, bytes))
    }

    /// Makes the home and its directories, 0700, where they are missing.
    ///
    /// # Errors
    /// The home cannot be used; the message says why and names the path.
    pub fn create(&self) -> Result<(), HomeError> {
        self.check_path()?;
        make_directory(&self.root, 0o700)?;
        for directory in [self.logs(), self.pids(), self.state()] {
            make_directory(&directory, 0o700)?;
        }
        Ok(())
    }

    /// Makes the directory of [`Self::run`]: 0711 as root, so that any app can reach what it is
    /// told the name of, else 0700.
    pub fn create_run(&self, runtime: Option<&Path>) -> Result<PathBuf, HomeError> {
        let directory = self.run(runtime);
        make_directory(&directory, if effective_uid() == 0 { 0o711 } else { 0o700 })?;
        Ok(directory)
    }

    fn check_path(&self) -> Result<(), HomeError> {
        if !self.root.is_absolute() {
            return Err(HomeError::Relative(self.root.clone()));
        }
        let socket = self.socket();
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(HomeError::TooLong(socket));
        }
        Ok(())
    }
}

/// Why a home cannot be used.
#[derive(Debug)]
pub enum HomeError {
    /// It is not an absolute path.
    Relative(PathBuf),
    /// A Unix socket cannot have this path.
    TooLong(PathBuf),
    /// Something else is there.
    NotADirectory(PathBuf),
    /// It belongs to another user.
    Foreign {
        /// Which directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// We may not write there.
    NotWritable(PathBuf),
    /// It could not be made.
    Create {
        /// Which directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(path) => write!(f, "{} is not an absolute path", path.display()),
            Self::TooLong(path) => write!(
                f,
                "{} is too long for a socket (at most {MAX_SOCKET_PATH} bytes)",
                path.display()
            ),
            Self::NotADirectory(path) => write!(f, "{} is not a directory", path.display()),
            Self::Foreign { path, owner } => write!(
                f,
                "{} belongs to uid {owner}, and we are uid {}",
                path.display(),
                effective_uid()
            ),
            Self::NotWritable(path) => write!(f, "{} is not writable", path.display()),
            Self::Create { path, error } => {
                write!(f, "cannot make the directory {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for HomeError {}

/// Makes a directory of ours, with its parents, or checks and tightens the one that is there.
fn make_directory(path: &Path, mode: u32) -> Result<(), HomeError> {
    let create = |error| HomeError::Create { path: path.to_owned(), error };
    match fs::DirBuilder::new().recursive(true).mode(mode).create(path) {
        // Recursive creation reports a file in the way in one way or the other.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EEXIST | libc::ENOTDIR)) => {
            return Err(HomeError::NotADirectory(path.to_owned()));
        }
        result => result.map_err(create)?,
    }
    let found = fs::metadata(path).map_err(create)?;
    if found.uid() != effective_uid() {
        return Err(HomeError::Foreign { path: path.to_owned(), owner: found.uid() });
    }
    if access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Err(HomeError::NotWritable(path.to_owned()));
    }
    if found.mode() & 0o777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(create)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_directory_depends_on_who_we_are() {
        let home = Home::new("/home/a b/.rpm");
        let hash = home.hash();
        let runtime = Some(Path::new("/run/user/7"));
        let table = [
            (0, runtime, format!("/run/rpm-0-{hash}")),
            (0, None, format!("/run/rpm-0-{hash}")),
            (7, runtime, format!("/run/user/7/rpm-{hash}")),
            (7, None, "/home/a b/.rpm/run".to_owned()),
        ];
        for (uid, runtime, expected) in table {
            assert_eq!(home.run_as(uid, runtime), PathBuf::from(expected));
        }
    }

    #[test]
    fn the_hash_is_that_of_the_reference() {
        // Test vectors of FNV-1a 64 from its authors.
        assert_eq!(Home::new("").hash(), "cbf29ce484222325");
        assert_eq!(Home::new("foobar").hash(), "85944171f73967e8");
    }

    #[test]
    fn directories_are_made_and_tightened() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("deep/home"));
        fs::create_dir_all(home.root()).unwrap();
        fs::set_permissions(home.root(), fs::Permissions::from_mode(0o755)).unwrap();
        home.create().unwrap();
        home.create().unwrap();
        for made in [home.root().to_owned(), home.logs(), home.pids(), home.state()] {
            assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700, "{}", made.display());
        }
    }

    #[test]
    fn what_cannot_be_a_home_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let told = |root: &Path| Home::new(root).create().unwrap_err().to_string();
        assert_eq!(told(&file), format!("{} is not a directory", file.display()));
        assert!(told(&file.join("below")).contains("is not a directory"));
        assert_eq!(told(Path::new("here")), "here is not an absolute path");
        assert!(told(Path::new("/proc/nothing")).starts_with("cannot make the directory /proc"));
    }

    #[test]
    fn the_longest_socket_path_is_the_kernels() {
        let longest = format!("/{}", "x".repeat(MAX_SOCKET_PATH - "//rpm.sock".len()));
        assert!(Home::new(&longest).check_path().is_ok());
        let error = Home::new(longest + "x").check_path().unwrap_err();
        assert!(error.to_string().ends_with("is too long for a socket (at most 107 bytes)"));
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("home");
        fs::create_dir(&root).unwrap();
        // Only root can give a directory away; to anybody else this test says nothing.
        if std::os::unix::fs::chown(&root, Some(12345), None).is_ok() {
            let error = Home::new(&root).create().unwrap_err();
            let expected = format!("{} belongs to uid 12345, and we are uid 0", root.display());
            assert_eq!(error.to_string(), expected);
        }
    }
}

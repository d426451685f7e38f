//! [`Search`]: how words become files: `~`, the app's directory, PATH.

use std::{
    fs::{self, Metadata},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

/// The places where an app's files are looked for.
pub(crate) struct Search {
    /// The app's directory, absolute.
    pub(crate) cwd: PathBuf,
    /// What `~` is.
    pub(crate) home: Option<PathBuf>,
    /// The app's PATH, as it stands in its environment.
    pub(crate) path: String,
    /// Where nvm has its versions of Node.
    pub(crate) nvm: PathBuf,
}

impl Search {
    /// `text` as an absolute path: `~` expanded, relative to the app's directory. Symlinks and
    /// `..` stay as they are, for they are followed anew at each spawn.
    pub(crate) fn absolute(&self, text: &str) -> PathBuf {
        absolute(text, &self.cwd, self.home.as_deref())
    }

    /// The first executable file called `word` in PATH.
    pub(crate) fn in_path(&self, word: &str) -> Option<PathBuf> {
        if word.is_empty() || word.contains('/') {
            return None;
        }
        let directories = self.path.split(':');
        let files = directories.map(|directory| self.absolute(directory).join(word));
        files.into_iter().find(|file| is_executable_file(file))
    }
}

/// As [`Search::absolute`], before there is an app's directory.
pub(crate) fn absolute(text: &str, cwd: &Path, home: Option<&Path>) -> PathBuf {
    let path = match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => cwd.join(text),
    };
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Whether `path` is a regular file with any execute bit.
pub(crate) fn is_executable_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && is_executable(&meta))
}

/// Whether anybody may execute it. Whether this user may is the kernel's to say at the spawn.
pub(crate) fn is_executable(meta: &Metadata) -> bool {
    meta.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_as_written() {
        let (cwd, home) = (Path::new("/srv/app"), Some(Path::new("/home/ann")));
        let table = [
            ("server.js", "/srv/app/server.js"),
            ("./server.js", "/srv/app/server.js"),
            ("../current/./a//b", "/srv/app/../current/a/b"),
            ("/opt/x", "/opt/x"),
            (".", "/srv/app"),
            ("", "/srv/app"),
            ("~", "/home/ann"),
            ("~/x", "/home/ann/x"),
            ("~bob/x", "/srv/app/~bob/x"),
        ];
        for (text, want) in table {
            assert_eq!(absolute(text, cwd, home), Path::new(want), "{text:?}");
        }
        assert_eq!(absolute("~/x", cwd, None), Path::new("/srv/app/~/x"));
    }
}

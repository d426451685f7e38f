//! [`Context`]: everything outside a file that decides what its apps become. This is the one place
//! of the crate that looks at the running process, and only in [`Context::of_this_process`].

use crate::cpus;
use std::{
    collections::BTreeMap,
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What `resolve` needs to know besides the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Where relative paths of the command line start; absolute.
    pub cwd: PathBuf,
    /// What `~` is.
    pub home: Option<PathBuf>,
    /// The caller's environment; its PATH is searched unless an app sets its own.
    pub environment: BTreeMap<String, String>,
    /// `--env NAME`.
    pub env_name: Option<String>,
    /// The CPUs that `max` means, at least 1.
    pub cpus: u32,
    /// The `rpm` binary, which serves `script = "serve"`.
    pub executable: PathBuf,
}

impl Context {
    /// The context of the calling process. Variables that are not UTF-8 are left out: no ecosystem
    /// file could name them, and specs travel as JSON.
    pub fn of_this_process(env_name: Option<String>) -> io::Result<Self> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment: BTreeMap<String, String> = env::vars_os().filter_map(text).collect();
        let cwd = logical_cwd(environment.get("PWD").map(Path::new), env::current_dir()?);
        let home = environment.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let executable = env::current_exe()?;
        Ok(Self { cwd, home, environment, env_name, cpus: cpus::usable().count, executable })
    }
}

/// The directory as its user named it: `PWD` if that is the same directory as `physical`. Only so
/// does a start inside `current`, a symlink, follow the link when it is flipped.
fn logical_cwd(pwd: Option<&Path>, physical: PathBuf) -> PathBuf {
    let identity = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    match pwd.filter(|pwd| pwd.is_absolute()) {
        Some(pwd) if identity(pwd).is_some() && identity(pwd) == identity(&physical) => pwd.into(),
        _ => physical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_symlinked_directory_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (release, other) = (dir.path().join("v1"), dir.path().join("v2"));
        let current = dir.path().join("current");
        fs::create_dir(&release).unwrap();
        fs::create_dir(&other).unwrap();
        symlink(&release, &current).unwrap();
        let table = [
            (Some(current.as_path()), &current),
            (Some(other.as_path()), &release),
            (Some(Path::new("current")), &release),
            (Some(Path::new("/nowhere")), &release),
            (None, &release),
        ];
        for (pwd, want) in table {
            assert_eq!(logical_cwd(pwd, release.clone()), *want, "{pwd:?}");
        }
    }

    #[test]
    fn this_process_has_a_context() {
        let context = Context::of_this_process(Some("production".into())).unwrap();
        assert!(context.cwd.is_absolute() && context.executable.is_absolute());
        assert!(context.cpus >= 1);
        assert_eq!(context.env_name.as_deref(), Some("production"));
    }
}

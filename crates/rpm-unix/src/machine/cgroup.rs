//! Control groups: whether there is version 2, and whether we may make groups below our own
//! (cgroups(7), Documentation/admin-guide/cgroup-v2.rst).

use nix::unistd::{AccessFlags, access};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where version 2 is mounted, by convention and by systemd.
const ROOT: &str = "/sys/fs/cgroup";

/// The group this process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its directory.
    pub path: PathBuf,
    /// We may make groups in it and move processes there.
    pub delegated: bool,
    /// What may be limited in it: `memory`, `cpu`, `pids` …
    pub controllers: Vec<String>,
}

/// The group of this process; `None` where there is no version 2.
pub fn cgroup() -> Option<Cgroup> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    find(Path::new(ROOT), &own)
}

fn find(root: &Path, own: &str) -> Option<Cgroup> {
    let below = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let path = root.join(below);
    let controllers = fs::read_to_string(path.join("cgroup.controllers")).ok()?;
    let writable = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
    Some(Cgroup {
        delegated: writable(&path) && writable(&path.join("cgroup.procs")),
        controllers: controllers.split_whitespace().map(str::to_owned).collect(),
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_the_line_of_version_2() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("user.slice/one");
        fs::create_dir_all(&path).unwrap();
        let own = "4:memory:/old\n0::/user.slice/one\n";
        assert_eq!(find(root.path(), own), None);
        fs::write(path.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let controllers = ["cpu", "memory", "pids"].map(str::to_owned).to_vec();
        let expected = Cgroup { path: path.clone(), delegated: false, controllers };
        assert_eq!(find(root.path(), own), Some(expected.clone()));
        fs::write(path.join("cgroup.procs"), "").unwrap();
        assert_eq!(find(root.path(), own), Some(Cgroup { delegated: true, ..expected }));
        assert_eq!(find(root.path(), "4:memory:/old\n"), None);
    }
}

//! The home: whose it is, who may look into it, whether there is room.

use super::Check;
use rpm_unix::{home::Home, machine, machine::Disk, process};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

const AREA: &str = "home";
/// Less than this and no state can be written for sure.
const NO_ROOM: u64 = 16 << 20;
/// Less than this is worth a warning: a day of a talkative app's log.
const LITTLE_ROOM: u64 = 1 << 30;
/// Fewer files than this that can still be made are worth one as well.
const FEW_FILES: u64 = 1000;

/// All of this area. Only looks: nothing is made or changed.
pub(crate) fn checks(home: &Home) -> Vec<Check> {
    let root = home.root();
    let first = match fs::metadata(root) {
        Ok(found) => directory(root, &found, process::effective_uid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::ok(AREA, "directory", format!("{} is made when it is needed", root.display()))
        }
        Err(error) => Check::ok(AREA, "directory", format!("{}: {error}", root.display()))
            .broken("set RPM_HOME to a directory of yours"),
    };
    vec![first, files(home), room(&existing(root))]
}

fn directory(path: &Path, found: &fs::Metadata, user: u32) -> Check {
    let (shown, mode) = (path.display(), found.mode() & 0o777);
    let check = |found: String| Check::ok(AREA, "directory", found);
    if !found.is_dir() {
        return check(format!("{shown} is not a directory"))
            .broken("move it away, or set RPM_HOME to another path");
    }
    if found.uid() != user {
        return check(format!("{shown} belongs to uid {}, and we are uid {user}", found.uid()))
            .broken("run rpm as its owner, or set RPM_HOME to a directory of yours");
    }
    let check = check(format!("{shown}, mode {mode:04o}"));
    if mode & 0o077 != 0 {
        return check.warning(format!("chmod 700 {shown}: others may look into it"));
    }
    check
}

/// What is in it and only for its owner: the list of apps has their environments.
fn files(home: &Home) -> Check {
    let check = |found: String| Check::ok(AREA, "files", found);
    let secret = [home.dump(), home.daemon_log(), home.module_conf(), home.logs(), home.state()];
    let open =
        |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.mode() & 0o077 != 0);
    let open: Vec<_> =
        secret.iter().filter(|path| open(path)).map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        return check("for their owner only".into());
    }
    let open = open.join(" ");
    check(format!("others may read {open}")).warning(format!("chmod go= {open}"))
}

/// The nearest directory that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn room(path: &Path) -> Check {
    match machine::disk(path) {
        Ok(disk) => judge_room(disk),
        Err(error) => {
            let found = format!("{}: {error}", path.display());
            Check::ok(AREA, "disk", found).warning("df tells how much is free")
        }
    }
}

fn judge_room(disk: Disk) -> Check {
    let megabytes = disk.free_bytes >> 20;
    let check = Check::ok(AREA, "disk", format!("{megabytes} MiB free"));
    if disk.free_bytes < NO_ROOM {
        return check.broken("make room: neither state nor logs can be written");
    }
    if disk.free_files.is_some_and(|files| files < FEW_FILES) {
        return check.warning("few files can still be made there: delete some (df -i)");
    }
    if disk.free_bytes < LITTLE_ROOM {
        return check.warning("make room, or let logs rotate earlier (`rotate`)");
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use std::os::unix::fs::PermissionsExt;

    fn states(home: &Home) -> [State; 2] {
        let checks = checks(home);
        [checks[0].state, checks[1].state]
    }

    #[test]
    fn a_home_is_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("home"));
        assert_eq!(states(&home), [State::Ok; 2]);
        home.create().unwrap();
        assert_eq!(states(&home), [State::Ok; 2]);
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        open(home.root(), 0o755);
        fs::write(home.dump(), "[]").unwrap();
        open(&home.dump(), 0o640);
        let told = checks(&home);
        assert_eq!(states(&home), [State::Warning; 2]);
        assert_eq!(told[1].todo, Some(format!("chmod go= {}", home.dump().display())));
    }

    #[test]
    fn what_is_no_directory_of_ours_is_broken() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(states(&Home::new(&file))[0], State::Broken);
        assert_eq!(states(&Home::new(file.join("below")))[0], State::Broken);
        let found = fs::metadata(directory.path()).unwrap();
        let other = directory_of(directory.path(), &found);
        assert_eq!(other.state, State::Broken);
    }

    fn directory_of(path: &Path, found: &fs::Metadata) -> Check {
        super::directory(path, found, found.uid() + 1)
    }

    #[test]
    fn room_is_judged_at_its_edges() {
        let state = |free_bytes, free_files| {
            judge_room(Disk { free_bytes, all_bytes: 1 << 40, free_files }).state
        };
        assert_eq!(state(LITTLE_ROOM, Some(FEW_FILES)), State::Ok);
        assert_eq!(state(LITTLE_ROOM, None), State::Ok);
        assert_eq!(state(LITTLE_ROOM - 1, None), State::Warning);
        assert_eq!(state(LITTLE_ROOM, Some(FEW_FILES - 1)), State::Warning);
        assert_eq!(state(NO_ROOM - 1, None), State::Broken);
    }
}

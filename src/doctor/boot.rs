//! Whether the fleet comes back after a reboot: a unit of systemd, lingering, a saved list.

use super::Check;
use std::{
    fs,
    path::{Path, PathBuf},
};

const AREA: &str = "boot";
/// The first systemd with `ExitType=cgroup` (systemd.service(5)): without it a unit ends with its
/// first process, and all apps with the keeper (traps A16).
const EXIT_TYPE_SINCE: u32 = 250;

/// Where things are on this machine; tests have another one.
pub(crate) struct Places {
    /// Exists where systemd runs (sd_booted(3)).
    pub(crate) systemd: PathBuf,
    /// Its version, where it tells.
    pub(crate) version: Option<u32>,
    /// Where units of the machine and of the user are.
    pub(crate) units: Vec<PathBuf>,
    /// Has a file named like each user whose units run without a session (loginctl(1)).
    pub(crate) linger: PathBuf,
    /// Who asks; root needs no lingering.
    pub(crate) user: String,
    pub(crate) root: bool,
    /// The saved list.
    pub(crate) dump: PathBuf,
}

/// All of this area.
pub(crate) fn checks(places: &Places) -> Vec<Check> {
    let unit = places.units.iter().find_map(|directory| unit_in(directory));
    vec![boot_unit(places, unit.as_deref()), linger(places, unit.as_deref()), saved(&places.dump)]
}

/// A unit whose name begins with `rpm` and which something wants at boot: a link in a directory
/// `*.wants` (systemd.unit(5)).
fn unit_in(directory: &Path) -> Option<PathBuf> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let wants = entries(directory).map(|entry| entry.path());
    let mut wants = wants.filter(|path| path.extension().is_some_and(|end| end == "wants"));
    wants.find_map(|path| {
        entries(&path).map(|entry| entry.path()).find(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ours = name == "rpm.service" || name.starts_with("rpm-");
            ours && name.ends_with(".service")
        })
    })
}

/// The number in the first line of `systemctl --version`: `systemd 252 (252.39-1~deb12u2)`.
pub(crate) fn version(text: &str) -> Option<u32> {
    text.split_whitespace().nth(1)?.parse().ok()
}

fn boot_unit(places: &Places, unit: Option<&Path>) -> Check {
    let check = |found: String| Check::ok(AREA, "unit", found);
    match unit {
        Some(unit) => match places.version.filter(|version| *version < EXIT_TYPE_SINCE) {
            Some(old) => check(format!("{}, systemd {old}", unit.display())).warning(format!(
                "systemd {EXIT_TYPE_SINCE}: with {old} the unit ends if the keeper is killed"
            )),
            None => check(unit.display().to_string()),
        },
        None if places.systemd.exists() => {
            check("no unit: apps stay away after a reboot".into()).warning("rpm startup")
        }
        None => check("no systemd here".into())
            .warning("have what starts this machine run: rpm resurrect"),
    }
}

/// Units of a user run without a session only if the user lingers.
fn linger(places: &Places, unit: Option<&Path>) -> Check {
    let check = |found: String| Check::ok(AREA, "linger", found);
    let (user, system) = (&places.user, Path::new("/etc/systemd/system"));
    match unit {
        _ if places.root => check("not needed by root".into()),
        Some(unit) if unit.starts_with(system) => {
            check("not needed: the unit is the machine's".into())
        }
        _ if places.linger.join(user).exists() => check(format!("{user} lingers")),
        _ if !places.systemd.exists() => check("not needed without systemd".into()),
        _ => check(format!("{user} does not linger: units end with the last session"))
            .warning(format!("loginctl enable-linger {user}")),
    }
}

fn saved(dump: &Path) -> Check {
    let check = |found: String| Check::ok(AREA, "saved list", found);
    if let [broken, ..] = &rpm_daemon::broken_dumps(dump)[..] {
        return check(format!("{broken}; resurrect uses a former one")).warning("rpm save");
    }
    if dump.exists() {
        return check(dump.display().to_string());
    }
    check("none: nothing comes back after a reboot".into()).warning("rpm save")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn places(root: &Path) -> Places {
        Places {
            systemd: root.join("systemd"),
            version: Some(252),
            units: vec![root.join("system"), root.join("user")],
            linger: root.join("linger"),
            user: "me".into(),
            root: false,
            dump: root.join("dump.pm2"),
        }
    }

    fn states(places: &Places) -> Vec<State> {
        checks(places).iter().map(|check| check.state).collect()
    }

    #[test]
    fn systemd_tells_its_version() {
        assert_eq!(version("systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT"), Some(252));
        assert_eq!(version("systemd"), None);
        assert_eq!(version("no such thing"), None);
    }

    #[test]
    fn what_is_missing_for_a_reboot_is_told() {
        use State::{Ok, Warning};
        let directory = tempfile::tempdir().unwrap();
        let places = places(directory.path());
        assert_eq!(states(&places), [Warning, Ok, Warning]);
        fs::create_dir(&places.systemd).unwrap();
        assert_eq!(states(&places), [Warning, Warning, Warning]);
        let wants = places.units[1].join("default.target.wants");
        fs::create_dir_all(&wants).unwrap();
        fs::write(wants.join("rpm2cpio.service"), "").unwrap();
        assert_eq!(states(&places), [Warning, Warning, Warning]);
        fs::write(wants.join("rpm-me.service"), "").unwrap();
        fs::write(&places.dump, "[]").unwrap();
        assert_eq!(states(&places), [Ok, Warning, Ok]);
        fs::create_dir(&places.linger).unwrap();
        fs::write(places.linger.join("me"), "").unwrap();
        assert_eq!(states(&places), [Ok, Ok, Ok]);
        let old = Places { version: Some(249), ..places };
        assert_eq!(states(&old), [Warning, Ok, Ok]);
        let places = Places { version: None, ..old };
        assert_eq!(states(&Places { root: true, ..places }), [Ok, Ok, Ok]);
    }
}

//! [`Service`]: the files by which init systems start rpm at boot. Nothing is written here.
//!
//! All of them run `rpm resurrect`, which returns when the saved apps are ready, and end rpm by
//! SIGTERM to its keeper, which saves the list first.

mod scripts;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// An init system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Systemd,
    OpenRc,
    Runit,
    /// Of macOS.
    Launchd,
    /// Of FreeBSD.
    Rcd,
}

/// Which program tells which one a machine has, in the order of preference; and PM2's other words.
const KNOWN: [(System, &str, &[&str]); 5] = [
    (System::Systemd, "systemctl", &["systemd", "ubuntu", "centos", "arch", "oracle"]),
    (System::OpenRc, "rc-update", &["openrc", "gentoo", "alpine"]),
    (System::Runit, "sv", &["runit", "void"]),
    (System::Launchd, "launchctl", &["launchd", "darwin", "macos"]),
    (System::Rcd, "sysrc", &["rcd", "freebsd"]),
];

impl System {
    /// By its name, or a name PM2 has for it.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let known = KNOWN.iter().find(|(_, _, words)| words.contains(&word));
        known.map(|(system, ..)| *system)
    }

    /// The one whose program is in `path`.
    pub(crate) fn detect(path: &OsStr) -> Option<Self> {
        let has = |program: &str| std::env::split_paths(path).any(|one| one.join(program).exists());
        KNOWN.iter().find(|(_, program, _)| has(program)).map(|(system, ..)| *system)
    }

    /// Its name on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::OpenRc => "openrc",
            Self::Runit => "runit",
            Self::Launchd => "launchd",
            Self::Rcd => "rcd",
        }
    }

    /// What a service of `user` is called unless a person says otherwise.
    pub(crate) fn name(self, user: &str) -> String {
        match self {
            Self::Systemd | Self::OpenRc | Self::Runit => format!("rpm-{user}"),
            Self::Launchd => format!("rpm.{user}"),
            // A name in a shell script.
            Self::Rcd => format!("rpm_{user}"),
        }
    }

    /// Whether its files are executed.
    pub(crate) fn is_script(self) -> bool {
        matches!(self, Self::OpenRc | Self::Runit | Self::Rcd)
    }
}

/// One service: a user's apps.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) system: System,
    pub(crate) name: String,
    /// Whose apps they are.
    pub(crate) user: String,
    pub(crate) user_home: PathBuf,
    /// `RPM_HOME`.
    pub(crate) home: PathBuf,
    /// rpm itself.
    pub(crate) executable: PathBuf,
    /// `PATH`, by which the apps' programs are found.
    pub(crate) path: String,
    /// Only when the network has an address.
    pub(crate) wait_ip: bool,
    /// Whether root asks; others have services of their own under systemd and launchd only.
    pub(crate) as_root: bool,
}

impl Service {
    /// Whether it is a person's own, which needs no root.
    pub(crate) fn is_of_a_person(&self) -> bool {
        self.system == System::Launchd || !self.as_root && self.system == System::Systemd
    }

    /// Where its file belongs.
    pub(crate) fn path(&self) -> PathBuf {
        let name = &self.name;
        match self.system {
            System::Systemd if self.as_root => format!("/etc/systemd/system/{name}.service").into(),
            System::Systemd => self.user_home.join(format!(".config/systemd/user/{name}.service")),
            System::OpenRc => format!("/etc/init.d/{name}").into(),
            System::Runit => format!("/etc/sv/{name}/run").into(),
            System::Launchd => self.user_home.join(format!("Library/LaunchAgents/{name}.plist")),
            System::Rcd => format!("/usr/local/etc/rc.d/{name}").into(),
        }
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        match self.system {
            System::Systemd => self.unit(),
            System::OpenRc => scripts::openrc(self),
            System::Runit => scripts::runit(self),
            System::Launchd => scripts::launchd(self),
            System::Rcd => scripts::rcd(self),
        }
    }

    /// The commands that make it count.
    pub(crate) fn enable(&self) -> Vec<Vec<String>> {
        self.commands(["enable", "add", "load -w"])
    }

    /// The commands before its file is removed. What runs goes on.
    pub(crate) fn disable(&self) -> Vec<Vec<String>> {
        self.commands(["disable", "del", "unload -w"])
    }

    fn commands(&self, [systemd, openrc, launchd]: [&str; 3]) -> Vec<Vec<String>> {
        let (name, path) = (&self.name, self.path());
        let lines = match self.system {
            System::Systemd if self.as_root => vec![format!("systemctl {systemd} {name}")],
            System::Systemd => vec![format!("systemctl --user {systemd} {name}")],
            System::OpenRc => vec![format!("rc-update {openrc} {name} default")],
            System::Runit if systemd == "enable" => {
                vec![format!("ln -sfn /etc/sv/{name} {}/{name}", runit_services())]
            }
            System::Runit => vec![format!("rm -f {}/{name}", runit_services())],
            System::Launchd => vec![format!("launchctl {launchd} {}", path.display())],
            System::Rcd if systemd == "enable" => vec![format!("sysrc {name}_enable=YES")],
            System::Rcd => vec![format!("sysrc -x {name}_enable")],
        };
        // None of these words has a blank but in a person's home of launchd, which macOS forbids.
        let words = |line: String| line.split(' ').map(str::to_owned).collect();
        lines.into_iter().map(words).collect()
    }

    /// systemd.service(5). The command of `ExecStart` ends; the keeper tells systemd that it is the
    /// main process, and the last app that is gone ends the service (`ExitType`), not the keeper's
    /// own end. At a stop only the keeper is signalled (`mixed`): it ends its apps by their rules.
    fn unit(&self) -> String {
        let Self { user, .. } = self;
        let network = if self.wait_ip { "network-online.target" } else { "network.target" };
        let wants = if self.wait_ip { "Wants=network-online.target\n" } else { "" };
        let (order, whom, target) = if self.as_root {
            (format!("After={network}\n{wants}"), format!("User={user}\n"), "multi-user.target")
        } else {
            (String::new(), String::new(), "default.target")
        };
        let rpm = quoted(&self.executable.to_string_lossy());
        let path = quoted(&format!("PATH={}", self.path));
        let home = quoted(&format!("RPM_HOME={}", self.home.display()));
        format!(
            "[Unit]\nDescription=rpm: the apps of {user}\n{order}\n\
             [Service]\nType=notify\nNotifyAccess=all\nExitType=cgroup\n{whom}\
             Environment={path}\nEnvironment={home}\n\
             ExecStart={rpm} resurrect\nExecReload={rpm} reload all\n\
             KillMode=mixed\nOOMPolicy=continue\nDelegate=yes\nTasksMax=infinity\n\
             LimitNOFILE=1048576\nTimeoutStartSec=300\nTimeoutStopSec=120\n\
             Restart=on-failure\n\n\
             [Install]\nWantedBy={target}\n"
        )
    }
}

/// The directory that runit watches: Debian's, Void's, or that of its author.
fn runit_services() -> &'static str {
    let known = ["/etc/service", "/var/service", "/service"];
    known.into_iter().find(|path| Path::new(path).is_dir()).unwrap_or("/var/service")
}

/// A word of a unit file: in quotes, with `%` doubled (systemd.unit(5), systemd.syntax(7)).
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{escaped}\"")
}

/// A word of a shell script.
fn shell_word(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_units_and_scripts() {
        assert_eq!(quoted(r#"PATH=/a b:/c%d"e\"#), r#""PATH=/a b:/c%%d\"e\\""#);
        assert_eq!(shell_word(Path::new("/it's")), r"'/it'\''s'");
    }

    #[test]
    fn every_word_is_one_system() {
        for (system, _, words) in KNOWN {
            assert!(words.iter().all(|word| System::of(word) == Some(system)));
            assert_eq!(System::of(system.word()), Some(system));
        }
        assert_eq!(System::of("windows"), None);
    }
}

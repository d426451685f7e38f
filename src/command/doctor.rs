//! `doctor`: what this machine can do for rpm, what is wrong, and what to do about it.

use crate::{
    cli::Doctor,
    doctor::{Check, State, boot, daemon, home, kernel, limits, worst},
    error::CliError,
    launch,
    render::{doctor, problem::problem, style::Colors},
    session::Session,
};
use rpm_protocol::{Request, Welcome};
use rpm_unix::{limits::OpenFiles, machine, process, steer::RoundRobin, user};
use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Prints all checks; fails when something is broken. Starts no daemon and changes nothing.
pub(crate) async fn run(session: &Session, options: Doctor) -> Result<(), CliError> {
    let checks = checks(session).await;
    if options.json {
        session.print(&format!("{:#}\n", doctor::json(&checks)))?;
    } else {
        session.show(&doctor::text(&checks, session.out))?;
    }
    match worst(&checks) {
        State::Ok | State::Warning => Ok(()),
        State::Broken => Err(CliError::Told),
    }
}

async fn checks(session: &Session) -> Vec<Check> {
    let welcome = welcome(session).await;
    // What counts is where the keeper is, or would be.
    let running = welcome.as_ref().ok().and_then(|welcome| welcome.as_ref());
    let keeper = running.map_or_else(process::own, |welcome| welcome.pid);
    let mut checks = kernel::checks(&kernel_facts(keeper, &session.home.hash()));
    checks.extend(limits::checks(&limit_facts()));
    checks.extend(home::checks(&session.home));
    checks.extend(daemon::checks(&session.home, welcome));
    checks.extend(boot::checks(&places(session)));
    checks
}

fn kernel_facts(keeper: i32, hash: &str) -> kernel::Facts {
    let release = machine::kernel_release();
    let (cgroup, controllers) = kernel::groups(keeper, hash, &release);
    kernel::Facts {
        release,
        pidfd: machine::pidfd(),
        bind_filter: machine::bind_filter(),
        turns: RoundRobin::available(),
        cgroup,
        controllers,
        yama: machine::setting("/proc/sys/kernel/yama/ptrace_scope"),
        root: process::effective_uid() == 0,
    }
}

fn limit_facts() -> limits::Facts {
    let inotify = |name: &str| machine::setting(&format!("/proc/sys/fs/inotify/{name}"));
    limits::Facts {
        files: OpenFiles::current(),
        processes: machine::max_processes(),
        pipe_pages: machine::setting("/proc/sys/fs/pipe-user-pages-soft"),
        watches: (inotify("max_user_watches"), inotify("max_user_instances")),
        may_exceed: process::may_exceed_limits(),
    }
}

/// What the daemon says of itself; `None` if none runs, else why it cannot be asked.
async fn welcome(session: &Session) -> Result<Option<Welcome>, String> {
    // A home that is not there has no daemon, and looking shall not make it.
    if !session.home.socket().exists() {
        return Ok(None);
    }
    let told = |error: CliError| {
        let text = problem(&error, Colors::Off).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    let Some(mut client) = launch::greeted_if_running(session).await.map_err(told)? else {
        return Ok(None);
    };
    client.call(Request::Ping).await.map(Some).map_err(|error| told(error.into()))
}

fn systemd_version() -> Option<u32> {
    let output = Command::new("systemctl").arg("--version").stderr(Stdio::null()).output().ok()?;
    boot::version(&String::from_utf8_lossy(&output.stdout))
}

fn places(session: &Session) -> boot::Places {
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")));
    let system = PathBuf::from("/etc/systemd/system");
    boot::Places {
        systemd: "/run/systemd/system".into(),
        version: systemd_version(),
        units: [Some(system), config.map(|config| config.join("systemd/user"))]
            .into_iter()
            .flatten()
            .collect(),
        linger: "/var/lib/systemd/linger".into(),
        user: user::account(None, None).map(|account| account.name).unwrap_or_default(),
        root: process::effective_uid() == 0,
        dump: session.home.dump(),
    }
}

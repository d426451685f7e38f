//! [`keeper_main`]: from a fresh process to the running loop.

use crate::{
    children::Children,
    daemon::{Daemon, History},
    groups::WorkerGroups,
    holder::Holder,
    keeper::{Keeper, Life},
    outbox::Outbox,
    ports::Ports,
    ready::Ready,
    run::SIGNALS,
    spawner::Spawner,
};
use rpm_unix::{
    fd,
    home::{Home, HomeError},
    limits, lock, pipe, process,
    signal::Signals,
    spawn::{Baseline, Program},
};
use std::{
    ffi::CString,
    fmt,
    fs::{self, File, Permissions},
    io,
    os::{
        fd::{AsFd, OwnedFd, RawFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{OpenOptionsExt, PermissionsExt},
            net::UnixListener,
        },
    },
    path::PathBuf,
};

/// The kernel ends the keeper last of all that is not protected altogether.
const OOM_SCORE_ADJ: i32 = -900;
/// The forked child of a process has the same executable, also when its file was replaced or
/// removed: only `rpm update` changes versions (traps B10).
const OWN_EXECUTABLE: &std::ffi::CStr = c"/proc/self/exe";
/// What whoever started us meant for us, not for the daemon (traps B12). `NOTIFY_SOCKET` it keeps
/// for the keeper that it starts should this one be killed: that one is the service then.
const NOT_FOR_THE_DAEMON: [&str; 8] = [
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
];

/// The keeper role: `rpm __keeper`. Call it first thing in a process without other threads.
///
/// It leaves the terminal, takes the home, starts `rpm __daemon HOME` and, when that has greeted,
/// writes `ok` and a newline to the inherited descriptor `ready` and closes it; an error text is
/// written in its place if that cannot be. Returns, with the exit code of the process, when the
/// daemon has asked for it, or when the start has failed.
pub fn keeper_main(home: &Home, ready: RawFd) -> i32 {
    // The number may be that of standard output, which becomes the log.
    let mut ready = match fd::duplicate(ready) {
        Ok(pipe) => {
            fd::close_inherited(&[pipe.as_fd()]);
            Ready::new(pipe)
        }
        Err(error) => {
            crate::log::note(format_args!("cannot use descriptor {ready}: {error}"));
            return 1;
        }
    };
    match prepare(home) {
        Ok(parts) => parts.into_keeper(home, ready).run_for(home),
        Err(error) => {
            ready.tell(&error.to_string());
            1
        }
    }
}

impl Keeper {
    /// Runs to its end, and takes the socket away if nobody is to come after it.
    pub(crate) fn run_for(self, home: &Home) -> i32 {
        let (code, groups) = self.run();
        if code == 0 {
            groups.end();
            // The lock is still ours, so the file is.
            let _gone = fs::remove_file(home.socket());
        }
        code
    }
}

/// Why there is no keeper.
#[derive(Debug)]
pub(crate) enum StartError {
    Home(HomeError),
    Running(PathBuf),
    System { what: &'static str, error: io::Error },
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(error) => write!(f, "{error}"),
            Self::Running(lock) => {
                write!(f, "a keeper or daemon already runs here: {} is locked", lock.display())
            }
            Self::System { what, error } => write!(f, "cannot {what}: {error}"),
        }
    }
}

fn cannot(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// What is made before the loop can run.
pub(crate) struct Parts {
    pub(crate) signals: Signals,
    pub(crate) spawner: Spawner,
    pub(crate) lock: OwnedFd,
    pub(crate) rpc: OwnedFd,
}

fn prepare(home: &Home) -> Result<Parts, StartError> {
    let baseline = Baseline::capture().map_err(cannot("read our limits"))?;
    home.create().map_err(StartError::Home)?;
    let lock = lock::try_lock(&home.lock()).map_err(cannot("lock the home"))?;
    let lock = lock.ok_or_else(|| StartError::Running(home.lock()))?;
    let (signals, spawner) = furnish(home, baseline)?;
    let rpc = listen(home).map_err(cannot("listen on the socket"))?;
    Ok(Parts { signals, spawner, lock, rpc })
}

/// Makes this process what a keeper must be, whoever started it.
pub(crate) fn furnish(
    home: &Home,
    mut baseline: Baseline,
) -> Result<(Signals, Spawner), StartError> {
    process::leave_terminal().map_err(cannot("leave the terminal"))?;
    std::env::set_current_dir("/").map_err(cannot("go to /"))?;
    redirect(home).map_err(cannot("open the log"))?;
    process::set_child_subreaper().map_err(cannot("become subreaper"))?;
    limits::raise_open_files().map_err(cannot("raise the limit of open files"))?;
    if process::set_oom_score_adj(OOM_SCORE_ADJ).is_err() {
        // Not permitted, so there is nothing to take back from programs either.
        baseline.oom_score_adj = None;
    }
    // Only a name in lists of processes.
    let _unnamed = process::set_name(c"rpm-keeper");
    let signals = Signals::block(&SIGNALS).map_err(cannot("receive signals"))?;
    Ok((signals, Spawner::new(baseline).map_err(cannot("open /dev/null"))?))
}

/// Standard output and error are the log from now on, in which even a panic is found.
fn redirect(home: &Home) -> io::Result<()> {
    let log = File::options().append(true).create(true).mode(0o600).open(home.daemon_log())?;
    fd::set_standard_streams(pipe::null()?.as_fd(), log.as_fd(), log.as_fd())
}

/// A socket file is left by a keeper that was killed; the lock says that there is no other.
fn listen(home: &Home) -> io::Result<OwnedFd> {
    let path = home.socket();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    // The directory is 0700, so nobody else could connect meanwhile.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener.into())
}

impl Parts {
    pub(crate) fn into_keeper(self, home: &Home, ready: Ready) -> Keeper {
        let daemon = Daemon {
            program: daemon_program(home),
            log: home.daemon_log(),
            rpc: self.rpc,
            lock: self.lock,
            history: History::default(),
            running: None,
            foster: false,
        };
        Keeper {
            signals: self.signals,
            spawner: self.spawner,
            children: Children::default(),
            holder: Holder::default(),
            ports: Ports::new(),
            groups: WorkerGroups::new(home),
            daemon,
            link: None,
            outbox: Outbox::default(),
            ready,
            life: Life::Serving,
            greeted: false,
            end_wanted: false,
            upgrade: None,
            home: home.clone(),
        }
    }
}

fn daemon_program(home: &Home) -> Program {
    // A path that came from a command line or the environment has no zero byte.
    let root = CString::new(home.root().as_os_str().as_bytes()).unwrap_or_default();
    Program {
        file: OWN_EXECUTABLE.to_owned(),
        arguments: vec![c"rpm".to_owned(), c"__daemon".to_owned(), root],
        environment: daemon_environment(),
        directory: PathBuf::from("/"),
        credentials: None,
    }
}

fn daemon_environment() -> Vec<CString> {
    let kept = std::env::vars_os()
        .filter(|(key, _)| !NOT_FOR_THE_DAEMON.iter().any(|dropped| key == dropped));
    kept.filter_map(|(key, value)| {
        let mut entry = key.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        CString::new(entry).ok()
    })
    .collect()
}

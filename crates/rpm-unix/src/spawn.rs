//! Fork and exec: one program, with everything it shall inherit and nothing else.
//!
//! [`start`] forks and returns at once; the child works through its list (`child.rs`) and reports
//! over a socket that closes at exec, so a slow file system keeps nobody waiting but the child. The
//! calling process must have a single thread.

mod child;
mod fork;
mod report;
mod search;

use crate::{cgroup, fdpass, limits::OpenFiles, pidfd, process, procfs, wait};
use fork::Forked;
use report::Report;
use std::{
    ffi::{CStr, CString},
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
    path::PathBuf,
};

/// What to execute. Everything a child inherits is in here; nothing comes from the caller's
/// process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// A path, or a word to look up in the PATH of `environment`.
    pub file: CString,
    /// All arguments, `argv[0]` included.
    pub arguments: Vec<CString>,
    /// `KEY=VALUE` each.
    pub environment: Vec<CString>,
    /// Entered before exec.
    pub directory: PathBuf,
    /// Whom to become; `None`: the caller.
    pub credentials: Option<Credentials>,
}

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// What surrounds the program: descriptors, limits, the filter.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its standard input.
    pub input: BorrowedFd<'a>,
    /// Its standard output.
    pub output: BorrowedFd<'a>,
    /// Its standard error.
    pub error: BorrowedFd<'a>,
    /// What else it inherits, each with its number there, from 3 to 63 and once only. All other
    /// descriptors are closed.
    pub inherited: &'a [(BorrowedFd<'a>, RawFd)],
    /// A variable that is to have the program's own pid, which nobody knows before the fork:
    /// `LISTEN_PID` of sd_listen_fds(3). It must not be in the environment already.
    pub pid_variable: Option<&'a CStr>,
    /// Install the bind filter (`seccomp.rs`).
    pub filter: bool,
    /// The control group it is in from its first instruction on; `None`: the caller's.
    pub group: Option<&'a cgroup::Entry>,
    /// What it gets back of what we changed for ourselves.
    pub baseline: &'a Baseline,
}

/// The caller's own settings, before we changed them for ourselves: programs get them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// How many files it may open.
    pub open_files: OpenFiles,
    /// Its file mode mask.
    pub umask: u32,
    /// How willingly it is killed for its memory; `None`: as we are.
    pub oom_score_adj: Option<i32>,
    /// Its niceness (setpriority(2)); `None`: as we are.
    pub nice: Option<i8>,
}

impl Baseline {
    /// What this process has now. Call it before changing anything.
    pub fn capture() -> io::Result<Self> {
        Ok(Self {
            open_files: OpenFiles::current()?,
            umask: process::umask(),
            oom_score_adj: process::oom_score_adj().ok(),
            nice: None,
        })
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid, and the id of its session and process group.
    pub pid: i32,
    /// The same process, for ever.
    pub pidfd: OwnedFd,
    /// As in [`procfs::Process`].
    pub start_time: u64,
    /// What became of the bind filter.
    pub filter: Filter,
}

/// What became of the bind filter.
#[derive(Debug)]
pub enum Filter {
    /// It was not asked for.
    None,
    /// Its notifications come here.
    Installed(OwnedFd),
    /// The kernel refused it with this error number, and the program runs without (traps B6).
    Refused(i32),
}

/// Why a program does not run. There is no process then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// What failed.
    pub stage: Stage,
    /// The error number.
    pub errno: i32,
}

/// A step on the way to a running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Sockets for the start itself, or placing the descriptors.
    Descriptors,
    /// fork(2), or the child was lost before exec.
    Fork,
    /// Limits, control group, mask, priority, session.
    Limits,
    /// Handing over the filter.
    Filter,
    /// Taking user and groups.
    Credentials,
    /// Entering the directory.
    Directory,
    /// execve(2), after the look-up.
    Exec,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Descriptors => "placing descriptors",
            Stage::Fork => "fork",
            Stage::Limits => "setting limits",
            Stage::Filter => "installing the bind filter",
            Stage::Credentials => "changing user",
            Stage::Directory => "entering the directory",
            Stage::Exec => "exec",
        };
        write!(f, "{stage}: {}", io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for SpawnError {}

impl SpawnError {
    fn new(stage: Stage, error: &io::Error) -> Self {
        Self { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// A child on its way to exec. Readable ([`AsFd`]) when it has got there, or has failed.
#[derive(Debug)]
pub struct Starting {
    spawned: Spawned,
    report: OwnedFd,
}

/// How far a child is.
#[derive(Debug)]
pub enum Progress {
    /// Nothing new; ask again when readable.
    Pending(Starting),
    /// It was executed, or was killed on the way: then it ends like any other.
    Running(Spawned),
    /// It was not. The child exits by itself and is to be reaped.
    Failed(SpawnError),
}

impl Starting {
    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.spawned.pid
    }

    /// What the child has reported so far; never waits.
    pub fn progress(mut self) -> Progress {
        loop {
            match Report::receive(&self.report) {
                Ok(Report::Executed) => return Progress::Running(self.spawned),
                Ok(Report::Filter(notify)) => self.spawned.filter = Filter::Installed(notify),
                Ok(Report::NoFilter(errno)) => self.spawned.filter = Filter::Refused(errno),
                Ok(Report::Failed(error)) => return Progress::Failed(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Pending(self);
                }
                Err(error) => return Progress::Failed(self.abandon(&error)),
            }
        }
    }

    /// Its report cannot be read (no free descriptor for the filter): end it before it runs
    /// unwatched.
    fn abandon(&self, error: &io::Error) -> SpawnError {
        // It may have ended by itself, which is as good.
        let _gone = pidfd::send_signal(&self.spawned.pidfd, libc::SIGKILL);
        SpawnError::new(Stage::Descriptors, error)
    }
}

impl AsFd for Starting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }
}

/// Forks a child that will execute the program.
///
/// # Errors
/// There was no fork, or the child could not be named by a pidfd and is gone again.
pub fn start(program: &Program, setup: &Setup<'_>) -> Result<Starting, SpawnError> {
    let mut image = search::Image::new(program);
    let (report, theirs) =
        fdpass::pair(true).map_err(|error| SpawnError::new(Stage::Descriptors, &error))?;
    let parent = crate::process::own();
    // SAFETY: the caller's process has one thread (documented), so the child may do what any
    // process may; `child::run` never returns into the copy of our caller.
    match unsafe { fork::fork(setup.group.and_then(cgroup::Entry::unified)) } {
        Ok(Forked::Child { in_group }) => {
            child::run(program, &mut image, child::Birth { setup, in_group, parent }, &theirs)
        }
        Ok(Forked::Parent { child }) => {
            drop(theirs);
            Ok(Starting { spawned: identify(child)?, report })
        }
        Err(error) => Err(SpawnError { stage: Stage::Fork, errno: error as i32 }),
    }
}

/// [`start`], and waits until the program is executed or the child has failed and is reaped.
pub fn spawn(program: &Program, setup: &Setup<'_>) -> Result<Spawned, SpawnError> {
    let mut starting = start(program, setup)?;
    let pid = starting.pid();
    loop {
        let mut readable = [crate::poll::Entry::readable(starting.as_fd())];
        crate::poll::poll(&mut readable, None)
            .map_err(|error| SpawnError::new(Stage::Fork, &error))?;
        match starting.progress() {
            Progress::Pending(still) => starting = still,
            Progress::Running(spawned) => return Ok(spawned),
            Progress::Failed(error) => {
                // Its exit code says nothing that the error does not.
                let _end = wait::reap(pid);
                return Err(error);
            }
        }
    }
}

/// The child is ours and not reaped, so its pid cannot have become another's.
fn identify(pid: i32) -> Result<Spawned, SpawnError> {
    let pidfd = pidfd::open(pid).map_err(|error| {
        // Without a name for it nobody could ever stop it: better not to have it.
        let _gone = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
        let _end = wait::reap(pid);
        SpawnError::new(Stage::Descriptors, &error)
    })?;
    let start_time = procfs::process(pid).map_or(0, |process| process.start_time);
    Ok(Spawned { pid, pidfd, start_time, filter: Filter::None })
}

#[cfg(test)]
mod tests;

//! The daemon's process: started from the keeper's own executable, and again whenever it is gone.

use crate::{
    keeper::SIGKILL,
    message::{LINK_FD, LOCK_FD, RPC_FD},
};
use rpm_unix::{
    fdpass, pidfd, pipe,
    spawn::{self, Baseline, Program, Setup, SpawnError, Spawned},
    wait::End,
};
use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::PathBuf,
    time::Duration,
};

/// Two starts are at least this far apart, in milliseconds.
const RESTART_INTERVAL: u64 = 1000;
/// How long a death is counted, in milliseconds.
const DEATHS_WINDOW: u64 = 60_000;
/// As many starts as fit into the window, and the first one at once.
const MAX_DEATHS: usize = 61;
/// How much may be on its way to the daemon: with it, descriptors in flight stay far below the 1024
/// that an ordinary user may have there (traps A14).
pub(crate) const LINK_BUFFER: usize = 32 << 10;

/// What to start, with what, and what runs.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) program: Program,
    /// Its standard output and error, appended.
    pub(crate) log: PathBuf,
    /// The listening socket of the command line protocol.
    pub(crate) rpc: OwnedFd,
    /// The lock of the home.
    pub(crate) lock: OwnedFd,
    pub(crate) history: History,
    pub(crate) running: Option<Spawned>,
    /// It is the child of a former keeper: its end is seen by its pidfd.
    pub(crate) foster: bool,
}

/// When it was started and when it died, in milliseconds since boot.
#[derive(Debug, Default)]
pub(crate) struct History {
    started: Option<u64>,
    deaths: VecDeque<Death>,
}

/// One daemon's end.
#[derive(Clone, Copy, Debug)]
struct Death {
    at: u64,
    /// It ended itself, by a bug: nobody sent SIGKILL.
    crash: bool,
}

/// Why there is no daemon.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// Its log or link could not be opened.
    System(io::Error),
    /// It could not be executed.
    Spawn(SpawnError),
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "{error}"),
            Self::Spawn(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for StartFailure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Daemon {
    /// Starts it, and returns our end of its link. The one before must be reaped (traps A15).
    pub(crate) fn start(&mut self, baseline: &Baseline, now: u64) -> Result<OwnedFd, StartFailure> {
        self.history.started = Some(now);
        let (ours, theirs) = fdpass::pair(true)?;
        fdpass::set_send_buffer(&ours, LINK_BUFFER)?;
        let null = pipe::null()?;
        let log = File::options().append(true).create(true).mode(0o600).open(&self.log)?;
        let inherited =
            [(theirs.as_fd(), LINK_FD), (self.rpc.as_fd(), RPC_FD), (self.lock.as_fd(), LOCK_FD)];
        let setup = Setup {
            input: null.as_fd(),
            output: log.as_fd(),
            error: log.as_fd(),
            inherited: &inherited,
            pid_variable: None,
            filter: false,
            group: None,
            baseline,
        };
        self.foster = false;
        self.running = Some(spawn::spawn(&self.program, &setup).map_err(StartFailure::Spawn)?);
        Ok(ours)
    }

    /// What becomes readable at the end of one that is not our child.
    pub(crate) fn foster(&self) -> Option<BorrowedFd<'_>> {
        let running = self.running.as_ref().filter(|_| self.foster)?;
        Some(running.pidfd.as_fd())
    }

    /// Whether this is its pid; not any more once it is reaped.
    pub(crate) fn is(&self, pid: i32) -> bool {
        self.running.as_ref().is_some_and(|running| running.pid == pid)
    }

    /// It was reaped.
    pub(crate) fn died(&mut self, end: End, now: u64) {
        self.running = None;
        self.history.died(is_crash(end), now);
    }

    /// Sends it a signal; false if there is none.
    pub(crate) fn signal(&self, number: i32) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| pidfd::send_signal(&running.pidfd, number).is_ok())
    }

    /// How long to wait before it is to be started; `None` while it runs.
    pub(crate) fn due(&self, now: u64) -> Option<Duration> {
        if self.running.is_some() { None } else { Some(self.history.pause(now)) }
    }
}

impl History {
    fn died(&mut self, crash: bool, now: u64) {
        self.deaths.push_back(Death { at: now, crash });
        if self.deaths.len() > MAX_DEATHS {
            self.deaths.pop_front();
        }
    }

    /// How many died in the last minute.
    pub(crate) fn deaths(&self, now: u64) -> u32 {
        count(self.recent(now))
    }

    /// How many of those were crashes.
    pub(crate) fn crashes(&self, now: u64) -> u32 {
        count(self.recent(now).filter(|death| death.crash))
    }

    fn recent(&self, now: u64) -> impl Iterator<Item = &Death> {
        self.deaths.iter().filter(move |death| now.saturating_sub(death.at) < DEATHS_WINDOW)
    }

    fn pause(&self, now: u64) -> Duration {
        let passed = self.started.map_or(u64::MAX, |started| now.saturating_sub(started));
        Duration::from_millis(RESTART_INTERVAL.saturating_sub(passed))
    }
}

/// Whether a daemon brought this end about itself: neither by SIGKILL nor by leaving on purpose.
fn is_crash(end: End) -> bool {
    match end {
        End::Code(code) => code != 0,
        End::Signal(signal) => signal != SIGKILL,
    }
}

fn count<'a>(deaths: impl Iterator<Item = &'a Death>) -> u32 {
    u32::try_from(deaths.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_started_at_once_and_then_once_a_second() {
        let mut history = History::default();
        let pause = |history: &History, now| history.pause(now).as_millis();
        assert_eq!(pause(&history, 5), 0);
        history.started = Some(1000);
        assert_eq!(pause(&history, 1000), 1000);
        assert_eq!(pause(&history, 1999), 1);
        assert_eq!(pause(&history, 2000), 0);
        assert_eq!(pause(&history, 90_000), 0);
    }

    #[test]
    fn deaths_of_the_last_minute_are_counted() {
        let mut history = History::default();
        for now in [0, 1000, 59_999] {
            history.died(now != 0, now);
        }
        assert_eq!((history.deaths(59_999), history.crashes(59_999)), (3, 2));
        assert_eq!(history.deaths(60_000), 2);
        assert_eq!(history.deaths(61_000), 1);
        assert_eq!(history.deaths(1_000_000), 0);
    }

    #[test]
    fn old_deaths_are_forgotten() {
        let mut history = History::default();
        (0..1000).for_each(|now| history.died(true, now));
        assert_eq!(history.deaths.len(), MAX_DEATHS);
        assert_eq!(history.deaths(1000), MAX_DEATHS as u32);
    }
}

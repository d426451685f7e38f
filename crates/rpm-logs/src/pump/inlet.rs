//! [`Inlet`]: the read end of a stream's pipe, and when it is looked at: at once while much comes,
//! else in common beats, so that many quiet streams wake their thread as often as one.

use nix::fcntl::{FcntlArg, fcntl};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::unix::pipe::Receiver,
    time::{Instant, sleep_until},
};

/// Time between two looks at a pipe that has little: how late its lines are in the file.
const BEAT: Duration = Duration::from_millis(10);
/// So many pipes are looked at in that time; with more of them beats are longer, so that looking
/// costs no more: some 4 % of a core where lines are written as they came, 8 % where framed.
const LOOKS_A_BEAT: usize = 40;
/// A beat is so many times as long, at most.
const MAX_STRETCH: usize = 10;
/// How long a pipe that had much is looked at without waiting for a beat.
const BUSY: Duration = Duration::from_millis(100);
/// A look that took less has surely seen all: no limit of a look is smaller, but at the edge of a
/// rotation.
const SHORT_BYTES: u64 = 32 << 10;
/// Used where a pipe does not tell its size: the kernel's default.
const PIPE_BYTES: u64 = 64 << 10;
/// So much without a rest is a flood: some more than one burst.
const FLOOD_BYTES: u64 = 16 << 20;
/// Beats without a byte after which the kernel is to tell of the next one.
const QUIET_BEATS: u32 = 3;

/// Pipes that rest until a beat, of all threads.
static RESTING: AtomicUsize = AtomicUsize::new(0);

/// A pipe's read end.
#[derive(Debug)]
pub(super) struct Inlet {
    pipe: Rc<OwnedFd>,
    /// The kernel tells when bytes come; `None`: it rests until `beat`, and nobody is woken.
    watched: Option<AsyncFd<Rc<OwnedFd>>>,
    beat: Instant,
    /// Counted among those that rest.
    resting: bool,
    quiet: u32,
    /// Taken since `since`; `much` within a beat: the app would soon have to wait for us.
    taken: u64,
    since: Instant,
    much: u64,
    busy_until: Instant,
    /// Taken since it last rested.
    unrested: u64,
}

impl Inlet {
    /// Takes a pipe. Must be called inside a tokio runtime with I/O.
    ///
    /// # Errors
    /// `InvalidInput` if `pipe` is no pipe's read end.
    pub(super) fn new(pipe: OwnedFd) -> io::Result<Self> {
        let pipe = Rc::new(Receiver::from_owned_fd(pipe)?.into_nonblocking_fd()?);
        let now = Instant::now();
        let mut inlet = Self {
            much: capacity(&pipe) / 2,
            pipe,
            watched: None,
            beat: now,
            resting: false,
            quiet: 0,
            taken: 0,
            since: now,
            busy_until: now,
            unrested: 0,
        };
        inlet.watch();
        Ok(inlet)
    }

    /// Waits until there may be something to take.
    pub(super) async fn ready(&self) -> io::Result<()> {
        match &self.watched {
            Some(watched) => drop(watched.readable().await?),
            None => sleep_until(self.beat).await,
        }
        Ok(())
    }

    /// A look took so many bytes.
    pub(super) fn took(&mut self, bytes: u64) {
        let now = Instant::now();
        self.count(bytes, now);
        self.quiet = 0;
        // Nothing: a new file was begun, or room was made.
        if bytes > 0 && bytes < SHORT_BYTES && now >= self.busy_until {
            self.rest(now);
        } else if self.watched.is_none() {
            self.beat = now;
        }
    }

    /// A look found nothing, or no whole line.
    pub(super) fn found_nothing(&mut self) {
        let now = Instant::now();
        match &self.watched {
            // An event that came meanwhile is not forgotten by this.
            Some(watched) => {
                let nothing = |_: &Rc<OwnedFd>| Err::<(), _>(io::ErrorKind::WouldBlock.into());
                let _would_block = watched.try_io(Interest::READABLE, nothing);
            }
            None if now < self.busy_until || self.quiet >= QUIET_BEATS => self.watch(),
            None => {
                self.quiet += 1;
                self.rest(now);
            }
        }
    }

    fn count(&mut self, bytes: u64, now: Instant) {
        if now >= self.since + BEAT {
            (self.taken, self.since) = (0, now);
        }
        self.taken += bytes;
        self.unrested = self.unrested.saturating_add(bytes);
        if self.taken >= self.much {
            self.busy_until = now + BUSY;
        }
    }

    /// Whether it has had very much to say for a while.
    pub(super) fn floods(&self) -> bool {
        self.unrested >= FLOOD_BYTES
    }

    fn rest(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.resting, true) {
            RESTING.fetch_add(1, Relaxed);
        }
        self.watched = None;
        self.unrested = 0;
        self.beat = next_beat(now, RESTING.load(Relaxed));
    }

    fn rise(&mut self) {
        if std::mem::take(&mut self.resting) {
            RESTING.fetch_sub(1, Relaxed);
        }
    }

    #[expect(deprecated, reason = "its successor is unsafe; this owns what it watches")]
    fn watch(&mut self) {
        let watched = AsyncFd::with_interest(self.pipe.clone(), Interest::READABLE);
        match watched {
            Ok(watched) => {
                self.rise();
                self.watched = Some(watched);
            }
            // The system watches no more for us: we go on looking.
            Err(_) => self.rest(Instant::now()),
        }
    }
}

impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.rise();
    }
}

/// Bytes a pipe may hold.
pub(super) fn capacity(pipe: &impl AsFd) -> u64 {
    let bytes = fcntl(pipe, FcntlArg::F_GETPIPE_SZ).unwrap_or(0);
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(PIPE_BYTES)
}

/// The next of the beats that all pipes have in common, where so many rest.
fn next_beat(now: Instant, resting: usize) -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(|| now);
    first + beat_after(now.saturating_duration_since(first), resting)
}

/// The first beat after `gone`.
fn beat_after(gone: Duration, resting: usize) -> Duration {
    let stretch = resting.div_ceil(LOOKS_A_BEAT).clamp(1, MAX_STRETCH);
    let beat = BEAT * u32::try_from(stretch).unwrap_or(1);
    let beats = gone.as_millis() / beat.as_millis();
    beat * u32::try_from(beats.saturating_add(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_are_common_and_longer_where_many_rest() {
        for (resting, gone, want) in [
            (1, 0, 10),
            (40, 9, 10),
            (40, 10, 20),
            (41, 0, 20),
            (200, 50, 100),
            (1000, 103, 200),
            (100_000, 99, 100),
        ] {
            let beat = beat_after(Duration::from_millis(gone), resting);
            assert_eq!(beat, Duration::from_millis(want), "{resting} {gone}");
        }
    }
}

//! [`Pump`]: moves one pipe into one file until the pipe ends.
//!
//! An app is never blocked by a full or broken disk: what the file refuses is thrown away and
//! counted, and every new attempt begins with the file, so it resumes by itself.

use crate::sink::{LogFile, Outcome, outcome};
use nix::fcntl::{FcntlArg, fcntl};
use rpm_unix::pipe::{null, splice};
use std::{
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{
    net::unix::pipe::Receiver,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Bytes moved in one call: the largest pipe rpm makes.
const PIECE_BYTES: usize = 1 << 20;
/// Used where a pipe does not tell its size: the kernel's default.
const PIPE_BYTES: usize = 64 << 10;
/// Commands that may wait for a pump.
const MAX_COMMANDS: usize = 8;

/// What a pump has done so far. Read by others while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    /// Bytes that are in the file.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Bytes that the file refused and that are gone.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// Told once when a file begins to refuse bytes, and once when it takes them again.
#[derive(Debug)]
pub enum Trouble {
    /// Bytes are thrown away, because of this.
    Dropping(io::Error),
    /// A whole pipe was written again.
    Recovered,
}

type Alarm = Box<dyn FnMut(Trouble) + Send>;

/// One pipe and where it goes.
pub struct Pump {
    pipe: Receiver,
    file: Option<Arc<LogFile>>,
    null: OwnedFd,
    counters: Arc<Counters>,
    alarm: Alarm,
    /// The file refused bytes since the pipe was last empty.
    refused: bool,
    /// [`Trouble::Dropping`] was told.
    dropping: bool,
}

/// What a look at the pipe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Bytes(u64),
    Empty,
    End,
}

impl Pump {
    /// A pump from `pipe`, made non-blocking, to `file`; `None` throws the bytes away and counts
    /// nothing. Must be called inside a tokio runtime with I/O.
    ///
    /// # Errors
    /// `InvalidInput` if `pipe` is no pipe's read end.
    pub fn new(pipe: OwnedFd, file: Option<Arc<LogFile>>) -> io::Result<Self> {
        Ok(Self {
            pipe: Receiver::from_owned_fd(pipe)?,
            file,
            null: null()?,
            counters: Arc::default(),
            alarm: Box::new(|_| ()),
            refused: false,
            dropping: false,
        })
    }

    /// Whom to tell of [`Trouble`]. Called from the pump's task: must not wait.
    #[must_use]
    pub fn on_trouble(mut self, alarm: impl FnMut(Trouble) + Send + 'static) -> Self {
        self.alarm = Box::new(alarm);
        self
    }

    /// The counters, to be kept beside the pump.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Moves bytes until nobody has the pipe open for writing. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The pipe cannot be read or waited for; what the file says is [`Trouble`].
    pub async fn run(&mut self) -> io::Result<()> {
        loop {
            self.pipe.readable().await?;
            if self.step_ready()? == Step::End {
                return Ok(());
            }
        }
    }

    /// Takes what the pipe holds now, at most its capacity: for an exit, which is reported when
    /// this is done, without waiting for the pipe's end (traps A8). How many bytes it was.
    pub fn drain_now(&mut self) -> io::Result<u64> {
        let capacity = capacity(&self.pipe);
        let mut taken = 0;
        while taken < capacity {
            match self.step()? {
                Step::Bytes(bytes) => taken += bytes,
                Step::Empty | Step::End => break,
            }
        }
        Ok(taken)
    }

    /// Runs as a task of its own until the pipe ends.
    pub fn spawn(mut self) -> PumpHandle {
        let counters = self.counters();
        let (commands, mut inbox) = mpsc::channel(MAX_COMMANDS);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    Some(DrainNow(answer)) = inbox.recv() => {
                        // Whoever asked may have gone.
                        let _unheard = answer.send(self.drain_now());
                    }
                    ended = self.run() => return ended,
                }
            }
        });
        PumpHandle { commands, counters, task: Some(task) }
    }

    /// One step, after which tokio knows whether the pipe is still to be read.
    fn step_ready(&mut self) -> io::Result<Step> {
        let step = self.step()?;
        if step == Step::Empty {
            // An event that came meanwhile is not forgotten by this.
            let _would_block = self.pipe.try_io(|| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        Ok(step)
    }

    fn step(&mut self) -> io::Result<Step> {
        let Some(file) = &self.file else { return self.discard() };
        match file.take(self.pipe.as_fd(), PIECE_BYTES) {
            Outcome::Moved(bytes) => {
                let bytes = bytes as u64;
                self.counters.written.fetch_add(bytes, Relaxed);
                Ok(Step::Bytes(bytes))
            }
            Outcome::Empty => {
                self.settle();
                Ok(Step::Empty)
            }
            Outcome::End => Ok(Step::End),
            Outcome::Failed { error, lost } => self.refuse(error, lost as u64),
        }
    }

    fn refuse(&mut self, error: io::Error, lost: u64) -> io::Result<Step> {
        self.refused = true;
        if !std::mem::replace(&mut self.dropping, true) {
            (self.alarm)(Trouble::Dropping(error));
        }
        let bytes = match self.discard()? {
            Step::Bytes(bytes) => lost + bytes,
            step @ (Step::Empty | Step::End) if lost == 0 => return Ok(step),
            Step::Empty | Step::End => lost,
        };
        self.counters.dropped.fetch_add(bytes, Relaxed);
        Ok(Step::Bytes(bytes))
    }

    /// The pipe is empty: was all since the last time written?
    fn settle(&mut self) {
        if !std::mem::take(&mut self.refused) && std::mem::take(&mut self.dropping) {
            (self.alarm)(Trouble::Recovered);
        }
    }

    fn discard(&self) -> io::Result<Step> {
        match outcome(splice(&self.pipe, &self.null, PIECE_BYTES)) {
            Outcome::Moved(bytes) => Ok(Step::Bytes(bytes as u64)),
            Outcome::Empty => Ok(Step::Empty),
            Outcome::End => Ok(Step::End),
            Outcome::Failed { error, .. } => Err(error),
        }
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("file", &self.file).field("dropping", &self.dropping).finish()
    }
}

fn capacity(pipe: &impl AsFd) -> u64 {
    let bytes = fcntl(pipe, FcntlArg::F_GETPIPE_SZ).unwrap_or(0);
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(PIPE_BYTES as u64)
}

#[derive(Debug)]
struct DrainNow(oneshot::Sender<io::Result<u64>>);

/// A running [`Pump`]. Dropping it stops the pump; what is in the pipe stays there.
#[derive(Debug)]
pub struct PumpHandle {
    commands: mpsc::Sender<DrainNow>,
    counters: Arc<Counters>,
    /// `None` once its end was told.
    task: Option<JoinHandle<io::Result<()>>>,
}

impl PumpHandle {
    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// [`Pump::drain_now`] in the task; 0 where the pipe has ended before.
    pub async fn drain_now(&self) -> io::Result<u64> {
        let (answer, answered) = oneshot::channel();
        if self.commands.send(DrainNow(answer)).await.is_err() {
            return Ok(0);
        }
        answered.await.unwrap_or(Ok(0))
    }

    /// Waits for the pipe's end. Dropping the future changes nothing.
    pub async fn ended(&mut self) -> io::Result<()> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
    }
}

impl Drop for PumpHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;

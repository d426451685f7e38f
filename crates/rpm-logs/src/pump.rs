//! `Pump`: moves one stream into its files until it is told to finish.
//!
//! Straight from the pipe into one file where nothing is to be done to its lines, else by way of a
//! spool. What a full or broken disk refuses is thrown away and counted, or left in the pipe, as
//! its owner wants; every new attempt begins with the file, so it resumes by itself.

mod flood;
mod inlet;
mod told;

pub use flood::Flood;
pub use told::{Alarm, Counters, Trouble};

use crate::{
    scratch::Tools,
    sink::{LogFile, Outcome, Portion},
    spooled::{Spooled, Urge, WhenFull, Written},
    transit::Transit,
};
use flood::Asked;
use inlet::{Inlet, capacity};
use rpm_unix::pipe::null;
use std::{
    cell::RefCell,
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

/// Bytes moved in one call: the largest pipe rpm makes.
pub(crate) const PIECE_BYTES: usize = 1 << 20;
/// Commands that may wait for a pump.
pub(crate) const MAX_COMMANDS: usize = 8;
/// How long the beginning of a line waits for its end.
const LINE_PATIENCE: Duration = Duration::from_secs(1);
/// When a disk that lets an app wait is tried again: nothing tells that it has room.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// What is left of a stream when its leader has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Its last lines as they came, where they went through memory; else they are in the file.
    pub last: Option<Vec<Vec<u8>>>,
}

/// To a pump.
#[derive(Debug)]
pub(crate) enum Order {
    /// Take what the pipe holds now.
    Drain(oneshot::Sender<Drained>),
    /// The same, and then end; told when all is in the files.
    Finish(oneshot::Sender<()>),
}

/// Where a stream goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// Nowhere: it is thrown away, and not counted.
    Nowhere,
    /// Byte for byte into one file.
    Direct(Arc<LogFile>),
    /// By way of its spool.
    Spooled(Box<Spooled>),
}

/// One pipe and where it goes.
pub(crate) struct Pump {
    pipe: Inlet,
    /// What is in it comes before what is in the pipe.
    transit: Option<Transit>,
    asked: Asked,
    route: Route,
    when_full: WhenFull,
    tools: Rc<RefCell<Tools>>,
    null: OwnedFd,
    counters: Arc<Counters>,
    alarm: Alarm,
    /// A file refused bytes since the pipe was last empty.
    refused: bool,
    /// A file took bytes since then.
    wrote: bool,
    /// Trouble was told.
    told: bool,
    pause: Option<Pause>,
    ended: bool,
}

/// Why nothing is done until something comes, or this time.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    /// The disk takes nothing; else: a line has no end yet.
    blocked: bool,
}

/// What a look at the pipe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Bytes(u64),
    Empty,
    End,
    /// The disk takes nothing, and the app is to wait.
    Blocked,
}

impl Pump {
    /// A pump from `pipe`, made non-blocking. Must be called inside a tokio runtime with I/O.
    ///
    /// # Errors
    /// `InvalidInput` if `pipe` is no pipe's read end.
    pub(crate) fn new(pipe: OwnedFd, route: Route, tools: Rc<RefCell<Tools>>) -> io::Result<Self> {
        let pump = Self {
            pipe: Inlet::new(pipe)?,
            transit: None,
            asked: Asked::default(),
            route,
            when_full: WhenFull::Drop,
            tools,
            null: null()?,
            counters: Arc::default(),
            alarm: Box::new(|_| ()),
            refused: false,
            wrote: false,
            told: false,
            pause: None,
            ended: false,
        };
        pump.files().iter().for_each(|file| file.joined());
        Ok(pump)
    }

    pub(crate) fn with(
        mut self,
        when_full: WhenFull,
        counters: Arc<Counters>,
        alarm: Alarm,
    ) -> Self {
        (self.when_full, self.counters, self.alarm) = (when_full, counters, alarm);
        self
    }

    /// With the transit a predecessor left, or with whom to ask for one if the stream floods.
    pub(crate) fn by_way_of(mut self, transit: Option<OwnedFd>, flood: Option<Flood>) -> Self {
        let flood = flood.filter(|_| matches!(self.route, Route::Direct(_)));
        (self.transit, self.asked) = (transit.map(Transit::open), Asked::to_be(flood));
        self
    }

    fn files(&self) -> &[Arc<LogFile>] {
        match &self.route {
            Route::Nowhere => &[],
            Route::Direct(file) => std::slice::from_ref(file),
            Route::Spooled(spooled) => spooled.files(),
        }
    }

    /// Runs until it is told to finish, or nobody can tell it any more. Dropping the future loses
    /// nothing.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        self.open_files();
        let mut finishing = None;
        loop {
            let until = self.pause.map(|pause| pause.until);
            let blocked = self.pause.is_some_and(|pause| pause.blocked);
            let stepped = tokio::select! {
                biased;
                order = orders.recv(), if finishing.is_none() => match order {
                    None => return,
                    Some(Order::Drain(answer)) => {
                        let drained = self.drain(Urge::Lines);
                        // Whoever asked may have gone.
                        let _unheard = answer.send(Drained { last: self.last_lines() });
                        drained
                    }
                    Some(Order::Finish(answer)) => {
                        finishing = Some(answer);
                        self.drain(Urge::Ended)
                    }
                },
                ready = self.pipe.ready(), if !self.ended && !blocked && finishing.is_none() => {
                    ready.and_then(|()| self.step_ready())
                }
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    self.pause = None;
                    let urge = if finishing.is_some() { Urge::Ended } else { Urge::Now };
                    self.drain(urge)
                }
            };
            // A pipe that cannot be read has nothing more for us.
            self.ended |= stepped.is_err();
            if !self.pause.is_some_and(|pause| pause.blocked)
                && let Some(answer) = finishing.take()
            {
                let _unheard = answer.send(());
                return;
            }
        }
    }

    fn open_files(&mut self) {
        let errors: Vec<_> = self.files().iter().filter_map(|file| file.ensure().err()).collect();
        errors.into_iter().for_each(|error| self.tell(error));
    }

    /// Takes what the pipe holds now, at most its capacity: for an exit, which is reported when
    /// this is done, without waiting for the pipe's end (traps A8).
    fn drain(&mut self, urge: Urge) -> io::Result<()> {
        // In its own file the beginning of a line needs no end; in a spool it waits for it.
        let urge = match &self.route {
            Route::Direct(_) if urge == Urge::Lines => Urge::Now,
            Route::Direct(_) | Route::Nowhere | Route::Spooled(_) => urge,
        };
        let capacity = capacity(&self.pipe);
        let mut taken = 0;
        while taken < capacity {
            match self.step(urge)? {
                Step::Bytes(bytes) => taken += bytes,
                Step::Empty | Step::End | Step::Blocked => break,
            }
        }
        Ok(())
    }

    fn last_lines(&self) -> Option<Vec<Vec<u8>>> {
        match &self.route {
            Route::Spooled(spooled) => Some(spooled.last_lines()),
            Route::Nowhere | Route::Direct(_) => None,
        }
    }

    /// One step, by which the pipe knows when to look again.
    fn step_ready(&mut self) -> io::Result<()> {
        match self.step(Urge::Lines)? {
            Step::Bytes(bytes) => {
                self.pipe.took(bytes);
                self.tend_flood();
            }
            Step::Empty => self.pipe.found_nothing(),
            Step::End => self.ended = true,
            Step::Blocked => {}
        }
        Ok(())
    }

    fn step(&mut self, urge: Urge) -> io::Result<Step> {
        let step = match &mut self.route {
            Route::Nowhere => self.discard()?,
            Route::Direct(file) if self.transit.is_some() => {
                let file = Arc::clone(file);
                self.through_transit(&file, urge != Urge::Lines)?
            }
            Route::Direct(file) => {
                let mut tools = self.tools.borrow_mut();
                let unfinished = urge != Urge::Lines;
                let portion = Portion { limit: PIECE_BYTES, unfinished, peek: &mut tools.peek };
                let outcome = file.take(self.pipe.as_fd(), portion);
                drop(tools);
                self.on_direct(outcome)?
            }
            Route::Spooled(spooled) => {
                let filled = flood::fill(spooled, self.transit.as_mut(), self.pipe.as_fd());
                let mut tools = self.tools.borrow_mut();
                let written = spooled.write(urge, self.when_full, &mut tools.scratch)?;
                drop(tools);
                let (waiting, full) = (spooled.waiting(), spooled.is_full());
                self.on_spooled(filled, written, waiting, full)?
            }
        };
        if step == Step::Blocked {
            self.pause = Some(Pause { until: Instant::now() + DISK_RETRY, blocked: true });
        }
        Ok(step)
    }

    fn on_direct(&mut self, outcome: Outcome) -> io::Result<Step> {
        Ok(match outcome {
            Outcome::Moved(bytes) => {
                let bytes = bytes as u64;
                self.counters.written.fetch_add(bytes, Relaxed);
                self.wrote |= bytes > 0;
                self.pause = None;
                Step::Bytes(bytes)
            }
            Outcome::Empty => {
                self.settle();
                self.pause = None;
                Step::Empty
            }
            Outcome::Unfinished => {
                self.wait_for_line();
                Step::Empty
            }
            Outcome::End => Step::End,
            Outcome::Failed { error, lost } => return self.refuse(error, lost as u64),
        })
    }

    fn on_spooled(
        &mut self,
        filled: Outcome,
        written: Written,
        waiting: u64,
        full: bool,
    ) -> io::Result<Step> {
        self.counters.written.fetch_add(written.bytes, Relaxed);
        self.wrote |= written.bytes > 0;
        self.counters.dropped.fetch_add(written.dropped, Relaxed);
        if let Some(error) = written.error {
            self.refused = true;
            self.tell(error);
            if self.when_full == WhenFull::Block {
                return Ok(Step::Blocked);
            }
        }
        match waiting {
            0 => self.pause = None,
            _ => self.wait_for_line(),
        }
        Ok(match filled {
            Outcome::Moved(bytes) => Step::Bytes(bytes as u64),
            // A spool without room: what it holds is written with the next step.
            Outcome::Empty if full => Step::Bytes(0),
            Outcome::Empty | Outcome::Unfinished => {
                self.settle();
                Step::Empty
            }
            Outcome::End => Step::End,
            Outcome::Failed { error, .. } => return Err(error),
        })
    }

    fn wait_for_line(&mut self) {
        let until = Instant::now() + LINE_PATIENCE;
        self.pause.get_or_insert(Pause { until, blocked: false });
    }

    fn refuse(&mut self, error: io::Error, lost: u64) -> io::Result<Step> {
        self.refused = true;
        self.tell(error);
        if self.when_full == WhenFull::Block && lost == 0 {
            return Ok(Step::Blocked);
        }
        let bytes = match self.discard()? {
            Step::Bytes(bytes) => lost + bytes,
            step @ (Step::Empty | Step::End | Step::Blocked) if lost == 0 => return Ok(step),
            Step::Empty | Step::End | Step::Blocked => lost,
        };
        self.counters.dropped.fetch_add(bytes, Relaxed);
        Ok(Step::Bytes(bytes))
    }

    fn tell(&mut self, error: io::Error) {
        self.counters.troubled.store(true, Relaxed);
        if !std::mem::replace(&mut self.told, true) {
            (self.alarm)(match self.when_full {
                WhenFull::Drop => Trouble::Dropping(error),
                WhenFull::Block => Trouble::Blocked(error),
            });
        }
    }

    /// The pipe is empty: was something written since the last time, and nothing refused?
    fn settle(&mut self) {
        let (wrote, refused) = (std::mem::take(&mut self.wrote), std::mem::take(&mut self.refused));
        if wrote && !refused && std::mem::take(&mut self.told) {
            self.counters.troubled.store(false, Relaxed);
            (self.alarm)(Trouble::Recovered);
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.files().iter().for_each(|file| file.left());
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("route", &self.route).field("told", &self.told).finish()
    }
}

#[cfg(test)]
mod tests;

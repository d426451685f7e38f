//! A pump whose stream floods: it asks for a [`Transit`] and goes by way of it from then on.

use super::{Pump, Step, inlet::capacity};
use crate::{
    sink::{LogFile, Outcome, Portion, outcome},
    spooled::Spooled,
    transit::{self, Transit},
};
use rpm_unix::pipe::splice;
use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Whom to give a transit to, once, that somebody who outlives us shall hold; he says when that is
/// so, or drops the sender if it will not be. Called from the pump's task: must not wait.
pub type Flood = Box<dyn FnOnce(OwnedFd, oneshot::Sender<()>) + Send>;

/// How far a pump is with asking.
#[derive(Default)]
pub(super) enum Asked {
    /// There is nobody to be asked, or he had none.
    #[default]
    Never,
    NotYet(Flood),
    Waiting(OwnedFd, oneshot::Receiver<()>),
}

impl Asked {
    pub(super) fn to_be(flood: Option<Flood>) -> Self {
        flood.map_or(Self::Never, Self::NotYet)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::NotYet(_) => "NotYet",
            Self::Waiting(..) => "Waiting",
        })
    }
}

impl Pump {
    /// After a step: asks for a transit if the stream floods, and looks whether it is held.
    pub(super) fn tend_flood(&mut self) {
        self.asked = match std::mem::take(&mut self.asked) {
            Asked::NotYet(flood) if self.transit.is_none() && self.pipe.floods() => self.ask(flood),
            Asked::Waiting(pipe, mut answered) => match answered.try_recv() {
                Ok(()) => {
                    self.transit = Some(Transit::open(pipe));
                    Asked::Never
                }
                Err(TryRecvError::Empty) => Asked::Waiting(pipe, answered),
                Err(TryRecvError::Closed) => Asked::Never,
            },
            asked @ (Asked::NotYet(_) | Asked::Never) => asked,
        };
    }

    /// Without a pipe for it the stream goes straight on.
    fn ask(&self, flood: Flood) -> Asked {
        let bytes = usize::try_from(capacity(&self.pipe)).unwrap_or(super::PIECE_BYTES);
        let made = transit::create(bytes).and_then(|pipe| Ok((pipe.try_clone()?, pipe)));
        let Ok((pipe, held)) = made else { return Asked::Never };
        let (answer, answered) = oneshot::channel();
        flood(held, answer);
        Asked::Waiting(pipe, answered)
    }

    /// A step from the pipe into the transit, and from there into the file.
    pub(super) fn through_transit(&mut self, file: &LogFile, unfinished: bool) -> io::Result<Step> {
        let Some(transit) = &mut self.transit else { return Ok(Step::Empty) };
        let filled = transit.fill(self.pipe.as_fd());
        let mut taken = 0;
        let mut tools = self.tools.borrow_mut();
        let stopped = loop {
            if transit.is_empty() {
                break None;
            }
            let portion = Portion { limit: super::PIECE_BYTES, unfinished, peek: &mut tools.peek };
            match file.take(transit.as_fd(), portion) {
                Outcome::Moved(bytes) => {
                    transit.took(Some(bytes));
                    taken += bytes;
                }
                Outcome::Empty => transit.took(None),
                stopped @ (Outcome::Unfinished | Outcome::End | Outcome::Failed { .. }) => {
                    break Some(stopped);
                }
            }
        };
        drop(tools);
        if taken > 0 {
            let step = self.on_direct(Outcome::Moved(taken))?;
            return stopped.map_or(Ok(step), |stopped| self.on_direct(stopped));
        }
        match stopped.unwrap_or(filled) {
            // It is no pipe, and nothing is in it.
            Outcome::Failed { error, .. } if self.goes_straight(&error) => Ok(Step::Bytes(0)),
            outcome => self.on_direct(outcome),
        }
    }

    /// A transit that takes nothing is left out.
    fn goes_straight(&mut self, error: &io::Error) -> bool {
        let useless = error.kind() == io::ErrorKind::InvalidInput;
        self.transit.take_if(|transit| useless && transit.is_empty()).is_some()
    }

    /// Throws away what has come: what is in transit, or else what the pipe has.
    pub(super) fn discard(&mut self) -> io::Result<Step> {
        if let Some(step) = self.discard_transit() {
            return Ok(step);
        }
        match outcome(splice(&self.pipe, &self.null, super::PIECE_BYTES)) {
            Outcome::Moved(bytes) => Ok(Step::Bytes(bytes as u64)),
            Outcome::Empty | Outcome::Unfinished => Ok(Step::Empty),
            Outcome::End => Ok(Step::End),
            Outcome::Failed { error, .. } => Err(error),
        }
    }

    /// Throws away what is in transit; `None`: nothing is.
    fn discard_transit(&mut self) -> Option<Step> {
        let transit = self.transit.as_mut().filter(|transit| !transit.is_empty())?;
        match outcome(splice(&*transit, &self.null, super::PIECE_BYTES)) {
            Outcome::Moved(bytes) => {
                transit.took(Some(bytes));
                Some(Step::Bytes(bytes as u64))
            }
            Outcome::Empty | Outcome::Unfinished | Outcome::End | Outcome::Failed { .. } => {
                transit.took(None);
                None
            }
        }
    }
}

/// Moves bytes into a spool: those in transit, if a predecessor left any, before those in the pipe.
pub(super) fn fill(
    spooled: &mut Spooled,
    transit: Option<&mut Transit>,
    pipe: BorrowedFd<'_>,
) -> Outcome {
    let Some(transit) = transit.filter(|transit| !transit.is_empty()) else {
        return spooled.fill(pipe);
    };
    match spooled.fill(transit.as_fd()) {
        Outcome::Moved(bytes) => {
            transit.took(Some(bytes));
            Outcome::Moved(bytes)
        }
        // It has no room.
        Outcome::Empty if spooled.is_full() => Outcome::Empty,
        Outcome::Empty | Outcome::Unfinished | Outcome::End | Outcome::Failed { .. } => {
            transit.took(None);
            spooled.fill(pipe)
        }
    }
}

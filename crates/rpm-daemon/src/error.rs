//! Why the daemon ended.

use std::{fmt, io};

/// A reason the daemon cannot go on. Trouble with one app is never one.
#[derive(Debug)]
pub(crate) enum Error {
    /// The keeper is gone or talks nonsense.
    Keeper(io::Error),
    /// The state could not be written or read.
    State(io::Error),
    /// A file or socket below the home could not be made.
    Home(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Keeper(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keeper(error) => write!(f, "the keeper link failed: {error}"),
            Self::State(error) => write!(f, "the daemon's state could not be kept: {error}"),
            Self::Home(error) => write!(f, "a file of the home could not be made: {error}"),
        }
    }
}

impl std::error::Error for Error {}

//! Why a front cannot start. Once it runs, nothing but its end ends it.

use crate::address::Address;
use std::{fmt, io};

/// Why a front cannot start.
#[derive(Debug)]
pub enum FrontError {
    /// The configuration is not one.
    Config(String),
    /// An address cannot be bound.
    Listen(Address, io::Error),
    /// An inherited descriptor is no listening socket.
    Inherited(i32, io::Error),
    /// Neither addresses nor inherited sockets.
    NothingToListenOn,
    /// The control channel is no connected unix stream socket.
    Control(i32, io::Error),
    /// The system refused what every program needs.
    System(io::Error),
}

impl fmt::Display for FrontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(why) => write!(f, "the front's configuration cannot be used: {why}"),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Inherited(number, error) => {
                write!(f, "descriptor {number} is no listening socket: {error}")
            }
            Self::NothingToListenOn => {
                write!(f, "there is nothing to listen on: no address and no inherited socket")
            }
            Self::Control(number, error) => {
                write!(f, "descriptor {number} cannot be the control channel: {error}")
            }
            Self::System(error) => write!(f, "the front cannot start: {error}"),
        }
    }
}

impl std::error::Error for FrontError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error)
            | Self::Inherited(_, error)
            | Self::Control(_, error)
            | Self::System(error) => Some(error),
            Self::Config(_) | Self::NothingToListenOn => None,
        }
    }
}

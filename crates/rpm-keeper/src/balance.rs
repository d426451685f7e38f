//! [`Balance`]: who gets a new connection to an app, as far as the keeper sees to it.

use std::io;

/// How the slots of an app share a TCP address. Paths have one queue in any case, and UDP the
/// kernel's own hash, because each datagram would be chosen for alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Balance {
    /// A socket per slot, by a hash of addresses and ports.
    #[default]
    Even,
    /// One socket for all slots.
    Shared,
    /// A socket per slot, at random.
    Random,
    /// A socket per slot, by the client's address.
    IpHash,
    /// A socket per slot, in turn; needs a privilege.
    RoundRobin,
    /// A socket per slot at an address of its own, and one at the public address for whoever passes
    /// connections on.
    Private,
}

/// Why another balance than the one asked for is in force: an error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// What is in force.
    pub balance: Balance,
    /// What refused the one asked for.
    pub errno: i32,
}

impl Balance {
    /// What is in force at best: exact turns need a kernel and a privilege.
    pub(crate) fn possible(self) -> Option<Fallback> {
        match self {
            Self::RoundRobin => {
                let error = rpm_unix::steer::RoundRobin::available().err()?;
                Some(Fallback::even(&error))
            }
            Self::Even | Self::Shared | Self::Random | Self::IpHash | Self::Private => None,
        }
    }
}

impl Fallback {
    pub(crate) fn even(error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(rpm_unix::socket::NOT_PERMITTED);
        Self { balance: Balance::Even, errno }
    }
}

/// How a slot stands, for people and for whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets its share.
    Serving,
    /// Nobody accepts from it: its worker is dead, or boots.
    Unserved,
    /// Its queue does not move.
    Blocked,
    /// It is leaving.
    Retiring,
}

/// One slot of an app with held sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which.
    pub slot: u32,
    /// How many connections wait in its queues for its worker.
    pub waiting: u32,
    /// How it stands.
    pub standing: Standing,
}

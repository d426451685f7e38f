//! Restart, reload and scaling policy: `Fleet::step(event, now) -> effects`, a pure function of
//! state, event and time.
//!
//! There is no clock, no pid and no I/O here: the daemon's engine feeds events in, performs the
//! effects, and asks [`Fleet::deadline`] when to call again with [`Event::Tick`]. The whole state
//! serialises, so a daemon that was killed continues where its predecessor stopped.
#![forbid(unsafe_code)]

mod admission;
mod backoff;
mod command;
mod consequence;
mod current;
mod depends;
mod effect;
mod event;
mod exit;
#[cfg(test)]
mod fixture;
mod ids;
mod instance;
mod leaving;
mod pending;
mod policy;
mod query;
mod ready;
mod recover;
mod replacement;
mod roll;
mod scale;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod turn;

pub use effect::{Answer, Cause, Denied, Effect, Failure, Notice, NoticeKind};
pub use event::{Command, Event, Exit};
pub use ids::{InstanceId, Moment, Ticket, WorkerId};
pub use pending::MAX_WAITING;
pub use policy::Policy;
pub use query::{Place, Role, Status};
pub use roll::MAX_QUEUED_ROLLS;
pub use state::{
    App, Fleet, Goal, Halting, Instance, Leaving, LeavingPhase, Pending, Replacement, Roll, State,
    Then,
};

/// The most instances one app may have: far above any machine's CPUs, far below any id's range.
pub const MAX_INSTANCES: u32 = 4096;

//! The daemon: the engine that owns the fleet, and the tasks that feed it.
//!
//! It is a child of the keeper and the parent of nothing. It can be killed at any moment: what it
//! knew is in the keeper, and the next one goes on from there.
#![forbid(unsafe_code)]

mod activation;
mod async_fd;
mod channel;
mod chores;
mod clock;
mod control;
mod diagnose;
mod drains;
mod dump;
mod engine;
mod error;
mod events;
#[cfg(test)]
mod fixture;
mod front;
mod handler;
mod inbox;
mod keeper_events;
mod keeper_link;
mod launch;
mod listeners;
mod log_files;
mod messages;
mod offers;
mod output;
mod pace;
mod package;
mod perform;
mod pid_file;
mod recover;
mod replies;
mod run;
mod sample;
mod server;
mod sharing;
mod store;
mod targets;
mod tree;
mod triggers;
mod view;
mod watch;
mod worker;

pub use dump::{broken_dumps, clear_dump};
pub use run::run;

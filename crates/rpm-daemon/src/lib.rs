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
mod disk;
mod drains;
mod dump;
mod engine;
mod error;
mod events;
#[cfg(test)]
mod fixture;
mod front;
mod handler;
mod hooks;
mod inbox;
mod keeper_events;
mod keeper_link;
mod launch;
mod ledger;
mod limits;
mod listeners;
mod log_files;
mod log_limit;
mod messages;
mod notify;
mod offers;
mod orphans;
mod output;
mod pace;
mod package;
mod perform;
mod pid_file;
mod pm2;
mod probes;
mod recover;
mod replies;
mod room;
mod run;
mod safe_mode;
mod sample;
mod server;
mod sharing;
mod shell;
mod stamp;
mod store;
mod succession;
mod survivors;
mod targets;
mod tree;
mod triggers;
mod update;
mod view;
mod watch;
mod worker;

pub use dump::{broken_dumps, clear_dump};
pub use ledger::exists as left_survivors;
pub use run::run;
pub use update::{PROOF, check_home};

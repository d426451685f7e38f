//! PM2's socket protocol beside rpm's own, so that npm's unmodified `pm2` module is a client of
//! rpm: its calls on `rpc.sock` (axon request and reply), its bus on `pub.sock` (axon publish),
//! JSON in AMP frames. And the other end, for taking over a PM2 that runs.
//!
//! What is served here is a client of rpm's protocol like any other: it owns no state of the fleet
//! and is told nothing that `rpm.sock` does not tell. Where the sockets live, and whether they are
//! served, is the daemon's business.
#![forbid(unsafe_code)]

mod act;
mod amp;
mod bus;
mod calls;
mod client;
mod description;
mod feed;
pub mod jlist;
mod listener;
mod names;
mod node_version;
mod own_keys;
mod prepare;
pub mod repository;
mod rpm;
#[cfg(test)]
mod sample;
mod say;
mod server;
mod takeover;

pub use amp::AmpError;
pub use client::{MAX_ANSWER, Pm2, Pm2Error};
pub use description::{Described, Origin, Variables, describe};
pub use listener::Sockets;
pub use node_version::whole_list;
pub use server::{MAX_CALLS, MAX_CLIENTS, MAX_REQUEST, MAX_SUBSCRIBERS, Place, serve};
pub use takeover::{Entry, Group, Taken, groups};

/// The version of PM2 whose protocol this is, as its own clients compare it with theirs.
pub const PM2_VERSION: &str = "7.0.4";

//! What the command line and the daemon say to each other: JSON-RPC 2.0, one message a line, over
//! `rpm.sock`.
//!
//! This crate knows the words and the framing, on both sides. It decides nothing, renders nothing
//! and starts no daemon.
#![forbid(unsafe_code)]

mod request;
mod view;

/// The protocol version this crate speaks.
pub const VERSION: u32 = 1;

pub use request::{Action, Request, StartOrigin, Targets};
pub use view::{
    Acted, EventView, ExitView, FailureView, InstanceDetail, InstanceView, LeavingView, LogSource,
    Started, Welcome,
};

//! What the command line and the daemon say to each other: JSON-RPC 2.0, one message a line, over
//! `rpm.sock`.
//!
//! This crate knows the words and the framing, on both sides. It decides nothing, renders nothing
//! and starts no daemon.
//!
//! A client, as the command line is one; `examples/list.rs` is a whole program:
//!
//! ```no_run
//! use rpm_protocol::{Client, ClientError, InstanceView, Request};
//! # async fn look(socket: &std::path::Path) -> Result<(), ClientError> {
//! let mut client = Client::connect(socket).await?; // RPM_HOME/rpm.sock
//! client.hello().await?;
//! let instances: Vec<InstanceView> = client.call(Request::List).await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod client;
mod connection;
mod error;
mod frame;
mod listener;
mod outbox;
mod patience;
mod pipeline;
mod request;
mod rpc;
mod stream;
mod version;
mod view;

/// The protocol version this crate speaks.
pub const VERSION: u32 = 1;

/// How long apps have for their replies to a triggered action.
pub const TRIGGER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

pub use client::{Client, ClientError, Events};
pub use connection::{Asked, Connection, Gone, Sender};
pub use error::RpcError;
pub use frame::{FrameError, LineReader, MAX_REQUEST, MAX_RESPONSE};
pub use listener::{MAX_CLIENTS, Server};
pub use outbox::{MAX_QUEUED, MAX_QUEUED_BYTES, STALL};
pub use patience::within;
pub use pipeline::{MAX_PIPELINED, MAX_STARTS};
pub use request::{Action, Request, StartOrigin, Targets, Way};
pub use rpc::{Id, Incoming, Refused, parse_answer, parse_request, request_line};
pub use view::{
    Acted, EventView, ExitView, FailureView, FrontView, InstanceDetail, InstanceView, LeavingView,
    LogSource, Offers, Started, Told, Triggered, UnenforcedView, Welcome,
};

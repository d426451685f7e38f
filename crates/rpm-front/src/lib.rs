//! A front for the instances of an app: accepts TCP and unix connections and splices each to one of
//! several upstreams, chosen by a policy: `least_conn`, `round_robin`, `random`, `ip_hash`, `even`.
//!
//! It is a process of its own, `rpm __front`, so that neither the daemon nor its death is in the
//! way of a byte. Who its upstreams are it is told over a control channel; what an app is, and why
//! an upstream comes or goes, it does not know. It never looks into what it passes on.
//!
//! ```text
//! control ──► engine: owns the pool of upstreams, the queue and the listening sockets
//!               │ accepted: choose                     ▲ refused / no answer: choose again
//!               ▼                                      │
//!             connect ──► exchange ──► relay           │   one task for each connection
//!                 └───────────┴────────────────────────┘
//! ```
//! - `policy`, `hash`, `random`, `pool`, `queue` decide and do no I/O.
//! - `connect`, `exchange`, `relay` are a connection's life; `direction` and `pipes` move bytes.
//! - `engine` is the only owner of what changes; `control` and `run` bring it commands.

#![forbid(unsafe_code)]

mod address;
mod command;
mod config;
mod connect;
mod control;
mod direction;
mod engine;
mod error;
mod exchange;
mod hash;
mod header;
mod lines;
mod listener;
mod pipes;
mod policy;
mod pool;
mod queue;
mod random;
mod relay;
mod run;
mod session;
mod stream;
mod upstream;

pub use address::{Address, AddressError};
pub use command::{Command, MAX_LINE_BYTES, UpstreamSpec, Wish};
pub use config::{Config, MAX_CONNECTIONS, MAX_RESENDS, ProxyProtocol};
pub use error::FrontError;
pub use exchange::MAX_REPLAY_BYTES;
pub use policy::Policy;
pub use pool::{MAX_UPSTREAMS, MAX_WEIGHT};
pub use queue::MAX_WAITING;
pub use run::{Ended, run};

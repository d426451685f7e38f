//! The keeper: parent of every app and of the daemon. It forks, reaps and holds descriptors, and
//! decides nothing; with its help a daemon that was killed is replaced by one that knows as much.
//!
//! One thread, one poll loop, no runtime. It knows nothing of configuration, policy, logs or JSON.
#![forbid(unsafe_code)]

mod activation;
mod adopt;
mod balance;
mod children;
mod client;
mod codec;
mod daemon;
mod estate;
mod groups;
mod heir;
mod holder;
mod inventory;
mod keeper;
mod log;
mod message;
mod outbox;
mod pipe_budget;
pub mod ports;
mod ready;
mod requests;
mod run;
mod spawner;
mod spec;
mod start;
mod upgrade;
mod wire;

pub use activation::Activation;
pub use balance::{Balance, Fallback, Slot, Standing};
pub use client::{DaemonDescriptors, Link, daemon_descriptors};
pub use codec::WireError;
pub use heir::{Inheritance, Legacy, heir_main};
pub use message::{
    Address, Child, ChildId, Event, ExitStatus, LINK_FD, LOCK_FD, MAX_HELD, MAX_LABEL, MAX_NAME,
    MAX_RECORD, MAX_SLOTS, Owner, RPC_FD, Request, Share, SpawnStage, VERSION,
};
pub use spec::{Limits, SpawnSpec};
pub use start::keeper_main;
pub use upgrade::{check_snapshot, resume_main};

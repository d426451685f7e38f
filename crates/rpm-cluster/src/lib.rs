//! node:cluster's primary side, spoken without Node: a worker's IPC [`channel`], the messages on it
//! ([`message`], [`reply`]), what one worker is told ([`worker`]), and the [`preload`] that lets a
//! Node server drain. Binds no socket and keeps no process: the daemon does what an
//! [`worker::Action`] says.
#![forbid(unsafe_code)]

pub mod channel;
pub mod control;
pub mod endpoint;
mod inbox;
pub mod key_data;
pub mod message;
mod outbox;
pub mod preload;
pub mod reply;
pub mod worker;

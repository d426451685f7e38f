//! Fronts as processes of their own, between real clients and real upstreams.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod balance;
mod control;
mod data;
mod end;
mod harness;
mod health;
#[path = "../../../../tests/it/harness/port.rs"]
mod port;
mod retry;

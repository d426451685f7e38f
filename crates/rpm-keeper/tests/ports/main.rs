//! Real programs on shared ports, with no daemon and no run loop but the small one in `world.rs`.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod clients;
mod lease;
#[path = "../../../../tests/it/harness/port.rs"]
mod port;
mod programs;
mod refusal;
mod sharing;
mod signals;
mod unix_and_udp;
mod world;

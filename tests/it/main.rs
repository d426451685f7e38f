//! The real binary against real programs: one file per feature, one binary for all.
//!
//! `scripts/test` installs what the programs need (Node, Express, Python, gcc, nginx).

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

mod bad_input;
mod balance;
mod cli;
mod cluster;
mod ecosystem;
mod fork;
mod load_itself;
mod logs;
mod nginx;
mod reload;
mod start;
mod supervise;
mod survive;
mod targets;
mod tidy;

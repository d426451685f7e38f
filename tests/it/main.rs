//! The real binary against real programs: one file per feature, one binary for all.
//!
//! `scripts/test` installs what the programs need: every runtime of the matrix, gcc, nginx.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

mod activation;
mod apply;
mod apply_keys;
mod bad_input;
mod balance;
mod bounds;
mod change;
mod chores;
mod cli;
mod clients;
mod cluster;
mod complaints;
mod depends;
mod doctor;
mod drain;
mod ecosystem;
mod fork;
mod formats;
mod front;
mod import;
mod keys;
mod least_conn;
mod limits;
mod load_itself;
mod logs;
mod logs_disturbed;
mod logs_following;
mod logs_kept;
mod logs_reading;
mod matrix;
mod messages;
mod nginx;
mod parity;
mod pm2_commands;
mod pm2_socket;
mod probes;
mod reload;
mod rolls;
mod schema;
mod security;
mod shells;
mod slots;
mod start;
mod startup;
mod sticky;
mod supervise;
mod survive;
mod targets;
mod tidy;
mod transport;
mod trees;

//! The crate against real Node: every program of `fixtures` runs unchanged, with the test as its
//! cluster primary. Nothing sleeps; a wait that never ends fails by [`harness::LIMIT`].
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod channel;
mod control;
mod drain;
mod harness;
mod http;
mod listen;

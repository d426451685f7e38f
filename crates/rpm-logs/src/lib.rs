//! An app's output from its pipe into a file, byte for byte, and those files back to a reader.
//!
//! Writing: a [`sink::LogFile`] per file, a [`pump::Pump`] per pipe; several pumps may share a
//! file. Reading: [`tail`] for what is there, [`follow::Follower`] for what comes. Bytes are not
//! parsed, lines not prefixed; rotation and whom a line belongs to are others' work.
#![forbid(unsafe_code)]

pub mod date_format;
pub mod follow;
mod growing;
pub mod history;
mod lines;
pub mod pump;
pub mod rotate;
pub mod sink;
pub mod tail;
pub mod times;

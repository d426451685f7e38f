//! An app's output from its pipe into files, and those files back to a reader.
//!
//! Writing: [`lane::Lanes`] move streams on threads of their own, byte for byte into one
//! [`sink::LogFile`], or line by line by way of a [`spool`]; [`rotate`] is done by the writer.
//! Beside the files lines may be [`ship`]ped. Reading: [`tail`] and [`history`] for what is there,
//! [`follow::Follower`] for what comes. Whom a line belongs to is others' work.
#![forbid(unsafe_code)]

pub mod date_format;
pub mod follow;
pub mod frame;
mod growing;
pub mod history;
pub mod lane;
mod lines;
pub mod open;
mod peek;
pub mod pump;
mod range;
pub mod rotate;
mod scratch;
pub mod ship;
pub mod sink;
pub mod spool;
mod spooled;
pub mod tail;
pub mod times;
pub mod transit;

pub use spooled::WhenFull;

//! Safe wrappers of the system calls rpm needs. The only crate with unsafe code: each block says
//! why it is sound, and nothing here knows what an app is.
#![warn(clippy::undocumented_unsafe_blocks)]

pub mod home;
pub mod spawn;

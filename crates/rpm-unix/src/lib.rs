//! Safe wrappers of the system calls rpm needs. The only crate with unsafe code: each block says
//! why it is sound, and nothing here knows what an app is.
#![warn(clippy::undocumented_unsafe_blocks)]

pub mod atomic;
pub mod caller;
pub mod cgroup;
pub mod epoll;
pub mod fd;
pub mod fdpass;
pub mod fnv;
pub mod heap;
pub mod home;
pub mod limits;
pub mod lock;
pub mod machine;
pub mod memfd;
pub mod notify;
pub mod notify_socket;
pub mod peer;
pub mod pidfd;
pub mod pipe;
pub mod poll;
pub mod process;
pub mod procfd;
pub mod procfs;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod steer;
mod syscall;
pub mod time;
pub mod user;
pub mod wait;

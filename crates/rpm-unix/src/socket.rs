//! Sockets as such: what one is, where it is bound, which options it has. Nothing here waits, and
//! nothing reads or writes data.

mod copy;
mod name;
mod open;
mod options;
mod queue;
mod raw;

pub use copy::copy_options;
pub use name::{SocketName, local_name};
pub use open::{Endpoint, Fresh, is_dead_path, open_listener};
pub use options::{
    Transport, cookie, device, has_peer, is_listening, is_nonblocking, namespace, only_v6, owner,
    reuse_port, set_owner, set_reuse_port, transport,
};
pub use queue::{AcceptQueue, accept_queue};

use std::{io, os::fd::AsFd};

/// The error number of an address that is taken.
pub const ADDRESS_IN_USE: i32 = libc::EADDRINUSE;
/// The error number of a port below the unprivileged ones, and of a path that may not be written.
pub const ACCESS_DENIED: i32 = libc::EACCES;
/// The error number of what needs a privilege.
pub const NOT_PERMITTED: i32 = libc::EPERM;
/// The error number of a table of descriptors that is full.
pub const TOO_MANY: i32 = libc::EMFILE;

/// Makes a bound socket listen, or changes the backlog of one that listens. 0: as much as the
/// system allows (net.core.somaxconn; the kernel lowers larger values to it).
pub fn listen(fd: impl AsFd, backlog: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let backlog = if backlog == 0 { i32::MAX } else { backlog };
    // SAFETY: two integers.
    crate::syscall::check(unsafe { libc::listen(fd.as_fd().as_raw_fd(), backlog) }.into()).map(drop)
}

/// Ends a TCP listener, whoever else has it open: it leaves the sockets that share its address at
/// once, what waits in it is reset, and those that set `SO_REUSEADDR` may bind its address. (In
/// Linux shutdown(2) disconnects a listening socket: `inet_shutdown` in net/ipv4/af_inet.c.)
///
/// # Errors
/// It does not listen.
pub fn end_listening(fd: impl AsFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    options::set_reuse_address(&fd)?;
    // SAFETY: two integers.
    let ended = unsafe { libc::shutdown(fd.as_fd().as_raw_fd(), libc::SHUT_RD) };
    crate::syscall::check(ended.into()).map(drop)
}

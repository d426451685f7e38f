//! Which socket of a `SO_REUSEPORT` group gets a new connection, or a datagram: chosen in the
//! kernel, by a BPF program of ours, with nobody in the path.
//!
//! A [`Program`] is classic BPF, needs no privilege and names members by their place in the
//! kernel's array, which [`Group`] mirrors; it is attached anew after each change. A [`RoundRobin`]
//! is eBPF, needs `CAP_BPF` and `CAP_NET_ADMIN` and names sockets themselves; it is attached once
//! and told of changes. Either replaces the other and stays with the group, not with the socket or
//! the process it was attached by, until the last member is gone. Both choose per packet that opens
//! something: a connection stays where it began, but each datagram is chosen for alone.
//!
//! When to attach, who is healthy and what to do instead of what is refused is for the caller.
//! Sources: socket(7), bpf(2), linux/filter.h, linux/bpf.h, net/core/sock_reuseport.c,
//! net/core/filter.c, kernel/bpf/reuseport_array.c.

mod assembler;
mod classic;
mod group;
mod guest;
#[cfg(test)]
mod machine;
mod map;
mod members;
mod option;
mod program;
mod round_robin;
#[cfg(test)]
mod tests;

pub use group::Group;
pub use members::{MAX_MEMBERS, Member, Members, Unfit};
pub use option::{deafen, detach, hear};
pub use program::Program;
pub use round_robin::RoundRobin;

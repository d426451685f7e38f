//! What keeper and daemon say to each other: one message a SEQPACKET datagram, descriptors beside
//! it as SCM_RIGHTS.
//!
//! This file is the vocabulary; `wire.rs` turns it into bytes and back. Names and ids are the
//! daemon's: to the keeper a child is a number and an opaque label.

mod event;

pub use event::Event;

use crate::balance::Balance;
use std::{net::SocketAddr, os::fd::OwnedFd, path::PathBuf};

/// The version both sides name in `Hello` and `Welcome`.
pub const VERSION: u16 = 1;
/// Where the daemon finds its end of the link after exec.
pub const LINK_FD: i32 = 3;
/// Where the daemon finds the listening socket of `rpm.sock` after exec.
pub const RPC_FD: i32 = 4;
/// Where the daemon finds the locked description of `state/lock` after exec.
pub const LOCK_FD: i32 = 5;
/// The longest label, in bytes.
pub const MAX_LABEL: usize = 1024;
/// The longest name of a held descriptor, in bytes: a file path fits.
pub const MAX_NAME: usize = 1024;
/// How many descriptors may be held by name: two log files for each of some thousand apps.
pub const MAX_HELD: usize = 16_384;
/// The longest note on a held socket, in bytes: two names and some numbers.
pub const MAX_RECORD: usize = 3072;
/// How many slots one [`Event::Slots`] tells of, beside the longest name.
pub const MAX_SLOTS: usize = 256;

/// A spawned process tree, named by the daemon; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(pub u64);

/// Whose a listening socket is: it outlives any one child.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The app, as the daemon names it.
    pub app: String,
    /// The slot within it.
    pub slot: u32,
}

/// What a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A TCP port; the port is never 0.
    Tcp(SocketAddr),
    /// A UDP port; the port is never 0.
    Udp(SocketAddr),
    /// A stream socket in the file system, absolute.
    Unix(PathBuf),
}

impl Owner {
    /// In whose name an app's front has its sockets: a slot that no instance can have.
    pub fn front(app: &str) -> Self {
        Self { app: app.to_owned(), slot: u32::MAX }
    }
}

/// How a child's binds are answered.
#[derive(Debug)]
pub struct Share {
    /// For whom.
    pub owner: Owner,
    /// How the slots of its app share.
    pub balance: Balance,
    /// Where its calls arrive; `None`: it has no filter, or nobody held it when all managers died.
    pub filter: Option<OwnedFd>,
}

/// From the daemon to the keeper.
#[derive(Debug)]
pub enum Request {
    /// The first message.
    Hello {
        /// [`VERSION`] of the sender.
        version: u16,
    },
    /// Execute a program. A repeated id is answered again, not done twice. The label comes back in
    /// the inventory.
    Spawn {
        /// A new id.
        child: ChildId,
        /// The daemon's own notes, at most [`MAX_LABEL`] bytes.
        label: Vec<u8>,
        /// A sealed memfd with an encoded [`crate::SpawnSpec`].
        spec: OwnedFd,
    },
    /// The exit of this child is recorded: forget it and close what was kept for it.
    Acknowledge {
        /// Whose.
        child: ChildId,
    },
    /// This child is ready: it binds nothing more of what its slot's former child served, so what
    /// nobody of the slot has open any more may be closed (traps A1).
    Settled {
        /// Which.
        child: ChildId,
    },
    /// Give me the held listening socket of this owner and address, made now if there is none.
    Listen {
        /// Comes back in the answer.
        request: u64,
        /// Whose socket.
        owner: Owner,
        /// Where.
        address: Address,
        /// `IPV6_V6ONLY`, for an IPv6 address.
        only_v6: bool,
        /// As for listen(2); 0: the system's maximum. Negative: only if there is one, of an app
        /// whose balance is [`Balance::Private`].
        backlog: i32,
        /// How the app's slots share it.
        balance: Balance,
    },
    /// This slot is leaving: no new connection to its sockets, where others have the address. A
    /// later `Spawn` for it, or `Release`, ends that.
    Retire {
        /// Whose.
        owner: Owner,
    },
    /// This child's replacement is ready: new connections go to that one, where it has a socket of
    /// its own.
    Relieve {
        /// Whose turn ends.
        child: ChildId,
    },
    /// Tell how full the queues of all slots are.
    Slots {
        /// Comes back in the answer.
        request: u64,
    },
    /// One address of an owner is served no more.
    Close {
        /// Whose.
        owner: Owner,
        /// Where.
        address: Address,
    },
    /// Nothing of this owner is served any more: close all its sockets. Answered by `Released`.
    Release {
        /// Whose.
        owner: Owner,
    },
    /// Keep this descriptor for the next daemon, in place of any former one of the name.
    Hold {
        /// At most [`MAX_NAME`] bytes.
        name: String,
        /// What to keep.
        fd: OwnedFd,
    },
    /// Close a held descriptor.
    Drop {
        /// Its name.
        name: String,
    },
    /// Tell all you keep.
    Inventory,
    /// A child of a former keeper: keep it and answer its calls as if it were yours. Before
    /// [`Request::Adopted`].
    Adopt {
        /// Its process and descriptors.
        child: Child,
        /// As given at `Spawn`.
        label: Vec<u8>,
        /// How it ended, if it has and that was not acknowledged.
        status: Option<ExitStatus>,
        /// It has listened; a [`Request::Listened`] for each address comes next.
        listening: bool,
    },
    /// Where an adopted child has listened.
    Listened {
        /// Which.
        child: ChildId,
        /// Where.
        address: Address,
    },
    /// A socket that a former keeper held, as it told in [`Event::Shared`].
    AdoptSocket {
        /// The keeper's own notes on it.
        record: Vec<u8>,
        /// The socket.
        socket: OwnedFd,
    },
    /// All is handed over: answer calls from now on.
    Adopted,
    /// Tell all you keep as one file, which another binary can be shown. Answered by `Snapshot`.
    Snapshot,
    /// Execute this program in your place, with all you keep, and replace the daemon from it.
    /// Answered by `Error` if that fails; else by the end of this daemon.
    Upgrade {
        /// The executable, open.
        program: OwnedFd,
    },
    /// Exit after this daemon has exited; children that are left are left alone.
    Shutdown,
}

/// A running child: duplicates of what the keeper keeps for it.
#[derive(Debug)]
pub struct Child {
    /// Its id.
    pub child: ChildId,
    /// The leader, also the id of its session.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`, in clock ticks since boot: with the pid it names a process for
    /// ever.
    pub start_time: u64,
    /// The leader's pidfd.
    pub pidfd: OwnedFd,
    /// The read end of its standard output, non-blocking.
    pub stdout: OwnedFd,
    /// The read end of its standard error, non-blocking.
    pub stderr: OwnedFd,
    /// Our end of its Node IPC channel, non-blocking, if it has one.
    pub channel: Option<OwnedFd>,
    /// How its binds are answered; `None`: they are not.
    pub share: Option<Share>,
}

/// How a leader ended, from waitid(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It was not our child, so nobody knows.
    Unknown,
}

/// What could fail on the way to a running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnStage {
    /// Its spec was unreadable, or too large.
    Spec,
    /// Pipes, sockets or descriptors ran out.
    Descriptors,
    /// fork(2).
    Fork,
    /// Changing to its working directory.
    Directory,
    /// Taking its user and groups.
    Credentials,
    /// Limits, priority or mask.
    Limits,
    /// Installing the bind filter.
    Filter,
    /// execve(2) itself, after the PATH look-up.
    Exec,
    /// One of the sockets it was to inherit could not be bound; told by `Refused` just before.
    Listen,
}

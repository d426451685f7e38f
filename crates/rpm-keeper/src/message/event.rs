//! What the keeper tells the daemon: answers, what became of children, and what happens on ports.

use super::{Address, Child, ChildId, ExitStatus, Owner, SpawnStage};
use crate::balance::{Fallback, Slot};
use std::os::fd::OwnedFd;

/// From the keeper to the daemon.
#[derive(Debug)]
pub enum Event {
    /// The answer to `Hello`.
    Welcome {
        /// [`VERSION`](super::VERSION) of the sender.
        version: u16,
        /// How many daemons died in the last minute.
        deaths: u32,
        /// How many of them died of themselves, not by SIGKILL, which somebody sends: a daemon that
        /// keeps doing that must not go on as if nothing were (traps B10).
        crashes: u32,
        /// The keeper's pid: its children are the orphans of apps, too.
        keeper: i32,
    },
    /// The program was executed.
    Spawned(Child),
    /// It was not; there is no process.
    SpawnFailed {
        /// Whose.
        child: ChildId,
        /// What failed.
        stage: SpawnStage,
        /// The error number.
        errno: i32,
    },
    /// A child that was to be given the bind filter runs without it (traps B6). Comes after its
    /// `Spawned`.
    Unfiltered {
        /// Whose.
        child: ChildId,
        /// `EBUSY`: another filter of its kind is above us; else the kernel has none.
        errno: i32,
    },
    /// A child's leader exited. Repeated in the inventory until acknowledged.
    Exited {
        /// Whose.
        child: ChildId,
        /// How.
        status: ExitStatus,
    },
    /// A process of a child's tree called listen(2) on an address, and it succeeded or will.
    Listening {
        /// Whose.
        child: ChildId,
        /// Where.
        address: Address,
    },
    /// A process of a child's tree was refused an address, or could not be given a shared socket.
    Refused {
        /// Whose.
        child: ChildId,
        /// Which address.
        address: Address,
        /// Why.
        errno: i32,
        /// The other app that holds it, if it is one of ours.
        holder: Option<Owner>,
    },
    /// The answer to `Listen`.
    Listener {
        /// From the request.
        request: u64,
        /// A listening socket.
        fd: OwnedFd,
    },
    /// The other answer to `Listen`.
    ListenFailed {
        /// From the request.
        request: u64,
        /// Why.
        errno: i32,
        /// The other app that holds the address, if it is one of ours.
        holder: Option<Owner>,
    },
    /// The answer to `Retire`: nothing waits in the slot's queues any more, so its worker can
    /// stop; or it took too long, or there was nothing to do.
    Retired {
        /// Whose.
        owner: Owner,
    },
    /// The answer to `Relieve`: the child has accepted all that was meant for it, however long that
    /// took; or there was nothing to do.
    Relieved {
        /// Which.
        child: ChildId,
    },
    /// A slot's worker accepts nothing, so new connections go elsewhere; or it does again.
    Blocked {
        /// Whose.
        owner: Owner,
        /// Whether it is.
        blocked: bool,
        /// How many connections wait for it.
        waiting: u32,
    },
    /// An app's balance is not possible here; told once for each start of the app.
    Unbalanced {
        /// Which app.
        app: String,
        /// What is in force instead, and why.
        fallback: Fallback,
    },
    /// Some slots of one app, in the answer to `Slots`.
    Slots {
        /// From the request.
        request: u64,
        /// Which app.
        app: String,
        /// What is in force instead of what was asked for, if it is not that.
        fallback: Option<Fallback>,
        /// At most [`MAX_SLOTS`](super::MAX_SLOTS).
        slots: Vec<Slot>,
    },
    /// The answer to `Slots` is complete.
    SlotsEnd {
        /// From the request.
        request: u64,
    },
    /// A held socket is new or changed; the daemon keeps it for the next keeper.
    Shared {
        /// Names it.
        hold: u64,
        /// The keeper's own notes on it, at most [`MAX_RECORD`](super::MAX_RECORD) bytes.
        record: Vec<u8>,
        /// A duplicate.
        socket: OwnedFd,
    },
    /// A held socket is let go.
    Unshared {
        /// Names it.
        hold: u64,
    },
    /// The answer to `Snapshot`.
    Snapshot {
        /// A sealed memory file; see `upgrade.rs`.
        file: OwnedFd,
    },
    /// The answer to `Upgrade` if nothing came of it; all is as before.
    NotUpgraded {
        /// Why.
        errno: i32,
    },
    /// One child of the inventory.
    Known {
        /// Its process and descriptors.
        child: Child,
        /// As given at `Spawn`.
        label: Vec<u8>,
        /// How it ended, if it has and that was not acknowledged.
        status: Option<ExitStatus>,
        /// It has listened; a `Listening` for each address comes after the inventory.
        listening: bool,
    },
    /// One held descriptor of the inventory.
    Held {
        /// Its name.
        name: String,
        /// A duplicate.
        fd: OwnedFd,
    },
    /// The inventory is complete.
    InventoryEnd,
    /// The answer to `Release`: the addresses are free.
    Released,
    /// A request was not understood or not possible; nothing was done.
    Error {
        /// What was wrong, for a log.
        text: String,
    },
}

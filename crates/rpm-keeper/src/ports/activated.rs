//! Sockets that programs inherit: made before the first of them exists, and held until the slot is
//! released, as any that the daemon asks for.

use super::{Ports, key::Key};
use crate::message::{Address, Owner};
use rpm_unix::socket;
use std::os::fd::OwnedFd;

/// As much as the system allows: clients wait while the program boots, and a program that calls
/// listen sets its own.
const BACKLOG: i32 = 0;

impl Ports {
    /// A duplicate of this owner's socket at the address, bound and listening, for a program of
    /// `user` (`None`: ours). An error is its number, and the other app that has the address.
    pub fn activate(
        &mut self,
        owner: &Owner,
        address: &Address,
        user: Option<u32>,
    ) -> Result<OwnedFd, (i32, Option<Owner>)> {
        let namespace = self.namespace(address);
        let key = Key { address: address.clone(), namespace, only_v6: false, device: Vec::new() };
        let key = self.table.key_at(owner, address).unwrap_or(key);
        if let Some(holder) = self.table.foreigner(&owner.app, &key) {
            return Err((socket::ADDRESS_IN_USE, Some(holder.clone())));
        }
        let asked = self.asked(owner.clone(), key.clone(), BACKLOG, user);
        self.handover.touched = true;
        if let Some(id) = self.table.find(owner, &key)
            && let Some(hold) = self.table.holds.get_mut(&id)
        {
            hold.activates = true;
        }
        let _told_later = self.steer();
        asked.map_err(|error| (error.raw_os_error().unwrap_or(socket::NOT_PERMITTED), None))
    }
}

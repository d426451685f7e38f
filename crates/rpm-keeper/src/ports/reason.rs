//! Why a program's own bind failed. Its answer went from the kernel to the program, so this is
//! found out afterwards, from what is there to be seen; it is told, and nothing depends on it.
//!
//! Trying the bind on a socket of our own beforehand would be a guess, too: it has other rights,
//! and for a moment takes the very address.

use super::{Ports, attempt::Attempt};
use crate::message::{Address, Owner};
use rpm_unix::{procfd, socket};
use std::fs;

/// Where the kernel tells the lowest port that needs no privilege; 1024 if it does not.
const PRIVILEGED_BELOW: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

impl Ports {
    /// An error number, and the other app that has the address if it is one of ours.
    pub(super) fn reason(&self, attempt: &Attempt) -> Option<(i32, Option<Owner>)> {
        if let Some(holder) = self.table.foreigner(&attempt.owner.app, &attempt.key) {
            return Some((socket::ADDRESS_IN_USE, Some(holder.clone())));
        }
        if !self.is_here(attempt) {
            return None;
        }
        if procfd::is_taken(&attempt.key.endpoint()) || is_stale_file(attempt) {
            return Some((socket::ADDRESS_IN_USE, None));
        }
        let port = attempt.key.port();
        (port != 0 && port < privileged_below()).then_some((socket::ACCESS_DENIED, None))
    }

    /// In our own namespace, the only one we can see.
    fn is_here(&self, attempt: &Attempt) -> bool {
        attempt.key.namespace == self.namespace(&attempt.key.address)
    }
}

fn is_stale_file(attempt: &Attempt) -> bool {
    match &attempt.key.address {
        Address::Unix(path) => path.exists(),
        Address::Tcp(_) | Address::Udp(_) => false,
    }
}

fn privileged_below() -> u16 {
    let text = fs::read_to_string(PRIVILEGED_BELOW).unwrap_or_default();
    text.trim().parse().unwrap_or(1024)
}

//! Who has a socket open, found through `/proc`: for the lease on a held socket, and to name the
//! process that keeps a port from us. Everything here is a snapshot, and slow beside a system call.

mod connections;
mod net;
mod tree;

pub(crate) use tree::members;

pub use connections::{connections, has_accepted, listening};
pub use net::{Holder, is_taken, listener_holder, port_holder};

use std::{
    collections::BTreeMap,
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
};

/// Where a process has a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The process, not a thread.
    pub pid: i32,
    /// Its number for the socket.
    pub fd: i32,
}

/// The sockets that some processes have open, by their [`inode`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// One place of each.
    pub places: BTreeMap<u64, Place>,
    /// Every process could be asked; else a socket that is missing may be open all the same.
    pub complete: bool,
}

/// The most sockets that are counted in one census.
const MAX_SOCKETS: usize = 1 << 20;

/// The number by which `/proc` names a socket.
pub fn inode(socket: impl AsFd) -> io::Result<u64> {
    Ok(nix::sys::stat::fstat(socket)?.st_ino)
}

/// Whether the socket is open at this very place.
pub fn is_at(place: Place, inode: u64) -> bool {
    let path = format!("/proc/{}/fd/{}", place.pid, place.fd);
    fs::read_link(path).is_ok_and(|link| link.as_os_str() == link_text(inode).as_str())
}

/// The sockets of the session that `leader` leads, and of all that descends from it.
pub fn census(leader: i32) -> Census {
    let mut census = Census { complete: true, ..Census::default() };
    for pid in tree::members(leader) {
        match sockets_of(pid) {
            Ok(found) => found.for_each(|(inode, place)| {
                if census.places.len() < MAX_SOCKETS {
                    census.places.insert(inode, place);
                }
            }),
            Err(error) => census.complete &= error.kind() == io::ErrorKind::NotFound,
        }
    }
    census
}

/// Whether a process that began after `leader` has the socket open, even if nothing else tells that
/// it descends from it. Not counted are processes that execute the same file as this one, and those
/// that cannot be asked.
pub fn is_open_since(leader: i32, inode: u64) -> bool {
    let all = crate::procfs::processes().unwrap_or_default();
    let begun = all.iter().find(|one| one.pid == leader).map_or(0, |one| one.start_time);
    let file = |pid: &str| {
        fs::metadata(format!("/proc/{pid}/exe")).map(|file| (file.dev(), file.ino())).ok()
    };
    let own = file("self");
    let younger = all.iter().filter(|one| one.start_time >= begun && !one.zombie);
    let mut others = younger.filter(|one| own.is_none() || file(&one.pid.to_string()) != own);
    others.any(|one| {
        sockets_of(one.pid).is_ok_and(|mut sockets| sockets.any(|(found, _)| found == inode))
    })
}

/// The sockets of one process.
fn sockets_of(pid: i32) -> io::Result<impl Iterator<Item = (u64, Place)>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(entries.flatten().filter_map(move |entry| {
        let link = fs::read_link(entry.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        let fd = entry.file_name().to_str()?.parse().ok()?;
        Some((inode, Place { pid, fd }))
    }))
}

fn link_text(inode: u64) -> String {
    format!("socket:[{inode}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, os::fd::AsRawFd};

    #[test]
    fn a_socket_is_found_where_it_is_open_and_only_there() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = inode(&socket).unwrap();
        let place = Place { pid: std::process::id() as i32, fd: socket.as_raw_fd() };
        assert!(is_at(place, inode));
        assert!(!is_at(Place { fd: 0, ..place }, inode));
        assert_eq!(census(place.pid).places.get(&inode), Some(&place));
        drop(socket);
        assert!(!is_at(place, inode));
        assert_eq!(census(place.pid).places.get(&inode), None);
    }

    #[test]
    fn of_nobody_there_is_a_complete_and_empty_census() {
        assert_eq!(census(i32::MAX), Census { places: BTreeMap::new(), complete: true });
    }
}

//! Who has a socket open, found through `/proc`: for the lease on a held socket, and to name the
//! process that keeps a port from us. Everything here is a snapshot, and slow beside a system call.

mod net;
mod tree;

pub use net::{Holder, is_taken, listener_holder};

use std::{fs, io, os::fd::AsFd};

/// Where a process has a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The process, not a thread.
    pub pid: i32,
    /// Its number for the socket.
    pub fd: i32,
}

/// What looking for a socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Somebody has it open here.
    At(Place),
    /// Nobody has.
    Nowhere,
    /// A process could not be asked.
    Unknown,
}

/// The number by which `/proc` names a socket.
pub fn inode(socket: impl AsFd) -> io::Result<u64> {
    Ok(nix::sys::stat::fstat(socket)?.st_ino)
}

/// Whether the socket is open at this very place.
pub fn is_at(place: Place, inode: u64) -> bool {
    let path = format!("/proc/{}/fd/{}", place.pid, place.fd);
    fs::read_link(path).is_ok_and(|link| link.as_os_str() == link_text(inode).as_str())
}

/// Looks for the socket in the processes of the session that `leader` leads, and in all their
/// descendants.
pub fn find_in_tree(leader: i32, inode: u64) -> Found {
    let mut found = Found::Nowhere;
    for pid in tree::members(leader) {
        match find_in_process(pid, inode) {
            Found::At(place) => return Found::At(place),
            Found::Unknown => found = Found::Unknown,
            Found::Nowhere => {}
        }
    }
    found
}

fn find_in_process(pid: i32, inode: u64) -> Found {
    let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Found::Unknown,
        Err(_) => return Found::Nowhere,
    };
    let wanted = link_text(inode);
    let is_wanted = |path: &std::path::Path| {
        fs::read_link(path).is_ok_and(|link| link.as_os_str() == wanted.as_str())
    };
    let name = entries.flatten().find(|entry| is_wanted(&entry.path())).map(|e| e.file_name());
    match name.and_then(|name| name.to_str()?.parse().ok()) {
        Some(fd) => Found::At(Place { pid, fd }),
        None => Found::Nowhere,
    }
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
        assert_eq!(find_in_process(place.pid, inode), Found::At(place));
        assert_eq!(find_in_process(1, inode), Found::Nowhere);
        drop(socket);
        assert!(!is_at(place, inode));
        assert_eq!(find_in_process(place.pid, inode), Found::Nowhere);
    }
}

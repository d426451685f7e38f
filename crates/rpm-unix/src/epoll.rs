//! Sockets that another process has put into an epoll: a descriptor that takes the place of one is
//! not watched until it is put there, too (traps B4).

use crate::{caller, syscall::check};
use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    thread,
};

/// The most that are looked for; a program has one epoll, or one a thread.
const MAX_WATCHES: usize = 256;

/// One epoll of a process, and how it watches a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The process's number for the epoll.
    pub epoll: i32,
    /// `EPOLLIN` and the like, flags included.
    pub events: u32,
    /// What the process is told with an event.
    pub data: u64,
}

/// The epolls of a process that watch one of its descriptors; none if it cannot be asked.
pub fn watches(pid: i32, fd: i32) -> Vec<Watch> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let epolls = entries.flatten().filter_map(|entry| {
        let link = fs::read_link(entry.path()).ok()?;
        if link.as_os_str() != "anon_inode:[eventpoll]" {
            return None;
        }
        entry.file_name().to_str()?.parse::<i32>().ok()
    });
    let watch = |epoll: i32| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{epoll}")).ok()?;
        let (events, data) = info.lines().find_map(|line| parse(line, fd))?;
        Some(Watch { epoll, events, data })
    };
    epolls.filter_map(watch).take(MAX_WATCHES).collect()
}

/// A line of an epoll's fdinfo (proc(5)): `tfd: 5 events: 19 data: 5 pos:0 ino:61af sdev:7`, the
/// descriptor in decimal, events and data in hexadecimal.
fn parse(line: &str, fd: i32) -> Option<(u32, u64)> {
    let mut words = line.split_whitespace();
    let mut value = |key: &str| words.next().filter(|word| *word == key).and_then(|_| words.next());
    let target: i32 = value("tfd:")?.parse().ok()?;
    let events = u32::from_str_radix(value("events:")?, 16).ok()?;
    let data = u64::from_str_radix(value("data:")?, 16).ok()?;
    (target == fd).then_some((events, data))
}

/// Has a process's epoll watch `socket`, which the process has at `fd`, as it watched what was
/// there before.
///
/// An epoll knows a file by the number it was added with, by which its owner will change or remove
/// it. So it is added with that number: in a thread with a descriptor table of its own.
pub fn renew(pid: i32, watch: Watch, fd: i32, socket: BorrowedFd<'_>) -> io::Result<()> {
    let epoll = caller::take_fd(pid, watch.epoll)?;
    thread::scope(|scope| {
        let add = || add_as(epoll.as_fd(), watch, fd, socket);
        let thread = thread::Builder::new().spawn_scoped(scope, add)?;
        thread.join().map_err(|_| io::Error::from(io::ErrorKind::Other))?
    })
}

fn add_as(epoll: BorrowedFd<'_>, watch: Watch, fd: i32, socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: it takes no memory; this thread shares its table with nobody from here on.
    check(unsafe { libc::unshare(libc::CLONE_FILES) }.into())?;
    // Both out of the way of the number.
    let (epoll, socket) = (above(epoll, fd)?, above(socket, fd)?);
    // SAFETY: whatever is at `fd` is closed in this thread's table only, which ends with it; nobody
    // in this thread uses it.
    check(unsafe { libc::dup2(socket.as_raw_fd(), fd) }.into())?;
    let mut event = libc::epoll_event { events: watch.events, u64: watch.data };
    let raw = epoll.as_raw_fd();
    // SAFETY: the kernel reads one epoll_event.
    check(unsafe { libc::epoll_ctl(raw, libc::EPOLL_CTL_ADD, fd, &raw mut event) }.into())?;
    Ok(())
}

fn above(from: BorrowedFd<'_>, fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: it takes no memory.
    let new = unsafe { libc::fcntl(from.as_raw_fd(), libc::F_DUPFD_CLOEXEC, fd.saturating_add(1)) };
    check(new.into())?;
    // SAFETY: it was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn epoll() -> OwnedFd {
        // SAFETY: it takes no memory, and what it returns is new.
        unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }
    }

    /// The data of the event that is there within so many milliseconds.
    fn event(epoll: &OwnedFd, limit: libc::c_int) -> Option<u64> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: there is room for the one event that is asked for.
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), &raw mut event, 1, limit) };
        (count == 1).then_some(event.u64)
    }

    #[test]
    fn a_socket_is_watched_as_the_one_it_replaces() {
        let (epoll, me) = (epoll(), std::process::id() as i32);
        let [old, new] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let fd = old.as_raw_fd();
        let mut wanted = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 77 };
        let raw = epoll.as_raw_fd();
        // SAFETY: the kernel reads one epoll_event.
        let added = unsafe { libc::epoll_ctl(raw, libc::EPOLL_CTL_ADD, fd, &raw mut wanted) };
        assert_eq!(added, 0);
        let found = watches(me, fd);
        let [watch] = found[..] else { panic!("{found:?}") };
        assert_eq!((watch.epoll, watch.data), (epoll.as_raw_fd(), 77));
        assert_eq!(watches(me, new.as_raw_fd()), []);
        drop(old);
        renew(me, watch, fd, new.as_fd()).unwrap();
        assert_eq!(watches(me, fd), [watch]);
        assert_eq!(event(&epoll, 0), None);
        let _client = TcpStream::connect(new.local_addr().unwrap()).unwrap();
        // The kernel may hand it over somewhat after the client has connected.
        assert_eq!(event(&epoll, 60_000), Some(77));
    }

    #[test]
    fn lines_of_others_are_not_taken() {
        let line =
            "tfd:        5 events:       19 data:         ffff000000000005  pos:0 ino:1 sdev:7";
        assert_eq!(parse(line, 5), Some((0x19, 0xffff_0000_0000_0005)));
        assert_eq!(parse(line, 6), None);
        assert_eq!(parse("pos:\t0", 5), None);
    }
}

//! What another process is doing: its memory, descriptors and current call, for whoever may trace
//! it. A process that is gone is a normal answer.

use nix::{
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd::Pid,
};
use std::{
    fs,
    io::{self, IoSliceMut},
    os::fd::OwnedFd,
};

/// The most that is ever read of a caller's memory, in bytes: the largest sockaddr the kernel takes
/// (sockaddr_storage).
pub const MAX_MEMORY: usize = 128;

/// Reads `length` bytes at `address` of a process or thread.
///
/// # Errors
/// `InvalidInput`: longer than [`MAX_MEMORY`]. Else as process_vm_readv(2); a partial read is
/// `EFAULT`, too.
pub fn read_memory(pid: i32, address: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_MEMORY {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let base = usize::try_from(address).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let remote = [RemoteIoVec { base, len: length }];
    let read = process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut bytes)], &remote)?;
    if read == length { Ok(bytes) } else { Err(nix::errno::Errno::EFAULT.into()) }
}

/// The process a thread belongs to.
pub fn thread_group(thread: i32) -> io::Result<i32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status"))?;
    field(&status, "Tgid:").and_then(|text| text.parse().ok()).ok_or_else(missing)
}

/// A duplicate of a descriptor of a process (not of a thread id).
pub fn take_fd(pid: i32, number: i32) -> io::Result<OwnedFd> {
    crate::pidfd::getfd(crate::pidfd::open(pid)?, number)
}

/// Whether a descriptor of a process closes at exec.
pub fn closes_on_exec(pid: i32, number: i32) -> io::Result<bool> {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}"))?;
    let flags = field(&info, "flags:").and_then(|text| i32::from_str_radix(text, 8).ok());
    Ok(flags.ok_or_else(missing)? & libc::O_CLOEXEC != 0)
}

/// Whether a thread is in bind(2): `None` if it is on a processor just now or cannot be asked.
pub fn is_binding(thread: i32) -> Option<bool> {
    let text = match fs::read_to_string(format!("/proc/{thread}/syscall")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let number: i64 = text.split_whitespace().next()?.parse().ok()?;
    Some(number == libc::SYS_bind)
}

/// Makes every thread of a leader's session and descendants that is in bind(2) or listen(2) call
/// again, by stopping it and letting it go on: the answer to its first call may have died with
/// whoever had taken it (traps A5). What cannot be asked or told is left alone.
pub fn repeat_calls(leader: i32) {
    for pid in crate::procfd::members(leader) {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let mut threads = threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        if threads.any(is_calling)
            && let Ok(process) = crate::pidfd::open(pid)
        {
            for signal in [libc::SIGSTOP, libc::SIGCONT] {
                let _gone = crate::pidfd::send_signal(&process, signal);
            }
        }
    }
}

/// Whether a thread is in bind(2) or listen(2).
fn is_calling(thread: i32) -> bool {
    let text = fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap_or_default();
    let number = text.split_whitespace().next().and_then(|number| number.parse().ok());
    number.is_some_and(|number: i64| [libc::SYS_bind, libc::SYS_listen].contains(&number))
}

/// The value of a `Key: value` line of a proc file.
fn field<'text>(text: &'text str, key: &str) -> Option<&'text str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

fn missing() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn me() -> i32 {
        std::process::id() as i32
    }

    #[test]
    fn memory_is_read_up_to_the_bound_and_no_further() {
        let mine: Vec<u8> = (0..=255).collect();
        let address = mine.as_ptr() as u64;
        assert_eq!(read_memory(me(), address, 16).unwrap(), mine[..16]);
        assert_eq!(read_memory(me(), address, 128).unwrap(), mine[..128]);
        let too_long = read_memory(me(), address, 129).unwrap_err();
        assert_eq!(too_long.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(read_memory(me(), 8, 16).unwrap_err().raw_os_error(), Some(libc::EFAULT));
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let thread = std::thread::spawn(|| nix::unistd::gettid().as_raw());
        assert_eq!(thread_group(me()).unwrap(), me());
        thread.join().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            send.send(nix::unistd::gettid().as_raw()).unwrap();
            wait.recv().unwrap_err();
        });
        let id = receive.recv().unwrap();
        assert_ne!(id, me());
        assert_eq!(thread_group(id).unwrap(), me());
        drop(done);
        thread.join().unwrap();
    }

    #[test]
    fn close_on_exec_is_told_per_descriptor() {
        let (read, write) = nix::unistd::pipe().unwrap();
        crate::fd::set_cloexec(&read, true).unwrap();
        crate::fd::set_cloexec(&write, false).unwrap();
        assert!(closes_on_exec(me(), read.as_raw_fd()).unwrap());
        assert!(!closes_on_exec(me(), write.as_raw_fd()).unwrap());
        assert!(closes_on_exec(me(), 9_999).is_err());
    }

    #[test]
    fn nobody_binds_here() {
        assert_ne!(is_binding(me()), Some(true));
        assert_eq!(is_binding(i32::MAX), Some(false));
    }
}

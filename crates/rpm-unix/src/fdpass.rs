//! Datagrams with descriptors beside them (SCM_RIGHTS), over SOCK_SEQPACKET pairs.

use crate::syscall::check;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// How many descriptors one message may carry; the kernel's own limit is 253.
pub const MAX_FDS: usize = 16;

/// Room for one control message with [`MAX_FDS`] descriptors, aligned as cmsghdr must be.
const CONTROL_WORDS: usize = 16;
type Control = [u64; CONTROL_WORDS];

/// Two connected ends of a message socket, both closing at exec; `nonblocking` is for the first
/// one.
pub fn pair(nonblocking: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    crate::fd::set_nonblocking(&one, nonblocking)?;
    Ok((one, other))
}

/// Two connected ends of a byte stream, both closing at exec.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?)
}

/// Bounds how much may be on its way from this end: descriptors in flight count against a limit of
/// the whole user (traps A14).
pub fn set_send_buffer(socket: impl AsFd, bytes: usize) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::SndBuf, &bytes)?)
}

/// Sends one message with duplicates of `fds`. Sends all or nothing, and never raises SIGPIPE.
///
/// # Errors
/// `InvalidInput` for more than [`MAX_FDS`] descriptors; `WouldBlock` as for any socket.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > MAX_FDS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    let mut control: Control = [0; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut header = header(&mut part, &mut control);
    header.msg_controllen = write_control(&header, fds);
    if fds.is_empty() {
        header.msg_control = ptr::null_mut();
    }
    // SAFETY: the header points to `part`, `bytes` and `control`, which live until after the call,
    // and sendmsg writes to none of them.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &header, libc::MSG_NOSIGNAL) };
    check(sent as libc::c_long)?;
    Ok(())
}

/// Receives one message into `buffer`: how long it is, and its descriptors, which close at exec. A
/// length of 0 is the end. Waits unless the socket is non-blocking.
///
/// # Errors
/// `InvalidData` if the message or its descriptors did not fit; what came of it is dropped and
/// closed.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    match receive_once(&socket, buffer) {
        // Of a peer that closed before it had read everything this comes once, ahead of what the
        // peer itself had still said (unix_release_sock in net/unix/af_unix.c).
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            receive_once(&socket, buffer)
        }
        received => received,
    }
}

fn receive_once(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control: Control = [0; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut header = header(&mut part, &mut control);
    let number = socket.as_fd().as_raw_fd();
    // SAFETY: the header points to `part`, `buffer` and `control` with their true lengths; all
    // three are borrowed mutably until the call is over.
    let received = unsafe { libc::recvmsg(number, &mut header, libc::MSG_CMSG_CLOEXEC) };
    let length = usize::try_from(check(received as libc::c_long)?).unwrap_or(0);
    let fds = read_control(&header);
    if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message or descriptors cut short"));
    }
    Ok((length, fds))
}

fn header(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which all zero is valid; musl has padding fields in it.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of::<Control>();
    header
}

/// Writes the descriptors into the control buffer and returns its used length.
fn write_control(header: &libc::msghdr, fds: &[BorrowedFd<'_>]) -> usize {
    if fds.is_empty() {
        return 0;
    }
    let payload = mem::size_of_val(fds) as u32;
    // SAFETY: the control buffer has room for MAX_FDS numbers (asserted below for the constant) and
    // `fds` has at most that many, so the first header and its data lie within it. BorrowedFd is a
    // transparent RawFd.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(payload) as _;
        let numbers = libc::CMSG_DATA(message).cast::<RawFd>();
        ptr::copy_nonoverlapping(fds.as_ptr().cast::<RawFd>(), numbers, fds.len());
        libc::CMSG_SPACE(payload) as usize
    }
}

const _: () = assert!(
    mem::size_of::<Control>()
        >= mem::size_of::<libc::cmsghdr>() + MAX_FDS * mem::size_of::<RawFd>(),
    "the control buffer holds MAX_FDS descriptors",
);

/// Takes every descriptor of a received message, so that none leaks even if the rest is refused.
fn read_control(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel filled the control buffer and set its length; the CMSG macros stay within
    // it. Each number of an SCM_RIGHTS message is a new descriptor that only we know.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_RIGHTS
            {
                let payload = (*message).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let numbers = libc::CMSG_DATA(message).cast::<RawFd>();
                for index in 0..payload / mem::size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(numbers.add(index).read_unaligned()));
                }
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    fds
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, io::Read, io::Write};

    #[test]
    fn bytes_and_descriptors_arrive_together() {
        let (one, other) = pair(true).unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        send(&one, b"take", &[read.as_fd(), write.as_fd()]).unwrap();
        drop((read, write));
        let mut buffer = [0; 16];
        let (length, fds) = receive(&other, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"take");
        let [read, write] = <[OwnedFd; 2]>::try_from(fds).unwrap();
        File::from(write).write_all(b"through").unwrap();
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn what_was_said_before_a_close_arrives_though_not_everything_was_read() {
        let (one, other) = pair(true).unwrap();
        send(&one, b"unread", &[]).unwrap();
        send(&other, b"last", &[]).unwrap();
        drop(other);
        let mut buffer = [0; 16];
        let (length, _) = receive(&one, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"last");
        assert_eq!(receive(&one, &mut buffer).unwrap().0, 0, "the end");
    }

    #[test]
    fn the_most_descriptors_pass_and_one_more_is_refused() {
        let (one, other) = pair(true).unwrap();
        let null = crate::pipe::null().unwrap();
        send(&one, b"x", &[null.as_fd(); MAX_FDS]).unwrap();
        let error = send(&one, b"x", &[null.as_fd(); MAX_FDS + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let (_, fds) = receive(&other, &mut [0; 1]).unwrap();
        assert_eq!(fds.len(), MAX_FDS);
    }

    #[test]
    fn a_long_message_is_refused_and_the_next_one_is_whole() {
        let (one, other) = pair(true).unwrap();
        let null = crate::pipe::null().unwrap();
        send(&one, b"12345", &[null.as_fd()]).unwrap();
        send(&one, b"1234", &[]).unwrap();
        let mut buffer = [0; 4];
        let error = receive(&other, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(receive(&other, &mut buffer).unwrap().0, 4);
    }

    #[test]
    fn a_full_socket_would_block_and_a_closed_one_ends() {
        let (one, other) = pair(true).unwrap();
        set_send_buffer(&one, 4096).unwrap();
        let mut sent = 0;
        let error = loop {
            match send(&one, &[0; 512], &[]) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(one);
        for _ in 0..sent {
            assert_eq!(receive(&other, &mut [0; 512]).unwrap().0, 512);
        }
        assert_eq!(receive(&other, &mut [0; 512]).unwrap().0, 0);
    }
}

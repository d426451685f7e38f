//! Ports that no other test has: handed out by a counter that all test processes share, below the
//! range the kernel takes ports for outgoing connections from.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;

const FIRST: u16 = 20_000;
/// `net.ipv4.ip_local_port_range` starts at 32768.
const END: u16 = 32_000;
/// All checkouts and users of this machine share it.
const COUNTER: &str = "/tmp/rpm-test-ports";

/// A free port.
pub(crate) fn port() -> u16 {
    ports(1)
}

/// The first of `count` free ports in a row.
pub(crate) fn ports(count: u16) -> u16 {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o666);
    let mut file = options.open(COUNTER).expect(COUNTER);
    file.lock().expect("lock");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read");
    let mut first = text.trim().parse().unwrap_or(FIRST);
    while !all_free(first, count) {
        first = if first + 2 * count < END { first + 1 } else { FIRST };
    }
    file.seek(SeekFrom::Start(0)).expect("seek");
    file.set_len(0).expect("truncate");
    let next = if first + 2 * count < END { first + count } else { FIRST };
    write!(file, "{next}").expect("write");
    first
}

fn all_free(first: u16, count: u16) -> bool {
    (first..first + count).all(is_free)
}

/// Whether nobody has it, for any of the ways in which a test may use it.
fn is_free(port: u16) -> bool {
    let of_six = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    // Where there is no IPv6 nobody can have the port there.
    let in_use = of_six.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    !in_use
        && TcpListener::bind(("0.0.0.0", port)).is_ok()
        && UdpSocket::bind(("0.0.0.0", port)).is_ok()
}

//! What some processes serve: where they listen, and how many connections they have accepted there.
//! From `/proc/PID/net`, so that of their own network namespace.

use super::{
    net::{TCP_LISTEN, local_address},
    sockets_of,
};
use crate::socket::Endpoint;
use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Socket states of include/net/tcp_states.h, as printed: connected, and connected with nothing
/// more to come from the client, which may still wait for its answer.
const SERVED: [&str; 2] = ["01", "08"];
/// `SS_CONNECTED` of include/uapi/linux/net.h, as `/proc/net/unix` prints it.
const UNIX_CONNECTED: &str = "03";

/// The TCP addresses that these processes listen on.
pub fn listening(pids: &[i32]) -> Vec<SocketAddr> {
    let inodes = inodes(pids);
    let tables = tcp_tables(pids);
    let rows = tables.iter().flat_map(|table| table.lines()).filter_map(Row::parse);
    let found = rows.filter(|row| row.state == TCP_LISTEN && inodes.contains(&row.inode));
    found.map(|row| row.local).collect::<BTreeSet<_>>().into_iter().collect()
}

/// How many connections these processes have open that came in at one of `endpoints`; those they
/// opened themselves, to a database for example, do not count.
pub fn connections(pids: &[i32], endpoints: &[Endpoint]) -> usize {
    let inodes = inodes(pids);
    let ports: BTreeSet<u16> = endpoints.iter().filter_map(tcp_port).collect();
    let tables = if ports.is_empty() { Vec::new() } else { tcp_tables(pids) };
    let rows = tables.iter().flat_map(|table| table.lines()).filter_map(Row::parse);
    let tcp = rows.filter(|row| SERVED.contains(&row.state) && ports.contains(&row.local.port()));
    let tcp = tcp.filter(|row| inodes.contains(&row.inode)).count();
    let paths = endpoints.iter().filter_map(unix_path);
    tcp + paths.map(|path| unix_connections(&inodes, path)).sum::<usize>()
}

fn inodes(pids: &[i32]) -> BTreeSet<u64> {
    let sockets = pids.iter().filter_map(|pid| sockets_of(*pid).ok());
    sockets.flatten().map(|(inode, _)| inode).collect()
}

fn tcp_port(endpoint: &Endpoint) -> Option<u16> {
    match endpoint {
        Endpoint::Tcp(address) => Some(address.port()),
        Endpoint::Udp(_) | Endpoint::Unix(_) => None,
    }
}

fn unix_path(endpoint: &Endpoint) -> Option<&PathBuf> {
    match endpoint {
        Endpoint::Unix(path) => Some(path),
        Endpoint::Tcp(_) | Endpoint::Udp(_) => None,
    }
}

/// Those of the first process that lives: a tree has one network namespace.
fn tcp_tables(pids: &[i32]) -> Vec<String> {
    let read = |pid: i32, name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).ok();
    let tables = |pid: &i32| Some(vec![read(*pid, "tcp")?, read(*pid, "tcp6").unwrap_or_default()]);
    pids.iter().find_map(tables).unwrap_or_default()
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`
struct Row<'a> {
    local: SocketAddr,
    state: &'a str,
    inode: u64,
}

impl<'a> Row<'a> {
    fn parse(row: &'a str) -> Option<Self> {
        let mut fields = row.split_ascii_whitespace();
        let local = local_address(fields.nth(1)?)?;
        let state = fields.nth(1)?;
        Some(Self { local, state, inode: fields.nth(5)?.parse().ok()? })
    }
}

/// Accepted sockets have the name of the one they came from.
fn unix_connections(inodes: &BTreeSet<u64>, path: &Path) -> usize {
    let bytes = fs::read("/proc/net/unix").unwrap_or_default();
    let rows = bytes.split(|byte| *byte == b'\n');
    let connected = rows.filter_map(|row| unix_row(row, path.as_os_str().as_bytes()));
    connected.filter(|inode| inodes.contains(inode)).count()
}

/// `Num RefCount Protocol Flags Type St Inode Path`; the path may hold spaces.
fn unix_row(row: &[u8], path: &[u8]) -> Option<u64> {
    let row = row.strip_suffix(path)?.strip_suffix(b" ")?;
    let fields: Vec<&str> = std::str::from_utf8(row).ok()?.split_ascii_whitespace().collect();
    let [_, _, _, _, _, state, inode] = fields[..] else { return None };
    (state == UNIX_CONNECTED).then(|| inode.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::net::{UnixListener, UnixStream},
    };

    #[test]
    fn what_came_in_counts_and_what_went_out_does_not() {
        let me = [std::process::id() as i32];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let here = [Endpoint::Tcp(address)];
        assert!(listening(&me).contains(&address));
        assert_eq!(connections(&me, &here), 0);
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(connections(&me, &here), 0, "it waits in the queue: nobody's yet");
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(connections(&me, &here), 1);
        drop(listener);
        assert!(!listening(&me).contains(&address));
        assert_eq!(connections(&me, &here), 1, "without its listener, as one that drains");
        drop(accepted);
        assert_eq!(connections(&me, &here), 0);
    }

    #[test]
    fn connections_to_a_path_count() {
        let me = [std::process::id() as i32];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let here = [Endpoint::Unix(path.clone())];
        let _client = UnixStream::connect(&path).unwrap();
        let (_accepted, _) = listener.accept().unwrap();
        assert_eq!(connections(&me, &here), 1);
    }

    #[test]
    fn of_nobody_there_is_nothing() {
        let anywhere = [Endpoint::Tcp("127.0.0.1:80".parse().unwrap())];
        assert_eq!((listening(&[i32::MAX]).len(), connections(&[i32::MAX], &anywhere)), (0, 0));
    }
}

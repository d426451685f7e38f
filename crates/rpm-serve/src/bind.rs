//! [`bind`]: the listening socket. Accepting from it is [`crate::serve`]'s work.

use crate::Options;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections the kernel keeps for us while we are busy; capped by `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Listens on the address of `options`.
///
/// # Errors
///
/// What the kernel said, with the address: `cannot listen on 0.0.0.0:8080: the port is in use`.
pub fn bind(options: &Options) -> io::Result<TcpListener> {
    let address = options.address();
    open(address, options.share_port).map_err(|error| explained(address, &error))
}

fn open(address: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A port whose last connections are in TIME_WAIT is free; SO_REUSEADDR says so on Linux.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explained(address: SocketAddr, error: &io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use by another program".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn local(port: u16, share_port: bool) -> Options {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Options { host, port, share_port, ..Options::new(".") }
    }

    #[test]
    fn a_taken_port_is_named() {
        let holder = bind(&local(0, false)).unwrap();
        let taken = holder.local_addr().unwrap();
        let error = bind(&local(taken.port(), false)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let expected = format!("cannot listen on {taken}: the port is in use by another program");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn sharing_needs_both_sides() {
        let shared = bind(&local(0, true)).unwrap();
        let port = shared.local_addr().unwrap().port();
        assert!(bind(&local(port, true)).is_ok());
        assert!(bind(&local(port, false)).is_err());
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        // 192.0.2.0/24 is set aside for documentation (RFC 5737): no machine has it.
        let host = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let error = bind(&Options { host, port: 0, ..Options::new(".") }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot listen on 192.0.2.1:0: this machine has no such address"
        );
    }
}

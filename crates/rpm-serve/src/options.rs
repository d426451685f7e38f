//! [`Options`]: what to serve and where. Reading a command line into it is the caller's work.

use std::env;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What to serve and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory; a symlink is followed anew at each request, so a flipped `current` counts.
    pub root: PathBuf,
    /// The address to listen on; every IPv4 address unless given, as PM2.
    pub host: IpAddr,
    /// The port to listen on; 8080 unless given, as PM2. 0 lets the kernel choose.
    pub port: u16,
    /// A path without a file answers `/index.html` with 200: what single-page apps need.
    pub spa: bool,
    /// A directory without `index.html` is answered with a list of its files.
    pub listing: bool,
    /// Who asks without this name and password is answered with 401.
    pub credentials: Option<Credentials>,
    /// Join other sockets on the same port (`SO_REUSEPORT`). Only a manager that knows all of them
    /// should ask for it: two strangers would silently share the visitors.
    pub share_port: bool,
    /// Which instance answers: the value of `X-Rpm-Instance`. `None` reads `-`.
    pub instance: Option<String>,
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Without a colon: it ends at the first one (RFC 7617).
    pub username: String,
    /// What goes with it.
    pub password: String,
}

/// Without the password, which no log may have.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.username)
    }
}

impl Options {
    /// PM2's port, 8080.
    pub const DEFAULT_PORT: u16 = 8080;

    /// PM2's defaults for `root`. The instance is `NODE_APP_INSTANCE` of this process; where it is
    /// set, a manager is at work and the port may be shared.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let instance = env::var("NODE_APP_INSTANCE").ok();
        Self {
            root: root.into(),
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: Self::DEFAULT_PORT,
            spa: false,
            listing: false,
            credentials: None,
            share_port: instance.is_some(),
            instance,
        }
    }

    /// Host and port as one.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

//! Where a worker wants to listen: the [`Key`] node:cluster knows it by and the [`Endpoint`] it
//! means. Binds nothing.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// TCP; port 0 asks for any free one, the same for every worker with the same index.
    Tcp(SocketAddr),
    /// UDP, ports as for TCP.
    Udp(SocketAddr),
    /// A unix-domain stream socket; Node has made the path absolute.
    Unix(PathBuf),
    /// `listen({ fd })`: the primary's descriptor of that number, which for rpm is the app's
    /// LISTEN_FDS entry of that number.
    Inherited(i32),
}

/// Node's word for the kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressType {
    /// `4`, also where no address was given.
    Tcp4,
    /// `6`.
    Tcp6,
    /// `-1`.
    Pipe,
    /// `"udp4"`.
    Udp4,
    /// `"udp6"`.
    Udp6,
}

impl AddressType {
    const ALL: [Self; 5] = [Self::Tcp4, Self::Tcp6, Self::Pipe, Self::Udp4, Self::Udp6];

    /// From Node's word, a number or a string.
    pub fn from_node(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_node() == word)
    }

    /// Node's word.
    pub fn as_node(self) -> &'static str {
        match self {
            Self::Tcp4 => "4",
            Self::Tcp6 => "6",
            Self::Pipe => "-1",
            Self::Udp4 => "udp4",
            Self::Udp6 => "udp6",
        }
    }

    /// Datagrams: Node names the handle's type differently in the answer.
    pub fn is_udp(self) -> bool {
        match self {
            Self::Udp4 | Self::Udp6 => true,
            Self::Tcp4 | Self::Tcp6 | Self::Pipe => false,
        }
    }
}

/// What makes two `listen` calls of one app the same. Written `address:port:type:fd:index`, unique
/// within a worker, as Node asserts (traps A11).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// As Node gave it; `None`: every address.
    pub address: Option<String>,
    /// -1 for a path or a descriptor.
    pub port: i32,
    /// The kind of address.
    pub kind: AddressType,
    /// The primary's descriptor to listen on, if that was asked.
    pub fd: Option<i32>,
    /// Counts the `listen` calls of one worker for the same address.
    pub index: u64,
}

impl Key {
    /// The place meant, or `None` where the address is none (a name instead of a number, a port
    /// out of range). `ipv6`: the host has IPv6, so "every address" is `::` for both families.
    pub fn endpoint(&self, ipv6: bool) -> Option<Endpoint> {
        if let Some(fd) = self.fd {
            return Some(Endpoint::Inherited(fd));
        }
        match self.kind {
            AddressType::Pipe => self.unix_path().map(Endpoint::Unix),
            AddressType::Tcp4 | AddressType::Tcp6 => self.socket(ipv6).map(Endpoint::Tcp),
            AddressType::Udp4 | AddressType::Udp6 => self.socket(ipv6).map(Endpoint::Udp),
        }
    }

    fn unix_path(&self) -> Option<PathBuf> {
        let path = self.address.as_deref().filter(|path| !path.contains('\0'))?;
        Some(PathBuf::from(path)).filter(|path| path.is_absolute())
    }

    fn socket(&self, ipv6: bool) -> Option<SocketAddr> {
        let port = u16::try_from(self.port).ok()?;
        let ip = match self.address.as_deref() {
            Some(address) if !address.is_empty() => address.parse().ok()?,
            Some(_) | None => self.every_address(ipv6),
        };
        Some(SocketAddr::new(ip, port))
    }

    fn every_address(&self, ipv6: bool) -> IpAddr {
        let wants_v6 = match self.kind {
            AddressType::Udp4 => false,
            AddressType::Tcp4 => ipv6,
            AddressType::Tcp6 | AddressType::Udp6 | AddressType::Pipe => true,
        };
        if wants_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.as_deref().unwrap_or("null");
        write!(f, "{address}:{}:{}:", self.port, self.kind.as_node())?;
        match self.fd {
            Some(fd) => write!(f, "{fd}:{}", self.index),
            None => write!(f, "-:{}", self.index),
        }
    }
}

/// A text that is no [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a listener key: expected address:port:type:fd:index")
    }
}

impl std::error::Error for NoKey {}

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        // From the right: an IPv6 address or a path has colons of its own.
        let mut parts = text.rsplitn(5, ':');
        let mut next = || parts.next().ok_or(NoKey);
        let (index, fd, kind, port, address) = (next()?, next()?, next()?, next()?, next()?);
        Ok(Self {
            address: (address != "null").then(|| address.to_owned()),
            port: port.parse().map_err(|_| NoKey)?,
            kind: AddressType::from_node(kind).ok_or(NoKey)?,
            fd: if fd == "-" { None } else { Some(fd.parse().map_err(|_| NoKey)?) },
            index: index.parse().map_err(|_| NoKey)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(address: Option<&str>, port: i32, kind: AddressType, fd: Option<i32>) -> Key {
        Key { address: address.map(str::to_owned), port, kind, fd, index: 0 }
    }

    #[test]
    fn an_endpoint_is_what_node_would_bind() {
        let tcp = |text: &str| Some(Endpoint::Tcp(text.parse().unwrap()));
        let udp = |text: &str| Some(Endpoint::Udp(text.parse().unwrap()));
        let unix = |text: &str| Some(Endpoint::Unix(PathBuf::from(text)));
        use AddressType::*;
        for (key, ipv6, expected) in [
            (key(None, 80, Tcp4, None), true, tcp("[::]:80")),
            (key(None, 80, Tcp4, None), false, tcp("0.0.0.0:80")),
            (key(Some(""), 80, Tcp4, None), true, tcp("[::]:80")),
            (key(Some("127.0.0.1"), 0, Tcp4, None), true, tcp("127.0.0.1:0")),
            (key(Some("::1"), 65535, Tcp6, None), true, tcp("[::1]:65535")),
            (key(Some("::1"), 65536, Tcp6, None), true, None),
            (key(Some("localhost"), 80, Tcp4, None), true, None),
            (key(None, 53, Udp4, None), true, udp("0.0.0.0:53")),
            (key(None, 53, Udp6, None), false, udp("[::]:53")),
            (key(Some("/run/a:b.sock"), -1, Pipe, None), true, unix("/run/a:b.sock")),
            (key(Some("relative"), -1, Pipe, None), true, None),
            (key(Some("\0abstract"), -1, Pipe, None), true, None),
            (key(None, -1, Pipe, None), true, None),
            (key(None, -1, Tcp4, Some(3)), true, Some(Endpoint::Inherited(3))),
        ] {
            assert_eq!(key.endpoint(ipv6), expected, "{key}");
        }
    }

    #[test]
    fn a_key_of_colons_reads_back() {
        for text in ["::1:80:6:-:0", "null:0:4:-:7", "/a:b:-1:-1:-:0", "null:-1:4:3:0"] {
            assert_eq!(text.parse::<Key>().map(|key| key.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "80", "a:b:4:-:0", "a:80:5:-:0", "a:80:4:x:0", "a:80:4:-:-1"] {
            assert_eq!(text.parse::<Key>(), Err(NoKey), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_key_reads_back(
            address in proptest::option::of("[^n][a-z0-9:/.]{0,20}"),
            port in -1..70_000,
            kind in 0..5_usize,
            fd in proptest::option::of(0..1000),
            index: u64,
        ) {
            let kind = AddressType::ALL[kind];
            let key = Key { address, port, kind, fd, index };
            prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
        }
    }
}

//! [`Address`]: where something listens, as text and back. Names are not resolved here.

use serde::{Deserialize, Serialize};
use std::{fmt, net::SocketAddr, path::Path, str::FromStr, sync::Arc};

/// What marks a port of this machine.
const LOCAL: &str = "localhost:";
/// What marks a path.
const UNIX: &str = "unix:";
/// `sun_path` has 108 bytes, of which one ends the path (unix(7)).
const MAX_PATH_BYTES: usize = 107;

/// `127.0.0.1:3000`, `[::1]:3000`, `localhost:3000` or `unix:/run/app.sock`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A port of this machine: 127.0.0.1, or ::1 where that refuses. A server that listens on
    /// `localhost` may be at either.
    Local(u16),
    /// An absolute path of a unix stream socket.
    Unix(Arc<Path>),
}

/// A text that is no [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Neither an IP address with a port nor `unix:` and a path.
    Shape(String),
    /// The path is relative.
    Relative(String),
    /// The path does not fit into a socket's address.
    TooLong(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(port) = text.strip_prefix(LOCAL) {
            return port.parse().map(Self::Local).map_err(|_| AddressError::Shape(text.to_owned()));
        }
        let Some(path) = text.strip_prefix(UNIX) else {
            let address = text.parse().map_err(|_| AddressError::Shape(text.to_owned()))?;
            return Ok(Self::Tcp(address));
        };
        if !path.starts_with('/') || path.contains('\0') {
            return Err(AddressError::Relative(text.to_owned()));
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(AddressError::TooLong(text.to_owned()));
        }
        Ok(Self::Unix(Path::new(path).into()))
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Local(port) => write!(f, "{LOCAL}{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(text) => {
                write!(f, "{text:?} is neither an IP address with a port nor unix:/path")
            }
            Self::Relative(text) => write!(f, "the path of {text:?} is not absolute"),
            Self::TooLong(text) => {
                write!(f, "the path of {text:?} has more than {MAX_PATH_BYTES} bytes")
            }
        }
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_addresses_are_the_same() {
        let longest = format!("unix:/{}", "a".repeat(MAX_PATH_BYTES - 1));
        for text in [
            "127.0.0.1:80",
            "[::1]:65535",
            "localhost:80",
            "0.0.0.0:0",
            "unix:/run/a b.sock",
            &longest,
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        let shape = |text: &str| AddressError::Shape(text.to_owned());
        let long = format!("unix:/{}", "a".repeat(MAX_PATH_BYTES));
        let table = [
            ("", shape("")),
            ("8080", shape("8080")),
            ("localhost:http", shape("localhost:http")),
            ("1.2.3.4:65536", shape("1.2.3.4:65536")),
            ("unix:", AddressError::Relative("unix:".to_owned())),
            ("unix:a.sock", AddressError::Relative("unix:a.sock".to_owned())),
            ("unix:/a\0b", AddressError::Relative("unix:/a\0b".to_owned())),
            (&long, AddressError::TooLong(long.clone())),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}

//! Where a collector is, as a person writes it.

use std::{fmt, path::PathBuf, str::FromStr};

/// journald's socket (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";
/// The local syslog's (syslog(3)).
const SYSLOG: &str = "/dev/log";

/// A collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `journald`, or `journald:PATH`: its native protocol.
    Journald(PathBuf),
    /// `syslog`, or `syslog:PATH`: RFC 5424 over a Unix datagram socket.
    SyslogUnix(PathBuf),
    /// `syslog+udp:HOST:PORT`: RFC 5424 over UDP (RFC 5426).
    SyslogUdp(String),
    /// `syslog+tcp:HOST:PORT`: RFC 5424 over TCP, octet counting (RFC 6587).
    SyslogTcp(String),
}

/// Why a text is no [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAddress;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (kind, place) = text.split_once(':').unwrap_or((text, ""));
        let place = place.strip_prefix("//").unwrap_or(place);
        let path = |default: &str| match place {
            "" => Ok(PathBuf::from(default)),
            path if path.starts_with('/') => Ok(PathBuf::from(path)),
            _ => Err(InvalidAddress),
        };
        let host = || {
            let (host, port) = place.rsplit_once(':').ok_or(InvalidAddress)?;
            let port: u16 = port.parse().map_err(|_| InvalidAddress)?;
            let fits = !host.is_empty() && port > 0;
            fits.then(|| place.to_owned()).ok_or(InvalidAddress)
        };
        match kind {
            "journald" => path(JOURNAL).map(Self::Journald),
            "syslog" => path(SYSLOG).map(Self::SyslogUnix),
            "syslog+udp" => host().map(Self::SyslogUdp),
            "syslog+tcp" => host().map(Self::SyslogTcp),
            _ => Err(InvalidAddress),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journald(path) => write!(f, "journald:{}", path.display()),
            Self::SyslogUnix(path) => write!(f, "syslog:{}", path.display()),
            Self::SyslogUdp(host) => write!(f, "syslog+udp:{host}"),
            Self::SyslogTcp(host) => write!(f, "syslog+tcp:{host}"),
        }
    }
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("journald, syslog, syslog+udp:HOST:PORT or syslog+tcp:HOST:PORT")
    }
}

impl std::error::Error for InvalidAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_they_are_written() {
        for (text, shown) in [
            ("journald", "journald:/run/systemd/journal/socket"),
            ("syslog", "syslog:/dev/log"),
            ("syslog:/tmp/log", "syslog:/tmp/log"),
            ("syslog+udp://[::1]:514", "syslog+udp:[::1]:514"),
            ("syslog+tcp:logs.example.org:601", "syslog+tcp:logs.example.org:601"),
        ] {
            let address = text.parse::<Address>().map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(shown), "{text}");
        }
        for text in
            ["", "sylog", "syslog:log", "syslog+udp:host", "syslog+tcp::514", "syslog+udp:h:0"]
        {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress), "{text}");
        }
    }
}

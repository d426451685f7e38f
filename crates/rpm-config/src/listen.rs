//! [`Listen`]: an address that rpm binds for an app, before any of its processes exists, and hands
//! over as sd_listen_fds(3) says. Here it is only read and checked; the keeper makes the socket.

use crate::{AppSpec, ExecMode, Fault, InvalidValue, search::Search};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The most addresses of one app: descriptors 3 to 63 are handed over (`rpm-unix`, spawn), two of
/// them may be Node's, and nobody has needed more than a handful.
pub const MAX_LISTEN: usize = 32;
/// The longest name, in bytes: that of systemd (FDNAME_MAX).
const MAX_NAME: usize = 255;
/// The longest path of a unix socket: `sun_path` with its NUL is 108 bytes.
pub(crate) const MAX_PATH: usize = 107;
/// What an address looks like, for a message.
const EXPECTED: &str = "an address such as \"0.0.0.0:80\", \"[::1]:9000\", \"8080\", \
                        \"udp:0.0.0.0:53\" or \"unix:/run/x.sock\", maybe with \"name=\" before it";

/// One socket of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Its entry in `LISTEN_FDNAMES`: printable ASCII without `:`, which separates names there.
    pub name: String,
    /// Where it is bound.
    pub address: ListenAddress,
}

/// Where a socket is bound. Ports are never 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenAddress {
    /// A TCP port; `[::]` takes IPv4 as well, as servers do by default.
    Tcp(SocketAddr),
    /// A UDP port.
    Udp(SocketAddr),
    /// A stream socket in the file system; absolute in an [`AppSpec`].
    Unix(PathBuf),
}

impl Listen {
    /// Reads `[name=]ADDRESS`. A port alone is every address of the machine: `[::]`, or `0.0.0.0`
    /// where there is no `ipv6`. Without a name it is the address as written, with `-` for each
    /// `:` and whatever else no name may have.
    pub(crate) fn parse(text: &str, ipv6: bool) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::text(EXPECTED, text);
        let (name, written) = match text.split_once('=') {
            Some((name, rest)) if is_name(name) => (Some(name), rest),
            Some(_) | None => (None, text),
        };
        let address = address(written, ipv6).ok_or_else(invalid)?;
        let name = name.map_or_else(|| name_of(written), str::to_owned);
        if is_name(&name) { Ok(Self { name, address }) } else { Err(invalid()) }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// systemd's rule for a name, and not empty. `:` is none of its characters, so that no address
/// with a `=` in its path is taken for one with a name.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(is_name_part)
}

fn is_name_part(letter: char) -> bool {
    (' '..='~').contains(&letter) && letter != ':'
}

fn name_of(address: &str) -> String {
    address.chars().map(|letter| if is_name_part(letter) { letter } else { '-' }).collect()
}

fn address(text: &str, ipv6: bool) -> Option<ListenAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        // `@` is how others write an abstract socket, which no file system protects.
        let usable = !path.is_empty() && !path.starts_with('@') && !path.contains('\0');
        return usable.then(|| ListenAddress::Unix(path.into()));
    }
    match text.strip_prefix("udp:") {
        Some(text) => socket(text, ipv6).map(ListenAddress::Udp),
        None => socket(text, ipv6).map(ListenAddress::Tcp),
    }
}

fn socket(text: &str, ipv6: bool) -> Option<SocketAddr> {
    let everywhere = |port: u16| -> SocketAddr {
        if ipv6 {
            (Ipv6Addr::UNSPECIFIED, port).into()
        } else {
            (Ipv4Addr::UNSPECIFIED, port).into()
        }
    };
    let port = text.parse().map(everywhere).ok();
    port.or_else(|| text.parse().ok()).filter(|address| address.port() != 0)
}

/// Whether this machine has IPv6.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// The addresses of an app with paths that start at its directory.
pub(crate) fn resolve(written: &[Listen], search: &Search) -> Vec<Listen> {
    let absolute = |listen: &Listen| Listen {
        address: absolute(&listen.address, search),
        name: listen.name.clone(),
    };
    written.iter().map(absolute).collect()
}

/// An address with a path that starts at the app's directory.
pub(crate) fn absolute(address: &ListenAddress, search: &Search) -> ListenAddress {
    match address {
        ListenAddress::Unix(path) => ListenAddress::Unix(search.absolute(&path.to_string_lossy())),
        ListenAddress::Tcp(_) | ListenAddress::Udp(_) => address.clone(),
    }
}

/// What an app as a whole may ask for.
pub(crate) fn check(spec: &AppSpec) -> Result<(), Fault> {
    if spec.listen.len() > MAX_LISTEN {
        return Err(Fault::ListenTooMany);
    }
    if !spec.listen.is_empty() && spec.mode == ExecMode::Fork && spec.instances > 1 {
        return Err(Fault::ListenInFork { instances: spec.instances });
    }
    for (at, listen) in spec.listen.iter().enumerate() {
        let address = || listen.address.to_string();
        if spec.listen.iter().take(at).any(|other| other.address == listen.address) {
            return Err(Fault::ListenTwice { address: address() });
        }
        if let ListenAddress::Unix(path) = &listen.address
            && path.as_os_str().as_bytes().len() > MAX_PATH
        {
            return Err(Fault::ListenPathTooLong { address: address() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppOptions, Instances, test_machine::Machine};

    fn tcp(text: &str) -> ListenAddress {
        ListenAddress::Tcp(text.parse().unwrap())
    }

    #[test]
    fn addresses_and_their_names() {
        let udp = |text: &str| ListenAddress::Udp(text.parse().unwrap());
        let unix = |text: &str| ListenAddress::Unix(text.into());
        let table = [
            ("0.0.0.0:80", "0.0.0.0-80", tcp("0.0.0.0:80")),
            ("[::1]:9000", "[--1]-9000", tcp("[::1]:9000")),
            ("8080", "8080", tcp("[::]:8080")),
            ("udp:53", "udp-53", udp("[::]:53")),
            ("udp:0.0.0.0:53", "udp-0.0.0.0-53", udp("0.0.0.0:53")),
            ("unix:/run/x.sock", "unix-/run/x.sock", unix("/run/x.sock")),
            ("unix:/run/a=b", "unix-/run/a=b", unix("/run/a=b")),
            ("http=8080", "http", tcp("[::]:8080")),
            ("a b=unix:x=y", "a b", unix("x=y")),
            ("unix:/gr\u{fc}n", "unix-/gr-n", unix("/gr\u{fc}n")),
        ];
        for (text, name, address) in table {
            let want = Listen { name: name.to_owned(), address };
            assert_eq!(Listen::parse(text, true), Ok(want), "{text}");
        }
        assert_eq!(Listen::parse("8080", false).unwrap().address, tcp("0.0.0.0:8080"));
    }

    #[test]
    fn what_is_no_address() {
        let long = format!("{}=80", "x".repeat(MAX_NAME + 1));
        let wrong = [
            "",
            "0",
            "65536",
            "localhost:80",
            "0.0.0.0",
            "0.0.0.0:0",
            "tcp:80",
            "unix:",
            "=80",
            "unix:@abstract",
            "unix:a\0b",
            "na:me=80",
            "n\u{e4}me=80",
            &long,
        ];
        for text in wrong {
            let error = Listen::parse(text, true).unwrap_err();
            assert_eq!(error, InvalidValue::text(EXPECTED, text), "{text:?}");
        }
        let edge = format!("{}=80", "x".repeat(MAX_NAME));
        assert_eq!(Listen::parse(&edge, true).unwrap().name.len(), MAX_NAME);
    }

    #[test]
    fn every_address_reads_back_from_its_text() {
        for text in ["0.0.0.0:80", "[::1]:9000", "udp:[::]:53", "unix:/run/x.sock"] {
            assert_eq!(Listen::parse(text, true).unwrap().address.to_string(), text);
        }
    }

    fn options(addresses: &[&str]) -> AppOptions {
        let listen = addresses.iter().map(|text| Listen::parse(text, true).unwrap()).collect();
        AppOptions { script: Some("server".into()), listen: Some(listen), ..AppOptions::default() }
    }

    fn machine() -> Machine {
        Machine::new().file("server", b"\x7fELF\0", 0o755)
    }

    #[test]
    fn held_addresses_are_shared_unless_that_is_refused_and_paths_are_absolute() {
        let machine = machine();
        let spec = machine.spec(&options(&["80", "unix:run/x.sock"]));
        let unix = ListenAddress::Unix(spec.cwd.join("run/x.sock"));
        assert_eq!((&spec.listen[1].address, spec.share_ports), (&unix, true));
        let without = AppOptions { share_ports: Some(false), ..options(&["80"]) };
        assert!(!machine.spec(&without).share_ports);
        assert!(!machine.spec(&options(&[])).share_ports);
    }

    #[test]
    fn what_an_app_may_not_ask_for() {
        let machine = machine();
        let fault = |options: &AppOptions| machine.error(options).0;
        let fork = AppOptions {
            instances: Some(Instances::Count(2)),
            exec_mode: Some(ExecMode::Fork),
            ..options(&["80"])
        };
        let text = "`listen` in fork mode is for one instance, not for 2";
        assert_eq!(fault(&fork), text);
        let twice = "`listen` has 0.0.0.0:80 twice";
        assert_eq!(fault(&options(&["0.0.0.0:80", "x=0.0.0.0:80"])), twice);
        let path = |length: usize| format!("unix:/{}", "x".repeat(length - 1));
        let long = path(MAX_PATH + 1);
        let text = format!("`listen` has {long}, a path of more than 107 bytes");
        assert_eq!(fault(&options(&[&long])), text);
        machine.spec(&options(&[&path(MAX_PATH)]));
        let ports: Vec<String> = (1..=MAX_LISTEN + 1).map(|port| port.to_string()).collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        assert_eq!(fault(&options(&ports)), "`listen` has more than 32 addresses");
        machine.spec(&options(ports.get(1..).unwrap()));
    }
}

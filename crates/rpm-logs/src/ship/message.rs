//! One line as a collector wants it; pure but for the host's name.

use super::{Address, Origin};
use crate::date_format::iso;
use std::{borrow::Cow, fs};

/// Of a longer line, so many bytes are sent: all receivers must take 8 KiB (RFC 5425, 4.3.1).
const MAX_TEXT_BYTES: usize = 8 << 10;
/// APP-NAME (RFC 5424, 6.2.5).
const MAX_APP_BYTES: usize = 48;
/// Facility `daemon`, and the severities of the two streams (RFC 5424, 6.2.1).
const FACILITY: u8 = 3;
const INFORMATIONAL: u8 = 6;
const ERROR: u8 = 3;

/// A message format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// RFC 5424 from this host, each message behind its length if it is to be counted.
    Syslog { host: String, counted: bool },
    /// Fields, as <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/> has them.
    Journal,
}

impl Format {
    pub(super) fn of(address: &Address) -> Self {
        match address {
            Address::Journald(_) => Self::Journal,
            Address::SyslogUnix(_) | Address::SyslogUdp(_) => {
                Self::Syslog { host: host(), counted: false }
            }
            Address::SyslogTcp(_) => Self::Syslog { host: host(), counted: true },
        }
    }

    /// The message of a line without its newline.
    pub(super) fn message(&self, origin: &Origin, line: &[u8], at: u64) -> Vec<u8> {
        let text = line.get(..MAX_TEXT_BYTES).unwrap_or(line);
        match self {
            Self::Journal => journal(origin, text),
            Self::Syslog { host, counted } => {
                let message = syslog(host, origin, text, at);
                if !counted {
                    return message;
                }
                let mut framed = format!("{} ", message.len()).into_bytes();
                framed.extend(message);
                framed
            }
        }
    }
}

fn severity(origin: &Origin) -> u8 {
    if origin.is_error { ERROR } else { INFORMATIONAL }
}

fn syslog(host: &str, origin: &Origin, text: &[u8], at: u64) -> Vec<u8> {
    let priority = FACILITY * 8 + severity(origin);
    let (time, app, id) = (iso(at), printable(&origin.app, MAX_APP_BYTES), origin.id);
    let stream = if origin.is_error { "err" } else { "out" };
    let text = String::from_utf8_lossy(text);
    format!("<{priority}>1 {time} {host} {app} {id} {stream} - {text}").into_bytes()
}

fn journal(origin: &Origin, text: &[u8]) -> Vec<u8> {
    let stream = if origin.is_error { "err" } else { "out" };
    let (app, id, severity) = (&origin.app, origin.id, severity(origin));
    let mut message = format!(
        "PRIORITY={severity}\nSYSLOG_FACILITY={FACILITY}\nSYSLOG_IDENTIFIER={app}\nRPM_APP={app}\n\
         RPM_ID={id}\nRPM_STREAM={stream}\nMESSAGE\n"
    )
    .into_bytes();
    // With its length before it a value may have any bytes.
    message.extend((text.len() as u64).to_le_bytes());
    message.extend(text);
    message.push(b'\n');
    message
}

/// Only what RFC 5424 allows in its header, `-` where nothing is left.
fn printable(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.into();
    }
    let allowed = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' });
    let allowed: String = allowed.take(limit).collect();
    if allowed.is_empty() { "-".into() } else { allowed.into() }
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // HOSTNAME has at most 255 bytes (RFC 5424, 6.2.4).
    printable(name.trim(), 255).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(app: &str, is_error: bool) -> Origin {
        Origin { app: app.to_owned(), id: 7, is_error }
    }

    fn text(format: &Format, origin: &Origin, line: &[u8]) -> String {
        String::from_utf8_lossy(&format.message(origin, line, 1_767_319_445_067)).into_owned()
    }

    #[test]
    fn rfc_5424() {
        let plain = Format::Syslog { host: "h".into(), counted: false };
        let counted = Format::Syslog { host: "h".into(), counted: true };
        let want = "<30>1 2026-01-02T02:04:05.067Z h my_app 7 out - a b";
        assert_eq!(text(&plain, &origin("my app", false), b"a b"), want);
        let want = "<27>1 2026-01-02T02:04:05.067Z h api 7 err - x";
        assert_eq!(text(&plain, &origin("api", true), b"x"), want);
        assert_eq!(text(&counted, &origin("api", true), b"x"), format!("{} {want}", want.len()));
        let long = text(&plain, &origin("api", true), &[b'x'; 9000]);
        assert_eq!(long.len(), want.len() - 1 + MAX_TEXT_BYTES);
    }

    #[test]
    fn the_journals_fields() {
        let want = "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=api\nRPM_APP=api\nRPM_ID=7\n\
                    RPM_STREAM=out\nMESSAGE\n\u{3}\0\0\0\0\0\0\0a\0b\n";
        assert_eq!(text(&Format::Journal, &origin("api", false), b"a\0b"), want);
    }
}

//! What becomes of lines on their way to a file: nothing, a time before each, or a JSON object of
//! each; and where in a run of bytes lines end. Pure.

use crate::date_format::{DateFormat, iso};
use memchr::{memchr, memrchr};
use serde::Serialize;
use std::borrow::Cow;

/// The longest line that is framed as one; a longer one is cut, and its pieces are marked.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;
/// Where a line was cut.
const CUT: &[u8] = b" [...]";

/// How lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// As they came.
    Raw,
    /// `<time>: <line>`, PM2's `log_date_format`.
    Stamped(DateFormat),
    /// An object a line, PM2's `log_type: json`.
    Json(Source),
}

/// What a JSON line says about where it comes from, by PM2's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `app_name`.
    pub app: String,
    /// `process_id`: PM2's `pm_id`.
    pub id: u32,
    /// `type`: `out` or `err`.
    pub stream: &'static str,
    /// `timestamp`; `None`: as JavaScript writes dates in JSON.
    pub stamp: Option<DateFormat>,
}

#[derive(Serialize)]
struct Object<'a> {
    message: Cow<'a, str>,
    timestamp: &'a str,
    r#type: &'static str,
    process_id: u32,
    app_name: &'a str,
    /// The line goes on in the next object.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

/// A run of whole lines, and perhaps the beginning of one more that is to be written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Bytes.
    pub(crate) length: usize,
    /// What stands behind the last newline is no end of a line: the rest comes later.
    pub(crate) cut: bool,
}

/// How much of `bytes` is written now. `all` of it, where no more can be waited for; `ended`: and
/// none will come.
pub(crate) fn run(bytes: &[u8], all: bool, ended: bool) -> Option<Run> {
    match memrchr(b'\n', bytes) {
        Some(last) if !all => Some(Run { length: last + 1, cut: false }),
        _ if bytes.is_empty() => None,
        _ if all || bytes.len() >= MAX_LINE_BYTES => {
            let unfinished = bytes.last() != Some(&b'\n');
            Some(Run { length: bytes.len(), cut: unfinished && !ended })
        }
        _ => None,
    }
}

impl Frame {
    /// Appends `bytes` to `out`, written at `at` (milliseconds since the epoch). `cut`: the last of
    /// its lines goes on later.
    pub(crate) fn write(&self, bytes: &[u8], cut: bool, at: u64, out: &mut Vec<u8>) {
        match self {
            Self::Raw => out.extend_from_slice(bytes),
            Self::Stamped(stamp) => {
                let prefix = format!("{}: ", stamp.local(at));
                for line in lines(bytes) {
                    out.extend_from_slice(prefix.as_bytes());
                    let ends = line.ends_with(b"\n");
                    out.extend_from_slice(line);
                    out.extend_from_slice(if ends || !cut { b"" } else { CUT });
                    out.extend_from_slice(if ends { b"" } else { b"\n" });
                }
            }
            Self::Json(source) => source.write(bytes, cut, at, out),
        }
    }
}

impl Source {
    fn write(&self, bytes: &[u8], cut: bool, at: u64, out: &mut Vec<u8>) {
        let timestamp = self.stamp.as_ref().map_or_else(|| iso(at), |stamp| stamp.local(at));
        for line in lines(bytes) {
            let text = line.strip_suffix(b"\n");
            let object = Object {
                message: String::from_utf8_lossy(text.unwrap_or(line)),
                timestamp: &timestamp,
                r#type: self.stream,
                process_id: self.id,
                app_name: &self.app,
                partial: cut && text.is_none(),
            };
            // Memory takes all, and the object has nothing that JSON has not.
            let _written = serde_json::to_writer(&mut *out, &object);
            out.push(b'\n');
        }
    }
}

/// Each line with its newline; the last may have none.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(frame: &Frame, bytes: &[u8], cut: bool) -> String {
        let mut out = Vec::new();
        frame.write(bytes, cut, 1_767_319_445_067, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json() -> Frame {
        Frame::Json(Source { app: "a\"b".into(), id: 7, stream: "err", stamp: None })
    }

    #[test]
    fn what_is_written_now() {
        let run = |text: &str, all, ended| {
            super::run(text.as_bytes(), all, ended).map(|run| (run.length, run.cut))
        };
        assert_eq!(run("", true, true), None);
        assert_eq!(run("a", false, false), None);
        assert_eq!(run("a\nb", false, false), Some((2, false)));
        assert_eq!(run("a\nb", true, false), Some((3, true)));
        assert_eq!(run("a\nb", true, true), Some((3, false)));
        assert_eq!(run("a\n", true, false), Some((2, false)));
        let long = "x".repeat(MAX_LINE_BYTES);
        assert_eq!(run(&long, false, false), Some((MAX_LINE_BYTES, true)));
        assert_eq!(run(&long[1..], false, false), None);
    }

    #[test]
    fn a_time_before_each_line() {
        let frame = Frame::Stamped(DateFormat::new("X"));
        assert_eq!(
            framed(&frame, b"a\n\nb\r\n", false),
            "1767319445: a\n1767319445: \n1767319445: b\r\n"
        );
        assert_eq!(framed(&frame, b"a", false), "1767319445: a\n");
        assert_eq!(framed(&frame, b"a\nb", true), "1767319445: a\n1767319445: b [...]\n");
    }

    #[test]
    fn an_object_of_each_line() {
        let about = "\"timestamp\":\"2026-01-02T02:04:05.067Z\",\"type\":\"err\",\
                     \"process_id\":7,\"app_name\":\"a\\\"b\"";
        let first = format!("{{\"message\":\"a\\u0000\\t\\\"\u{fffd}\\r\",{about}}}\n");
        let want = format!("{first}{{\"message\":\"b\",{about}}}\n");
        assert_eq!(framed(&json(), b"a\0\t\"\xff\r\nb", false), want);
        let want = format!("{{\"message\":\"b\",{about},\"partial\":true}}\n");
        assert_eq!(framed(&json(), b"b", true), want);
    }

    #[test]
    fn raw_is_as_it_came() {
        let mut out = Vec::new();
        Frame::Raw.write(b"\0\xff\r\nx", true, 0, &mut out);
        assert_eq!(out, b"\0\xff\r\nx");
    }
}

//! [`DateFormat`]: times as `log_date_format` and `--timestamp` describe them, in the notation of
//! PM2's dayjs: `YYYY-MM-DD HH:mm:ss.SSS Z`, text in `[brackets]` as it is.

use jiff::{Timestamp, Zoned, tz::TimeZone};
use std::fmt::Write;

/// A format, cut into its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    /// Each a token, or text.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Token(&'static str),
    Text(String),
}

/// dayjs' tokens (<https://day.js.org/docs/en/display/format>), the longer of two first.
const TOKENS: [&str; 25] = [
    "YYYY", "YY", "MMMM", "MMM", "MM", "M", "DD", "D", "dddd", "ddd", "dd", "d", "HH", "H", "hh",
    "h", "mm", "m", "ss", "s", "SSS", "ZZ", "Z", "A", "a",
];

impl DateFormat {
    /// Reads a format. Letters that are no token stay as they are, as in dayjs.
    pub fn new(format: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            let escaped = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let token = TOKENS.into_iter().find(|token| rest.starts_with(token));
            if let Some((text, after)) = escaped {
                push(&mut parts, text);
                rest = after;
            } else if let Some(token) = token {
                parts.push(Part::Token(token));
                rest = rest.get(token.len()..).unwrap_or_default();
            } else {
                let (text, after) = rest.split_at(first.len_utf8());
                push(&mut parts, text);
                rest = after;
            }
        }
        Self { parts }
    }

    /// A time, given in milliseconds since the epoch, of this machine's zone.
    pub fn local(&self, at_ms: u64) -> String {
        self.of(&zoned(at_ms, TimeZone::system()))
    }

    fn of(&self, time: &Zoned) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Token(token) => write(&mut text, token, time),
                Part::Text(plain) => text.push_str(plain),
            }
        }
        text
    }
}

/// RFC 3339 in UTC with milliseconds, as JavaScript's `toISOString`.
pub fn iso(at_ms: u64) -> String {
    DateFormat::new("YYYY-MM-DDTHH:mm:ss.SSS[Z]").of(&zoned(at_ms, TimeZone::UTC))
}

fn zoned(at_ms: u64, zone: TimeZone) -> Zoned {
    let at = i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or(Timestamp::MAX).to_zoned(zone)
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        Some(Part::Token(_)) | None => parts.push(Part::Text(text.to_owned())),
    }
}

fn write(text: &mut String, token: &str, time: &Zoned) {
    let hour = i32::from(time.hour());
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let (month, day) = (i32::from(time.month()), i32::from(time.day()));
    // Nothing that is written to a string can fail.
    let _ = match token {
        "YYYY" => write!(text, "{:04}", time.year()),
        "YY" => write!(text, "{:02}", time.year() % 100),
        "MMMM" => write!(text, "{}", time.strftime("%B")),
        "MMM" => write!(text, "{}", time.strftime("%b")),
        "MM" => write!(text, "{month:02}"),
        "M" => write!(text, "{month}"),
        "DD" => write!(text, "{day:02}"),
        "D" => write!(text, "{day}"),
        "dddd" => write!(text, "{}", time.strftime("%A")),
        "ddd" => write!(text, "{}", time.strftime("%a")),
        "dd" => write!(text, "{}", time.strftime("%a").to_string().get(..2).unwrap_or_default()),
        "d" => write!(text, "{}", time.weekday().to_sunday_zero_offset()),
        "HH" => write!(text, "{hour:02}"),
        "H" => write!(text, "{hour}"),
        "hh" => write!(text, "{twelve:02}"),
        "h" => write!(text, "{twelve}"),
        "mm" => write!(text, "{:02}", time.minute()),
        "m" => write!(text, "{}", time.minute()),
        "ss" => write!(text, "{:02}", time.second()),
        "s" => write!(text, "{}", time.second()),
        "SSS" => write!(text, "{:03}", time.millisecond()),
        "ZZ" => write!(text, "{}", time.strftime("%z")),
        "Z" => write!(text, "{}", time.strftime("%:z")),
        "A" => write!(text, "{}", if hour < 12 { "AM" } else { "PM" }),
        "a" => write!(text, "{}", if hour < 12 { "am" } else { "pm" }),
        other => write!(text, "{other}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token() {
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        let time = zoned(1_793_797_445_067, zone);
        for (format, want) in [
            ("YYYY-MM-DD HH:mm:ss.SSS Z", "2026-11-04 08:04:05.067 -05:00"),
            ("YYYY-MM-DD-HH:mm:ssZZ", "2026-11-04-08:04:05-0500"),
            ("YY M D H h m s", "26 11 4 8 8 4 5"),
            ("dddd ddd dd d, MMMM MMM", "Wednesday Wed We 3, November Nov"),
            ("hh A a", "08 AM am"),
            ("[day] DD x[YYYY", "day 04 x[2026"),
            ("YYYY-MM-DDTHH:mm:ss", "2026-11-04T08:04:05"),
            ("", ""),
            ("é [é]", "é é"),
        ] {
            assert_eq!(DateFormat::new(format).of(&time), want, "{format}");
        }
        assert_eq!(iso(1_793_797_445_067), "2026-11-04T13:04:05.067Z");
        assert_eq!(DateFormat::new("hh A").of(&zoned(0, TimeZone::UTC)), "12 AM");
        assert_eq!(iso(u64::MAX).len(), 24);
    }
}

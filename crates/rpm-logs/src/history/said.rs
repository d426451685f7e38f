//! The time a line says of itself: ISO 8601 at its beginning, as most loggers and the daemon's own
//! log write it, or `"timestamp"` of a JSON object.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// `2026-11-21T10:00:00`.
const SECONDS: &[u8] = b"dddd-dd-dd dd:dd:dd";
/// How far into a JSON line its timestamp is looked for: behind a message of some length.
const MAX_JSON_BYTES: usize = 64 << 10;
const JSON_KEY: &[u8] = b"\"timestamp\":\"";

/// Milliseconds since the epoch. A time without zone is local.
pub(super) fn said(line: &[u8]) -> Option<u64> {
    let text = if line.first() == Some(&b'{') { json(line)? } else { line };
    let text = text.strip_prefix(b"[").unwrap_or(text);
    let seconds = text.get(..SECONDS.len()).filter(|text| fits(text))?;
    let rest = text.get(SECONDS.len()..)?;
    let fraction = fraction(rest);
    let zone = zone(rest.get(fraction..)?);
    let word = [seconds, rest.get(..fraction + zone)?].concat();
    let word = String::from_utf8(word).ok()?.replace(',', ".");
    let at: Timestamp = if zone > 0 {
        word.parse().ok()?
    } else {
        let local: DateTime = word.parse().ok()?;
        local.to_zoned(TimeZone::system()).ok()?.timestamp()
    };
    u64::try_from(at.as_millisecond()).ok()
}

fn json(line: &[u8]) -> Option<&[u8]> {
    let line = line.get(..line.len().min(MAX_JSON_BYTES))?;
    let at = line.windows(JSON_KEY.len()).rposition(|window| window == JSON_KEY)?;
    line.get(at + JSON_KEY.len()..)
}

fn fits(text: &[u8]) -> bool {
    text.iter().zip(SECONDS).all(|(byte, pattern)| match pattern {
        b'd' => byte.is_ascii_digit(),
        b' ' => matches!(byte, b' ' | b'T'),
        other => byte == other,
    })
}

/// How long a fraction of a second `text` begins with.
fn fraction(text: &[u8]) -> usize {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match text.split_first() {
        Some((b'.' | b',', rest)) if digits(rest) > 0 => 1 + digits(rest),
        _ => 0,
    }
}

/// How long a zone `text` begins with: `Z`, `+01:00`, `-0500`.
fn zone(text: &[u8]) -> usize {
    let is = |pattern: &[u8]| {
        text.len() >= pattern.len()
            && text.iter().zip(pattern).all(|(byte, pattern)| match pattern {
                b'd' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                other => byte == other,
            })
    };
    [&b"+dd:dd"[..], b"+dddd", b"Z"].into_iter().find(|pattern| is(pattern)).map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_say_a_time() {
        let noon = 1_793_793_600_000;
        for (line, want) in [
            ("2026-11-04T12:00:00Z hello", Some(noon)),
            ("2026-11-04T12:00:00.250Z hello", Some(noon + 250)),
            ("[2026-11-04 13:00:00,250+01:00] hello", Some(noon + 250)),
            ("2026-11-04T07:00:00-0500: hello", Some(noon)),
            (r#"{"message":"a","timestamp":"2026-11-04T12:00:00.000Z","type":"out"}"#, Some(noon)),
            (r#"{"message":"a"}"#, None),
            ("2026-11-04T12:00", None),
            ("2026-13-04T12:00:00Z", None),
            ("hello 2026-11-04T12:00:00Z", None),
            ("1969-11-04T12:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(said(line.as_bytes()), want, "{line}");
        }
        assert!(
            said(b"2026-11-04 12:00:00: local").is_some_and(|at| at.abs_diff(noon) <= 86_400_000)
        );
    }
}

//! Durations and sizes as a person writes them.

use crate::invalid::InvalidValue;
use bytesize::ByteSize;
use std::time::Duration;

/// The longest duration any key takes: no timer of rpm is meant to outlive a year.
pub const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The smallest size that may be given without a unit. `300` is never meant as 300 bytes, and an
/// app limited to them would be reloaded for ever.
pub const MIN_BARE_SIZE: u64 = 1024 * 1024;

const DURATION: &str = "milliseconds or a duration such as \"1600ms\", \"5s\" or \"2m\"";
const SIZE: &str = "a size with a unit such as \"300M\" or \"1.5GiB\"";

/// Reads a duration: a bare number is milliseconds as in PM2, anything else humantime's
/// (`5s`, `1m 30s`, `250ms`). At most [`MAX_DURATION`].
pub fn duration(text: &str) -> Result<Duration, InvalidValue> {
    let invalid = || InvalidValue::text(DURATION, text);
    let text = text.trim();
    let value = match text.parse() {
        Ok(millis) => Duration::from_millis(millis),
        Err(_) => humantime::parse_duration(text).map_err(|_| invalid())?,
    };
    if value <= MAX_DURATION {
        return Ok(value);
    }
    Err(InvalidValue::text("a duration of at most 366 days", text))
}

/// Reads a size in bytes. `K`, `M`, `G` and `T` are powers of 1024 as in PM2, and so are `KiB`,
/// `MiB` …; `KB`, `MB` … are powers of 1000. A number without a unit is bytes, refused below
/// [`MIN_BARE_SIZE`].
pub fn size(text: &str) -> Result<u64, InvalidValue> {
    let invalid = || InvalidValue::text(SIZE, text);
    let trimmed = text.trim();
    if let Ok(bytes) = trimmed.parse::<u64>() {
        return if bytes >= MIN_BARE_SIZE { Ok(bytes) } else { Err(invalid()) };
    }
    let written = match trimmed.chars().last() {
        Some('k' | 'K' | 'm' | 'M' | 'g' | 'G' | 't' | 'T') => format!("{trimmed}iB"),
        _ => trimmed.to_owned(),
    };
    match written.parse::<ByteSize>() {
        Ok(ByteSize(bytes)) if bytes > 0 => Ok(bytes),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = Duration::from_millis;
        let table = [
            ("0", ms(0)),
            ("1600", ms(1600)),
            (" 1600ms ", ms(1600)),
            ("5s", ms(5000)),
            ("2m", ms(120_000)),
            ("1h", ms(3_600_000)),
            ("1m 30s", ms(90_000)),
            ("366days", MAX_DURATION),
        ];
        for (text, want) in table {
            assert_eq!(duration(text), Ok(want), "{text:?}");
        }
        for text in ["", "banana", "-1", "1.5", "5 apples", "1600 ms x"] {
            assert_eq!(duration(text), Err(InvalidValue::text(DURATION, text)), "{text:?}");
        }
        let over = InvalidValue::text("a duration of at most 366 days", "367days");
        assert_eq!(duration("367days"), Err(over));
    }

    #[test]
    fn sizes() {
        const M: u64 = 1024 * 1024;
        let table = [
            ("300M", 300 * M),
            ("300m", 300 * M),
            ("1.5GiB", 1536 * M),
            ("1.5G", 1536 * M),
            ("512K", M / 2),
            ("1T", M * M),
            ("2 GB", 2_000_000_000),
            ("1048576", M),
            ("12B", 12),
        ];
        for (text, want) in table {
            assert_eq!(size(text), Ok(want), "{text:?}");
        }
        for text in ["", "12Q", "0", "300", "1048575", "0M", "-5M", "M", "nanM", "1e3M", "1..5M"] {
            assert_eq!(size(text), Err(InvalidValue::text(SIZE, text)), "{text:?}");
        }
    }
}

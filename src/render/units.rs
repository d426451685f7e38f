//! Times and sizes as PM2 writes them, and as a person says them.

/// Seconds in each of PM2's units, largest first.
const UNITS: [(u64, &str); 6] =
    [(31_536_000, "Y"), (2_592_000, "M"), (86_400, "D"), (3_600, "h"), (60, "m"), (1, "s")];

/// A duration in the largest unit it fills more than once: `45s`, `119s`, `2m`, `3h`, `5D`.
pub(crate) fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let fits = |(size, _): &&(u64, &str)| seconds / size > 1;
    match UNITS.iter().find(fits) {
        Some((size, unit)) => format!("{}{unit}", seconds / size),
        None => format!("{seconds}s"),
    }
}

/// Bytes with one decimal: `51.5mb`.
pub(crate) fn memory(bytes: u64) -> String {
    const NAMES: [&str; 4] = ["kb", "mb", "gb", "tb"];
    if bytes < 1024 {
        return format!("{bytes}b");
    }
    // In tenths, so that no rounding needs floating point.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    for name in NAMES {
        if tenths < 10_240 || name == "tb" {
            return format!("{}.{}{name}", tenths / 10, tenths % 10);
        }
        tenths /= 1024;
    }
    String::new()
}

/// A point in time, in milliseconds since the epoch, as ISO 8601 in UTC.
pub(crate) fn timestamp(epoch_ms: u64) -> String {
    let (days, in_day) = (epoch_ms / 86_400_000, epoch_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, millisecond) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// Days since 1970-01-01 to a date, by Howard Hinnant's `civil_from_days`, for days after it.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is their last.
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let table = [
            (0, "0s"),
            (999, "0s"),
            (1_000, "1s"),
            (45_000, "45s"),
            (119_999, "119s"),
            (120_000, "2m"),
            (7_199_000, "119m"),
            (7_200_000, "2h"),
            (172_800_000, "2D"),
            (5 * 86_400_000, "5D"),
            (5_184_000_000, "2M"),
            (63_072_000_000, "2Y"),
            (u64::MAX, "584942417Y"),
        ];
        for (milliseconds, want) in table {
            assert_eq!(age(milliseconds), want);
        }
    }

    #[test]
    fn sizes() {
        let table = [
            (0, "0b"),
            (1023, "1023b"),
            (1024, "1.0kb"),
            (1_048_575, "1023.9kb"),
            (54_083_584, "51.5mb"),
            (1 << 30, "1.0gb"),
            (1 << 50, "1024.0tb"),
        ];
        for (bytes, want) in table {
            assert_eq!(memory(bytes), want);
        }
    }

    #[test]
    fn timestamps() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_795_218_378_858, "2026-11-20T23:46:18.858Z"),
        ];
        for (epoch_ms, want) in table {
            assert_eq!(timestamp(epoch_ms), want);
        }
    }
}

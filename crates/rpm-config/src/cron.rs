//! Patterns of `cron_restart`: five fields, or six with seconds first, in local time, read as PM2
//! reads them: a day must match day of month and day of week.

use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use jiff::{Timestamp, tz::TimeZone};

/// Why `pattern` is none, as a fragment.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    parse(pattern).map(|_| ())
}

/// The next moment after `after` that `pattern` means, both in milliseconds since 1970; `None`
/// where there is none, as for the 30th of February.
pub fn next_occurrence(pattern: &str, after: u64) -> Option<u64> {
    let after = Timestamp::from_millisecond(i64::try_from(after).ok()?).ok()?;
    let after = after.to_zoned(TimeZone::system());
    let next = parse(pattern).ok()?.find_next_occurrence(&after, false).ok()?;
    u64::try_from(next.timestamp().as_millisecond()).ok()
}

fn parse(pattern: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Optional).dom_and_dow(true).build();
    parser.parse(pattern).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_with_and_without_seconds() {
        for pattern in ["*/5 * * * *", "*/2 * * * * *", "0 3 L * *", "0 0 1 JAN MON", "0 0 * * 1-5"]
        {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
        for pattern in ["", "nonsense", "* * *", "61 * * * *", "* * * * * * * *"] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn the_next_moment_is_after_the_one_given() {
        let at = 1_700_000_000_000;
        assert_eq!(next_occurrence("* * * * * *", at), Some(at + 1000));
        assert_eq!(next_occurrence("*/2 * * * * *", at), Some(at + 2000));
        assert_eq!(next_occurrence("* * * * *", at), Some(1_700_000_040_000));
        assert_eq!(next_occurrence("0 0 30 2 *", at), None);
    }

    #[test]
    fn both_days_must_match() {
        let next = next_occurrence("0 0 13 * FRI", 1_700_000_000_000).unwrap();
        let next = Timestamp::from_millisecond(i64::try_from(next).unwrap()).unwrap();
        let next = next.to_zoned(TimeZone::system());
        assert_eq!(next.strftime("%a %d").to_string(), "Fri 13");
    }
}

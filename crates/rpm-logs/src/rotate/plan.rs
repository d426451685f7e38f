//! When a log is rotated, and how much of it is kept.

use croner::Cron;
use jiff::{Timestamp, ToSpan, Unit, Zoned, ZonedRound, tz::TimeZone};
use std::{fmt, str::FromStr};

/// The smallest size a log may be limited to: the kernel's pages, and lines, must fit.
pub const MIN_SIZE: u64 = 4096;

/// When and how one log is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes a file may have; `None`: any number.
    pub max_size: Option<u64>,
    /// Rotated files that are kept; older ones are removed.
    pub keep: u32,
    /// Bytes all logs of this app may have together, the rotated files as they are on the disk.
    pub max_total: Option<u64>,
    /// Compress rotated files with gzip, in the background.
    pub compress: bool,
    /// Begin a new file at such times.
    pub interval: Option<Interval>,
}

/// Times at which a new file is begun, in the machine's time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interval {
    /// At each full hour.
    Hourly,
    /// At midnight.
    Daily,
    /// As cron says: five fields, or six with seconds first.
    Cron(Box<Cron>),
}

/// Why a text is no [`Interval`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidInterval(String);

impl FromStr for Interval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, InvalidInterval> {
        match text.trim() {
            "hourly" => Ok(Self::Hourly),
            "daily" => Ok(Self::Daily),
            cron => match Cron::from_str(cron) {
                Ok(cron) => Ok(Self::Cron(Box::new(cron))),
                Err(error) => Err(InvalidInterval(error.to_string())),
            },
        }
    }
}

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hourly, daily or a cron pattern: {}", self.0)
    }
}

impl std::error::Error for InvalidInterval {}

impl Interval {
    /// The first such time after `since`, in milliseconds since the epoch; `None`: never.
    pub fn after(&self, since: u64) -> Option<u64> {
        let since = Timestamp::from_millisecond(i64::try_from(since).ok()?).ok()?;
        let since = since.to_zoned(TimeZone::system());
        let next = match self {
            Self::Hourly => begin(&since, Unit::Hour)?.checked_add(1.hour()).ok()?,
            Self::Daily => begin(&since, Unit::Day)?.checked_add(1.day()).ok()?,
            Self::Cron(cron) => cron.find_next_occurrence(&since, false).ok()?,
        };
        u64::try_from(next.timestamp().as_millisecond()).ok()
    }
}

fn begin(time: &Zoned, unit: Unit) -> Option<Zoned> {
    let down = ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc);
    time.round(down).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(interval: &str, since: &str) -> String {
        let zoned = since.parse::<jiff::civil::DateTime>().unwrap();
        let zoned = zoned.to_zoned(TimeZone::system()).unwrap();
        let interval: Interval = interval.parse().unwrap();
        let since = u64::try_from(zoned.timestamp().as_millisecond()).unwrap();
        let next = i64::try_from(interval.after(since).unwrap()).unwrap();
        let next = Timestamp::from_millisecond(next).unwrap().to_zoned(TimeZone::system());
        next.datetime().to_string()
    }

    #[test]
    fn the_next_time_is_after_the_given_one() {
        for (interval, since, want) in [
            ("hourly", "2026-11-21T11:09:06", "2026-11-21T12:00:00"),
            ("hourly", "2026-11-21T23:00:00", "2026-11-22T00:00:00"),
            ("daily", "2026-11-21T11:09:06", "2026-11-22T00:00:00"),
            ("daily", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
            ("0 0 * * 1", "2026-11-21T11:09:06", "2026-11-23T00:00:00"),
            ("*/15 * * * *", "2026-11-21T11:15:00", "2026-11-21T11:30:00"),
        ] {
            assert_eq!(next(interval, since), want, "{interval} {since}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "weekly", "61 * * * *", "* * *"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}

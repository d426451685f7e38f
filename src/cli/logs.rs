//! What `logs` and `flush` take, and what is made of their words: times, expressions.

use crate::completion::targets;
use clap::Args;
use jiff::{Timestamp, Zoned, civil};
use regex::bytes::Regex;
use std::time::{SystemTime, UNIX_EPOCH};

/// How `--timestamp` shows a time where no format is given, as PM2.
const TIMESTAMP: &str = "YYYY-MM-DD-HH:mm:ss";
/// How many lines of each file are shown where nothing else limits them, as PM2.
const DEFAULT_LINES: usize = 15;

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Logs {
    /// Ids, names, /regex/, namespaces; none: all; `rpm`: the daemon.
    #[arg(add = targets())]
    pub(crate) targets: Vec<String>,
    /// How many of the last lines of each file; else 15.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    pub(crate) lines: Option<usize>,
    /// Only lines since: 10m, 10:00, 2026-11-21T10:00.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<u64>,
    /// Only lines until then; nothing is followed.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<u64>,
    /// Only lines that match; (?i) before it ignores case.
    #[arg(long, value_name = "REGEX", value_parser = Expression::new)]
    pub(crate) grep: Option<Expression>,
    /// Show the past and return.
    #[arg(long)]
    pub(crate) nostream: bool,
    /// As they are, standard error's on standard error.
    #[arg(long)]
    pub(crate) raw: bool,
    /// An object a line, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// key=value pairs, for programs.
    #[arg(long)]
    pub(crate) format: bool,
    /// The time before each line.
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = TIMESTAMP)]
    pub(crate) timestamp: Option<String>,
    /// A word to show on another ground.
    #[arg(long, value_name = "WORD", num_args = 0..=1, default_missing_value = "")]
    pub(crate) highlight: Option<String>,
    /// Only standard error.
    #[arg(long)]
    pub(crate) err: bool,
    /// Only standard output.
    #[arg(long)]
    pub(crate) out: bool,
}

impl Logs {
    /// How many lines of each file; `None`: all.
    pub(crate) fn limit(&self) -> Option<usize> {
        let default = self.since.is_none().then_some(DEFAULT_LINES);
        self.lines.or(default)
    }

    /// Whether what comes is shown too.
    pub(crate) fn follows(&self) -> bool {
        !self.nostream && self.until.is_none()
    }
}

/// A number of lines; as under PM2 its sign means nothing.
fn count(text: &str) -> Result<usize, std::num::ParseIntError> {
    text.parse::<isize>().map(isize::unsigned_abs)
}

/// A regular expression, equal to another of the same text.
#[derive(Clone, Debug)]
pub(crate) struct Expression(Regex);

impl Expression {
    fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(text).map(Self)
    }

    /// Whether a line has it in it.
    pub(crate) fn matches(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Milliseconds since the epoch of so long ago, a date with time, or a time of today.
fn moment(text: &str) -> Result<u64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if let Ok(ago) = humantime::parse_duration(text) {
        let at = now.saturating_sub(ago).as_millis();
        return Ok(u64::try_from(at).unwrap_or(u64::MAX));
    }
    let zoned = |at: civil::DateTime| at.to_zoned(jiff::tz::TimeZone::system());
    let at = text.parse::<Timestamp>().or_else(|_| {
        let local = text.parse::<civil::DateTime>().or_else(|_| {
            // A bare number is neither an hour nor a count of anything.
            let time = if text.contains(':') { text } else { "" };
            let time = time.parse::<civil::Time>()?;
            Ok::<_, jiff::Error>(Zoned::now().date().to_datetime(time))
        })?;
        zoned(local).map(|zoned| zoned.timestamp())
    });
    let at = at.ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
    at.ok_or_else(|| "a time is 10m (ago), 2026-11-21T10:00 or 10:00 (today)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
        let ago = moment("1h 30m").unwrap();
        assert!((now - 5_400_000).abs_diff(ago) < 5000, "{ago} {now}");
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(moment("1970-01-02 00:00:01+00:00"), Ok(86_401_000));
        let local = |text: &str| -> u64 {
            let at: civil::DateTime = text.parse().unwrap();
            let at = at.to_zoned(jiff::tz::TimeZone::system()).unwrap();
            u64::try_from(at.timestamp().as_millisecond()).unwrap()
        };
        for text in ["2026-11-21T10:00", "2026-11-21 10:00:01", "2026-11-21"] {
            assert_eq!(moment(text), Ok(local(text)), "{text}");
        }
        assert!(moment("00:00").unwrap() <= now);
        for text in ["", "yesterday", "10", "25:00", "1960-01-01"] {
            moment(text).unwrap_err();
        }
    }

    #[test]
    fn lines_are_limited_unless_a_time_limits_them() {
        let logs = Logs::default();
        assert_eq!(logs.limit(), Some(15));
        assert_eq!(Logs { since: Some(1), ..logs.clone() }.limit(), None);
        assert_eq!(Logs { since: Some(1), lines: Some(3), ..logs }.limit(), Some(3));
    }
}

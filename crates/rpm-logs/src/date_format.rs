//! [`DateFormat`]: times as `log_date_format` and `--timestamp` describe them, as day.js writes
//! them, which is what PM2 formats with (<https://day.js.org/docs/en/display/format> and its plugin
//! AdvancedFormat); pure.

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// Longest first, so that `MMMM` is not read as `MMM` and `M`.
const TOKENS: [&str; 38] = [
    "YYYY", "MMMM", "dddd", "gggg", "GGGG", "DDDD", "MMM", "ddd", "SSS", "zzz", "DDD", "YY", "MM",
    "DD", "Do", "dd", "HH", "hh", "kk", "mm", "ss", "SS", "ZZ", "WW", "ww", "M", "D", "d", "H",
    "h", "k", "m", "s", "S", "Z", "A", "a", "Q",
];
/// Of one letter, and read last: a unix time in seconds and in milliseconds.
const UNIX: [&str; 2] = ["X", "x"];

/// A format, ready to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Token(&'static str),
    Text(String),
}

impl DateFormat {
    /// Reads a format: tokens are replaced, `[text]` stands for itself, and so does the rest.
    pub fn new(format: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            let text = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let token = TOKENS.iter().chain(&UNIX).find(|token| rest.starts_with(**token));
            let (part, next) = match (text, token) {
                (Some((text, next)), _) => (Part::Text(text.to_owned()), next),
                (None, Some(token)) => (Part::Token(token), rest.get(token.len()..).unwrap_or("")),
                (None, None) => {
                    let next = rest.get(first.len_utf8()..).unwrap_or("");
                    (Part::Text(first.to_string()), next)
                }
            };
            parts.push(part);
            rest = next;
        }
        Self { parts }
    }

    /// The text for `at`, milliseconds since the epoch, in the machine's time zone.
    pub fn local(&self, at: u64) -> String {
        let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        self.of(&at.unwrap_or_default().to_zoned(TimeZone::system()))
    }

    fn of(&self, time: &Zoned) -> String {
        let text = |part: &Part| match part {
            Part::Token(token) => value(token, time),
            Part::Text(text) => text.clone(),
        };
        self.parts.iter().map(text).collect()
    }
}

/// `2026-11-21T11:09:06.123Z`, as JavaScript's `toISOString`.
pub fn iso(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    format!("{:.3}", at.unwrap_or_default())
}

fn value(token: &str, time: &Zoned) -> String {
    let like = |format: &str| time.strftime(format).to_string();
    match token {
        "YYYY" => format!("{:04}", time.year()),
        "YY" => like("%y"),
        "Q" => ((time.month() + 2) / 3).to_string(),
        "M" => time.month().to_string(),
        "MM" => like("%m"),
        "MMM" => like("%b"),
        "MMMM" => like("%B"),
        "D" => time.day().to_string(),
        "DD" => like("%d"),
        "Do" => ordinal(time.day()),
        "DDD" => time.day_of_year().to_string(),
        "DDDD" => format!("{:03}", time.day_of_year()),
        "d" => time.weekday().to_sunday_zero_offset().to_string(),
        "dd" => like("%a").chars().take(2).collect(),
        "ddd" => like("%a"),
        "dddd" => like("%A"),
        "gggg" | "GGGG" => like("%G"),
        "WW" | "ww" => like("%V"),
        "H" => time.hour().to_string(),
        "HH" => like("%H"),
        "h" => hour12(time.hour()).to_string(),
        "hh" => format!("{:02}", hour12(time.hour())),
        "k" => hour24(time.hour()).to_string(),
        "kk" => format!("{:02}", hour24(time.hour())),
        "m" => time.minute().to_string(),
        "mm" => like("%M"),
        "s" => time.second().to_string(),
        "ss" => like("%S"),
        "S" => (time.millisecond() / 100).to_string(),
        "SS" => format!("{:02}", time.millisecond() / 10),
        "SSS" => format!("{:03}", time.millisecond()),
        "Z" => like("%:z"),
        "ZZ" => like("%z"),
        "zzz" => like("%Z"),
        "A" => like("%p").to_uppercase(),
        "a" => like("%p").to_lowercase(),
        "X" => time.timestamp().as_second().to_string(),
        _ => time.timestamp().as_millisecond().to_string(),
    }
}

fn hour12(hour: i8) -> i8 {
    if hour % 12 == 0 { 12 } else { hour % 12 }
}

fn hour24(hour: i8) -> i8 {
    if hour == 0 { 24 } else { hour }
}

/// `1st`, `2nd`, `3rd`, `4th`, but `11th`.
fn ordinal(day: i8) -> String {
    let end = match (day % 10, day / 10) {
        (1, tens) if tens != 1 => "st",
        (2, tens) if tens != 1 => "nd",
        (3, tens) if tens != 1 => "rd",
        _ => "th",
    };
    format!("{day}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(format: &str, time: &str) -> String {
        DateFormat::new(format).of(&time.parse().unwrap())
    }

    #[test]
    fn as_day_js_writes_it() {
        // By hand from day.js 1.11: dayjs(…).format(…).
        let time = "2026-01-02T03:04:05.067+01:00[+01:00]";
        for (format, want) in [
            ("YYYY-MM-DDTHH:mm:ss", "2026-01-02T03:04:05"),
            ("YYYY-MM-DD HH:mm:ss.SSS Z", "2026-01-02 03:04:05.067 +01:00"),
            ("YY-M-D H:m:s ZZ", "26-1-2 3:4:5 +0100"),
            ("ddd, Do MMM YYYY h:mm A", "Fri, 2nd Jan 2026 3:04 AM"),
            ("dddd MMMM dd d a hh", "Friday January Fr 5 am 03"),
            ("[at] HH[h] Q", "at 03h 1"),
            ("X x", "1767319445 1767319445067"),
            ("[open", "[open"),
            ("é/YYYY", "é/2026"),
            ("dddd ddd dd, MMMM MMM x[YYYY", "Friday Fri Fr, January Jan 1767319445067[2026"),
            ("é [é]", "é é"),
            ("", ""),
        ] {
            assert_eq!(at(format, time), want, "{format}");
        }
        let late = "2026-11-21T12:30:00+00:00[+00:00]";
        assert_eq!(at("hh:mm a kk DDD", late), "12:30 pm 12 325");
        assert_eq!(at("hh kk Do", "2026-11-11T00:30:00+00:00[+00:00]"), "12 24 11th");
    }

    #[test]
    fn iso_times() {
        assert_eq!(iso(1_767_319_445_067), "2026-01-02T02:04:05.067Z");
        assert_eq!(iso(u64::MAX).len(), 24);
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
    }
}

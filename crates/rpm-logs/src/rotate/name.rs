//! How files that were rotated away from a log are called; pure.
//!
//! `LOG.YYYY-MM-DD_HH-MM-SS.NNN`, the time of the rotation in UTC and a number within the second,
//! `.gz` or `.zst` behind it once compressed. Names of one log sort by age. The pattern is exact,
//! so that no other app's file is ever taken for one of this log: retention deletes by it.

use std::fmt;

/// Bytes of `YYYY-MM-DD_HH-MM-SS`.
const STAMP_BYTES: usize = 19;
/// Rotations within one second that have names of their own.
const MAX_NUMBER: u16 = 999;

/// What a rotated file's name says, in the order of age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rotated {
    stamp: String,
    number: u16,
    /// How it is compressed, if it is.
    pub packing: Option<Packing>,
}

/// How a rotated file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// Behind the last dot of the name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
        }
    }
}

impl Rotated {
    /// The name for a log rotated at `stamp` (`YYYY-MM-DD_HH-MM-SS`), younger than `newest` even
    /// if the clock was set back.
    pub fn next(stamp: &str, newest: Option<&Self>) -> Self {
        let fresh = Self { stamp: stamp.to_owned(), number: 0, packing: None };
        match newest {
            Some(newest) if newest.stamp.as_str() >= stamp => {
                let stamp = newest.stamp.clone();
                // More than a thousand in a second: the last name is used again.
                let number = newest.number.saturating_add(1).min(MAX_NUMBER);
                Self { stamp, number, packing: None }
            }
            Some(_) | None => fresh,
        }
    }

    /// What `name` says, if it is that of a file rotated away from the log called `log`.
    pub fn parse(log: &str, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(log)?.strip_prefix('.')?;
        let (stamp, rest) = rest.split_at_checked(STAMP_BYTES)?;
        let (number, packing) = match rest.strip_prefix('.')?.split_once('.') {
            None => (rest.strip_prefix('.')?, None),
            Some((number, "gz")) => (number, Some(Packing::Gzip)),
            Some((number, "zst")) => (number, Some(Packing::Zstd)),
            Some(_) => return None,
        };
        let digits = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits)?;
        is_stamp(stamp).then(|| Self { stamp: stamp.to_owned(), number, packing })
    }

    /// The name of the log, and what `name` says, if it is that of any log's rotated file.
    pub(crate) fn split(name: &str) -> Option<(&str, Self)> {
        let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
        // A dot before the stamp, and one with three digits behind it.
        let (log, _) = plain.split_at_checked(plain.len().checked_sub(STAMP_BYTES + 5)?)?;
        Some((log, Self::parse(log, name)?))
    }

    /// The file's name.
    pub fn of(&self, log: &str) -> String {
        format!("{log}.{self}")
    }

    /// Whether both are the same rotation, compressed or not.
    pub fn is_same_rotation(&self, other: &Self) -> bool {
        (&self.stamp, self.number) == (&other.stamp, other.number)
    }
}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.stamp, self.number)?;
        self.packing.map_or(Ok(()), |packing| write!(f, ".{}", packing.extension()))
    }
}

/// Digits where `2026-01-31_23-59-59` has some, and the rest as there.
fn is_stamp(text: &str) -> bool {
    let like = b"0000-00-00_00-00-00";
    let fits = |(byte, like): (u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        other => byte == *other,
    };
    text.len() == STAMP_BYTES && text.bytes().zip(like).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "2026-11-21_11-09-06";

    #[test]
    fn names_are_read_back_and_sort_by_age() {
        let first = Rotated::next(STAMP, None);
        assert_eq!(first.of("a-out.log"), "a-out.log.2026-11-21_11-09-06.000");
        let second = Rotated::next(STAMP, Some(&first));
        let third = Rotated::next("2026-11-21_11-09-07", Some(&second));
        let back = Rotated::next("2020-01-01_00-00-00", Some(&third));
        let mut all = [first, second, third, back];
        all[1].packing = Some(Packing::Gzip);
        all[2].packing = Some(Packing::Zstd);
        for rotated in &all {
            let name = rotated.of("a-out.log");
            assert_eq!(Rotated::parse("a-out.log", &name).as_ref(), Some(rotated), "{name}");
            assert_eq!(Rotated::split(&name), Some(("a-out.log", rotated.clone())), "{name}");
        }
        assert!(all.is_sorted());
        let names = all.clone().map(|rotated| rotated.of("x"));
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn what_is_not_exactly_such_a_name_is_none() {
        for name in [
            "api-out.log",
            "my-api-out.log.2026-11-21_11-09-06.000",
            "api-out.log.1",
            "api-out.log.2026-11-21_11-09-06",
            "api-out.log.2026-11-21_11-09-06.0",
            "api-out.log.2026-11-21_11-09-06.+00",
            "api-out.log.2026-11-21_11-09-06.000.xz",
            "api-out.log.2026-11-21_11-09-06.000.gz.tmp",
            "api-out.log.2026-11-21_11-09-06.000-out.log",
            "api-out.log.2026-11-21T11-09-06.000",
            "api-out.logé2026-11-21_11-09-06.000",
        ] {
            assert_eq!(Rotated::parse("api-out.log", name), None, "{name}");
            let log = Rotated::split(name).map(|(log, _)| log);
            assert_ne!(log, Some("api-out.log"), "{name}");
        }
    }

    #[test]
    fn the_thousandth_of_a_second_uses_the_last_name_again() {
        let last = Rotated { stamp: STAMP.to_owned(), number: 999, packing: None };
        assert_eq!(Rotated::next(STAMP, Some(&last)), last);
    }
}

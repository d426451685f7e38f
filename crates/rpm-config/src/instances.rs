//! [`Instances`]: how many instances were asked for, before the number of CPUs is known.

use crate::invalid::InvalidValue;
use std::str::FromStr;

/// The most instances of one app; far above any use, far below what would exhaust the machine's
/// process ids by a slip of the finger.
pub const MAX_INSTANCES: u32 = 10_000;

const EXPECTED: &str = "a number of instances, \"max\" (one per CPU) or less than zero (CPUs \
                        minus so many)";

/// What `instances` and `-i` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// `max` or `0`: one per usable CPU.
    Max,
    /// So many, 1 to [`MAX_INSTANCES`].
    Count(u32),
    /// `-n`: `n` less than there are usable CPUs, but at least one.
    AllBut(u32),
}

impl Instances {
    /// The number of instances on a machine with `cpus` usable CPUs.
    pub fn count(self, cpus: u32) -> u32 {
        match self {
            Self::Max => cpus.clamp(1, MAX_INSTANCES),
            Self::Count(count) => count,
            Self::AllBut(spared) => cpus.saturating_sub(spared).clamp(1, MAX_INSTANCES),
        }
    }

    pub(crate) fn from_number(number: i128) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new(EXPECTED, number.to_string());
        let magnitude = u32::try_from(number.unsigned_abs()).map_err(|_| invalid())?;
        match number.signum() {
            0 => Ok(Self::Max),
            -1 => Ok(Self::AllBut(magnitude)),
            _ if magnitude <= MAX_INSTANCES => Ok(Self::Count(magnitude)),
            _ => {
                let most = format!("at most {MAX_INSTANCES} instances");
                Err(InvalidValue::new(most, number.to_string()))
            }
        }
    }
}

impl FromStr for Instances {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let number = text.parse().map_err(|_| InvalidValue::text(EXPECTED, text))?;
        Self::from_number(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_what_they_mean_on_four_cpus() {
        let table = [
            ("max", Instances::Max, 4),
            ("0", Instances::Max, 4),
            ("1", Instances::Count(1), 1),
            ("7", Instances::Count(7), 7),
            ("10000", Instances::Count(MAX_INSTANCES), MAX_INSTANCES),
            ("-1", Instances::AllBut(1), 3),
            ("-4", Instances::AllBut(4), 1),
            ("-100", Instances::AllBut(100), 1),
        ];
        for (text, want, count) in table {
            assert_eq!(text.parse(), Ok(want), "{text}");
            assert_eq!(want.count(4), count, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["banana", "", "1.5", "MAX", " 2"] {
            let want = InvalidValue::text(EXPECTED, text);
            assert_eq!(text.parse::<Instances>(), Err(want), "{text:?}");
        }
        let error = "10001".parse::<Instances>().unwrap_err();
        assert_eq!(error.to_string(), "must be at most 10000 instances, but is 10001");
        assert!("-99999999999".parse::<Instances>().is_err());
    }
}

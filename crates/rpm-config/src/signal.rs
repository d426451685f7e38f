//! The names of Linux's signals. The numbers are those of x86, ARM, RISC-V and POWER (signal(7)).

use crate::{invalid::InvalidValue, suggest};

/// PM2's first signal of a stop.
pub(crate) const SIGINT: i32 = 2;

/// The highest real-time signal.
const MAX_SIGNAL: i32 = 64;

/// Names without `SIG`, and aliases after the name Linux prefers.
const NAMES: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", SIGINT),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of the signal called `text`: a name with or without `SIG`, in any case, or a number
/// from 1 to 64.
pub fn signal(text: &str) -> Result<i32, InvalidValue> {
    let upper = text.trim().to_ascii_uppercase();
    if let Ok(number) = upper.parse::<i32>() {
        return number_in_range(number.into());
    }
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    match NAMES.iter().find(|(name, _)| *name == bare) {
        Some((_, number)) => Ok(*number),
        None => Err(InvalidValue::text(expected(bare), text)),
    }
}

pub(crate) fn number_in_range(number: i128) -> Result<i32, InvalidValue> {
    match i32::try_from(number) {
        Ok(number @ 1..=MAX_SIGNAL) => Ok(number),
        _ => Err(InvalidValue::new("a signal from 1 to 64", number.to_string())),
    }
}

fn expected(bare: &str) -> String {
    match suggest::nearest(bare, NAMES.iter().map(|(name, _)| *name)) {
        Some(name) => format!("a signal (did you mean SIG{name}?)"),
        None => "a signal such as SIGTERM or 15".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let table = [("SIGINT", 2), ("TERM", 15), ("sigusr2", 12), ("9", 9), ("64", 64), (" 1", 1)];
        for (text, want) in table {
            assert_eq!(signal(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal() {
        let table = [
            ("SIGTRM", "must be a signal (did you mean SIGTERM?), but is \"SIGTRM\""),
            ("banana", "must be a signal such as SIGTERM or 15, but is \"banana\""),
            ("", "must be a signal such as SIGTERM or 15, but is \"\""),
            ("0", "must be a signal from 1 to 64, but is 0"),
            ("65", "must be a signal from 1 to 64, but is 65"),
        ];
        for (text, want) in table {
            assert_eq!(signal(text).map_err(|e| e.to_string()), Err(want.into()), "{text}");
        }
    }
}

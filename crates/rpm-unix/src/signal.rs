//! Signals: their names, and receiving them as records from a descriptor.

use nix::sys::{
    signal::{SigSet, SigmaskHow, Signal, sigprocmask},
    signalfd::{SfdFlags, SignalFd},
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// The name of a signal, as `SIGINT`; `None` for a number without one (the real-time signals).
pub fn name(number: i32) -> Option<&'static str> {
    Signal::try_from(number).ok().map(Signal::as_str)
}

/// The number of a signal from its name, with or without `SIG`, in any case, or from its number.
pub fn number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=libc::SIGRTMAX()).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    full.parse::<Signal>().ok().map(|signal| signal as i32)
}

/// Blocked signals of this thread that come as records.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks these signals and receives them from now on. For a process without other threads.
    pub fn block(numbers: &[i32]) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for number in numbers {
            set.add(Signal::try_from(*number)?);
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// The next signal's number; `None` when there is none now.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let record = self.0.read_signal()?;
        Ok(record.and_then(|record| i32::try_from(record.ssi_signo).ok()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        let table = [("SIGINT", 2), ("int", 2), ("SigKill", 9), ("9", 9), ("TERM", 15), ("64", 64)];
        for (text, expected) in table {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "SIG", "SIGBANANA", "0", "-1", "65", "2.0"] {
            assert_eq!(number(text), None, "{text}");
        }
        for signal in Signal::iterator() {
            let text = name(signal as i32).unwrap();
            assert_eq!(number(text), Some(signal as i32));
        }
        assert_eq!(name(64), None);
    }

    #[test]
    fn a_blocked_signal_comes_as_a_record() {
        let signals = Signals::block(&[libc::SIGUSR1, libc::SIGUSR2]).unwrap();
        assert_eq!(signals.next().unwrap(), None);
        nix::sys::signal::raise(Signal::SIGUSR2).unwrap();
        assert_eq!(signals.next().unwrap(), Some(libc::SIGUSR2));
        assert_eq!(signals.next().unwrap(), None);
    }
}

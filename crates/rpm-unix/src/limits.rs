//! How many files a process may open: more for us, the caller's own number for what we execute.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// RLIMIT_NOFILE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What is enforced.
    pub soft: u64,
    /// What the soft limit may be raised to.
    pub hard: u64,
}

impl OpenFiles {
    /// What this process has now.
    pub fn current() -> io::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { soft, hard })
    }

    /// Gives this process these limits.
    pub fn apply(self) -> io::Result<()> {
        Ok(setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard)?)
    }
}

/// Raises the soft limit to the hard one and returns what it was.
pub fn raise_open_files() -> io::Result<OpenFiles> {
    let before = OpenFiles::current()?;
    OpenFiles { soft: before.hard, hard: before.hard }.apply()?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_and_the_former_one_told() {
        let before = OpenFiles::current().unwrap();
        assert_eq!(raise_open_files().unwrap(), before);
        let raised = OpenFiles { soft: before.hard, hard: before.hard };
        assert_eq!(OpenFiles::current().unwrap(), raised);
        before.apply().unwrap();
    }
}

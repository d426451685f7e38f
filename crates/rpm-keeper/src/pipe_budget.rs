//! How large the pipes of programs may be (traps A13).
//!
//! Pages in pipes count against the user, not the process: whoever takes them all leaves every
//! other program of that user with pipes of two pages. So without the capability to exceed the
//! limit only a quarter of it is spent, in smaller portions, and given back when a child is gone.

use rpm_unix::process;
use std::{cell::Cell, fs, rc::Rc};

/// With CAP_SYS_RESOURCE: a daemon that is away for a moment blocks nobody.
const PRIVILEGED_BYTES: usize = 1 << 20;
/// Without: room for some thousand lines, for 32 programs at the default limit.
const BYTES: usize = 256 << 10;
/// The kernel's page, on the machines this runs on at least; a larger one only spends less.
const PAGE_BYTES: usize = 4096;
/// The kernel's default of `pipe-user-pages-soft` (pipe(7)), where it cannot be read or is off.
const DEFAULT_PAGES: usize = 16_384;

/// What is left to spend.
#[derive(Debug)]
pub(crate) enum PipeBudget {
    /// The user's limit does not bind us.
    Unlimited,
    /// So many pages.
    Pages(Rc<Cell<usize>>),
}

/// Pages that go back when it is dropped.
#[derive(Debug)]
pub(crate) struct Grant {
    budget: Option<Rc<Cell<usize>>>,
    bytes: usize,
}

impl PipeBudget {
    /// As this process and system are.
    pub(crate) fn of_this_process() -> Self {
        if process::may_exceed_limits() {
            return Self::Unlimited;
        }
        let text = fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").unwrap_or_default();
        let soft = text.trim().parse().ok().filter(|pages| *pages > 0).unwrap_or(DEFAULT_PAGES);
        Self::pages(soft / 4)
    }

    fn pages(pages: usize) -> Self {
        Self::Pages(Rc::new(Cell::new(pages)))
    }

    /// The size of one more pipe; `None`: the kernel's default.
    pub(crate) fn take(&self) -> Option<Grant> {
        let left = match self {
            Self::Unlimited => return Some(Grant { budget: None, bytes: PRIVILEGED_BYTES }),
            Self::Pages(left) => left,
        };
        left.set(left.get().checked_sub(BYTES / PAGE_BYTES)?);
        Some(Grant { budget: Some(left.clone()), bytes: BYTES })
    }
}

impl Grant {
    /// How large the pipe may be.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(left) = &self.budget {
            left.set(left.get() + self.bytes / PAGE_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_spent_and_given_back() {
        let budget = PipeBudget::pages(DEFAULT_PAGES / 4);
        let mut grants: Vec<Grant> = std::iter::from_fn(|| budget.take()).collect();
        assert_eq!(grants.len(), 64);
        assert!(grants.iter().all(|grant| grant.bytes() == BYTES));
        grants.pop();
        assert!(budget.take().is_some_and(|grant| grant.bytes() == BYTES));
    }

    #[test]
    fn too_small_a_limit_leaves_the_default() {
        assert!(PipeBudget::pages(63).take().is_none());
    }

    #[test]
    fn who_may_exceed_it_is_not_limited() {
        let grants: Vec<_> = (0..1000).map(|_| PipeBudget::Unlimited.take()).collect();
        assert!(grants.iter().flatten().all(|grant| grant.bytes() == PRIVILEGED_BYTES));
    }
}

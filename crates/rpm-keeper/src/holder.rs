//! Descriptors held by name, for a daemon that comes back.

use crate::message::MAX_HELD;
use std::{
    collections::BTreeMap,
    ops::Bound,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// All held descriptors, at most [`MAX_HELD`].
#[derive(Debug, Default)]
pub(crate) struct Holder {
    held: BTreeMap<String, OwnedFd>,
}

impl Holder {
    /// Holds a descriptor in place of any former one of the name; false if there are too many.
    #[must_use]
    pub(crate) fn hold(&mut self, name: String, fd: OwnedFd) -> bool {
        if self.held.len() >= MAX_HELD && !self.held.contains_key(&name) {
            return false;
        }
        self.held.insert(name, fd);
        true
    }

    /// Closes one, if it is there.
    pub(crate) fn drop_one(&mut self, name: &str) {
        self.held.remove(name);
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        self.held.iter().map(|(name, fd)| (name.as_str(), fd.as_fd()))
    }

    /// The one after this name, in the order of names.
    pub(crate) fn after(&self, name: Option<&str>) -> Option<(&str, BorrowedFd<'_>)> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.held.range::<str, _>((from, Bound::Unbounded)).next();
        next.map(|(name, fd)| (name.as_str(), fd.as_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_unix::memfd;

    fn file(mark: u8) -> OwnedFd {
        memfd::seal(&[mark]).unwrap()
    }

    fn all(holder: &Holder) -> Vec<(String, u8)> {
        let mut all = Vec::<(String, u8)>::new();
        while let Some((name, fd)) = holder.after(all.last().map(|(name, _)| name.as_str())) {
            all.push((name.to_owned(), memfd::read(fd, 1).unwrap()[0]));
        }
        all
    }

    #[test]
    fn a_name_holds_its_last_descriptor() {
        let mut holder = Holder::default();
        for (name, mark) in [("b", 1), ("a", 2), ("b", 3), ("c", 4)] {
            assert!(holder.hold(name.to_owned(), file(mark)));
        }
        holder.drop_one("c");
        holder.drop_one("never");
        assert_eq!(all(&holder), [("a".to_owned(), 2), ("b".to_owned(), 3)]);
    }

    #[test]
    fn the_most_is_held_and_one_more_is_refused() {
        let mut holder = Holder::default();
        let limit = rpm_unix::limits::raise_open_files().unwrap();
        // Not every machine allows so many.
        if limit.hard < 2 * MAX_HELD as u64 {
            return;
        }
        for number in 0..MAX_HELD {
            assert!(holder.hold(number.to_string(), rpm_unix::pipe::null().unwrap()));
        }
        assert!(!holder.hold("more".to_owned(), file(1)));
        assert!(holder.hold("0".to_owned(), file(1)));
    }
}

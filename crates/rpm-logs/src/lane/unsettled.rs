//! [`Unsettled`]: the files in which a killed predecessor may have left half a write.
//!
//! Whether it did is seen by the file's length, so nobody may write there before each stream that
//! ends in the file has looked at what its journal says.

use std::{collections::BTreeMap, path::PathBuf};
use tokio::sync::watch;

/// Files, and how many streams have yet to look.
#[derive(Debug)]
pub(super) struct Unsettled(watch::Sender<BTreeMap<PathBuf, usize>>);

impl Default for Unsettled {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl Unsettled {
    /// One more stream that is going to look at its files.
    pub(super) fn add(&self, paths: &[PathBuf]) {
        self.0.send_modify(|all| {
            paths.iter().for_each(|path| *all.entry(path.clone()).or_default() += 1);
        });
    }

    /// It has.
    pub(super) fn settled(&self, paths: &[PathBuf]) {
        self.0.send_modify(|all| {
            for path in paths {
                if let Some(count) = all.get_mut(path) {
                    *count -= 1;
                }
            }
            all.retain(|_, count| *count > 0);
        });
    }

    /// Until all that end in one of `paths` have.
    pub(super) fn wait(&self, paths: Vec<PathBuf>) -> impl Future<Output = ()> + use<> {
        let mut news = self.0.subscribe();
        async move {
            // The sender is never dropped before its waiters; if it were, nobody writes.
            let _settled =
                news.wait_for(|all| !paths.iter().any(|path| all.contains_key(path))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_the_last_that_shares_a_file_and_for_no_other() {
        let unsettled = Unsettled::default();
        let paths = ["a", "both"].map(PathBuf::from);
        unsettled.add(&paths);
        unsettled.add(&paths[1..]);
        unsettled.wait(vec!["other".into()]).await;
        let mut both = polled(unsettled.wait(paths.to_vec()));
        assert!(!both());
        unsettled.settled(&paths);
        assert!(!both());
        unsettled.settled(&paths[1..]);
        assert!(both());
    }

    fn polled(future: impl Future<Output = ()>) -> impl FnMut() -> bool {
        let mut future = Box::pin(future);
        move || {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            future.as_mut().poll(&mut context).is_ready()
        }
    }
}

//! Looks at log files on a thread of their own: a disk that hangs holds the engine up for a moment,
//! and then not again until it answers.

use std::{
    sync::{
        OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// How long the engine waits for a disk: in pieces, so that a machine which stood still for a while
/// is not taken for a disk that hangs.
const PIECE: Duration = Duration::from_millis(20);
const PIECES: u32 = 10;
/// Looks that may wait for one that hangs; where one does, more are refused.
const MAX_WAITING: usize = 1;

type Look = Box<dyn FnOnce() + Send>;

/// What `look` finds; `None`: the disk hangs, this one or another.
pub(crate) fn look<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    static THREAD: OnceLock<Option<SyncSender<Look>>> = OnceLock::new();
    let looks = THREAD.get_or_init(start).as_ref()?;
    let (answer, answered) = sync_channel(1);
    // Whoever asked may have lost patience.
    let work = move || drop(answer.try_send(look()));
    looks.try_send(Box::new(work)).ok()?;
    (0..PIECES).find_map(|_| answered.recv_timeout(PIECE).ok())
}

fn start() -> Option<SyncSender<Look>> {
    let (sender, looks) = sync_channel::<Look>(MAX_WAITING);
    let run = move || looks.into_iter().for_each(|look| look());
    thread::Builder::new().name("disk".to_owned()).spawn(run).ok()?;
    Some(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_disk_that_hangs_is_not_waited_for_and_answers_again_later() {
        assert_eq!(look(|| 1), Some(1));
        let (goes_on, waits) = channel::<()>();
        let (at_work, works) = channel();
        let hang = move || {
            at_work.send(()).unwrap();
            waits.recv().unwrap_err();
        };
        assert_eq!(look(hang), None);
        works.recv().unwrap();
        let (done, queued) = channel();
        assert_eq!(look(move || done.send(()).unwrap()), None);
        assert_eq!(look(|| 2), None);
        drop(goes_on);
        queued.recv().unwrap();
        assert_eq!(look(|| 3), Some(3));
    }
}

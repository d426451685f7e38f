//! What a child tells its parent between fork and exec: one datagram each, and the closing of the
//! socket, by exec, as the last.

use super::{SpawnError, Stage};
use crate::fdpass;
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Kind, stage, error number.
const LENGTH: usize = 6;
const FILTER: u8 = 1;
const NO_FILTER: u8 = 2;
const FAILED: u8 = 3;

/// One report.
#[derive(Debug)]
pub(super) enum Report {
    /// The filter is installed; this is where its notifications come.
    Filter(OwnedFd),
    /// It was refused with this error number; the child goes on.
    NoFilter(i32),
    /// The child has given up.
    Failed(SpawnError),
    /// The program runs.
    Executed,
}

impl Report {
    /// Sends the child's half of it; `Executed` is never sent.
    pub(super) fn send(socket: impl AsFd, report: &Self) -> io::Result<()> {
        match report {
            Self::Filter(notify) => send(socket, FILTER, 0, 0, &[notify.as_fd()]),
            Self::NoFilter(errno) => send(socket, NO_FILTER, 0, *errno, &[]),
            Self::Failed(error) => send(socket, FAILED, code(error.stage), error.errno, &[]),
            Self::Executed => Ok(()),
        }
    }

    /// The next report.
    ///
    /// # Errors
    /// `WouldBlock`: none now. `InvalidData`: it was not a report, or its descriptor was lost.
    pub(super) fn receive(socket: impl AsFd) -> io::Result<Self> {
        let mut bytes = [0; LENGTH];
        let (length, mut fds) = fdpass::receive(socket, &mut bytes)?;
        let [kind, stage, errno @ ..] = bytes;
        let errno = i32::from_le_bytes(errno);
        match (length, kind, fds.pop()) {
            (0, _, None) => Ok(Self::Executed),
            (LENGTH, FILTER, Some(notify)) => Ok(Self::Filter(notify)),
            (LENGTH, NO_FILTER, None) => Ok(Self::NoFilter(errno)),
            (LENGTH, FAILED, None) => Ok(Self::Failed(SpawnError { stage: named(stage)?, errno })),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn send(
    socket: impl AsFd,
    kind: u8,
    stage: u8,
    errno: i32,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let [a, b, c, d] = errno.to_le_bytes();
    fdpass::send(socket, &[kind, stage, a, b, c, d], fds)
}

fn code(stage: Stage) -> u8 {
    match stage {
        Stage::Descriptors => 0,
        Stage::Fork => 1,
        Stage::Limits => 2,
        Stage::Filter => 3,
        Stage::Credentials => 4,
        Stage::Directory => 5,
        Stage::Exec => 6,
    }
}

fn named(code: u8) -> io::Result<Stage> {
    match code {
        0 => Ok(Stage::Descriptors),
        1 => Ok(Stage::Fork),
        2 => Ok(Stage::Limits),
        3 => Ok(Stage::Filter),
        4 => Ok(Stage::Credentials),
        5 => Ok(Stage::Directory),
        6 => Ok(Stage::Exec),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_the_way() {
        let (ours, theirs) = fdpass::pair(true).unwrap();
        for code in 0..=6 {
            let error = SpawnError { stage: named(code).unwrap(), errno: -7 };
            Report::send(&theirs, &Report::Failed(error)).unwrap();
            let received = Report::receive(&ours).unwrap();
            assert!(matches!(received, Report::Failed(same) if same == error), "{received:?}");
        }
        assert!(named(7).is_err());
    }

    #[test]
    fn the_filter_comes_with_its_descriptor_and_the_end_means_executed() {
        let (ours, theirs) = fdpass::pair(true).unwrap();
        let null = crate::pipe::null().unwrap();
        Report::send(&theirs, &Report::Filter(null)).unwrap();
        Report::send(&theirs, &Report::NoFilter(libc::EBUSY)).unwrap();
        assert!(matches!(Report::receive(&ours).unwrap(), Report::Filter(_)));
        assert!(matches!(Report::receive(&ours).unwrap(), Report::NoFilter(libc::EBUSY)));
        let nothing = Report::receive(&ours).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert!(matches!(Report::receive(&ours).unwrap(), Report::Executed));
    }
}

//! From a spec to a forked child: its pipes, its Node channel, its descriptors.

use crate::{
    activation::FIRST_FD,
    message::{Child, ChildId, SpawnStage},
    pipe_budget::{Grant, PipeBudget},
    spec::SpawnSpec,
};
use rpm_unix::{
    cgroup, fd, fdpass,
    limits::OpenFiles,
    pipe::{self, Pipe},
    spawn::{self, Baseline, Setup, SpawnError, Spawned, Stage, Starting},
};
use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Descriptors that stay free when spawns are refused: for the daemon's restart, for `/proc`, for
/// the answers to binds.
const RESERVE: i32 = 64;

/// What every spawn has in common.
#[derive(Debug)]
pub(crate) struct Spawner {
    null: OwnedFd,
    baseline: Baseline,
    pipes: PipeBudget,
    /// The first descriptor number that is not ours to use.
    limit: i32,
}

/// What the keeper keeps for a child beside its pidfd.
#[derive(Debug)]
pub(crate) struct Kept {
    stdout: OwnedFd,
    stderr: OwnedFd,
    channel: Option<OwnedFd>,
    /// What the pipes cost, until they are closed.
    _grants: [Option<Grant>; 2],
}

/// Why there is no child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: SpawnStage,
    pub(crate) errno: i32,
}

/// The ends of a Node channel: ours, and that of the program.
struct Channel {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Spawner {
    /// `baseline`: what programs get back of the limits we changed for ourselves.
    pub(crate) fn new(baseline: Baseline) -> io::Result<Self> {
        let limit = i32::try_from(OpenFiles::current()?.soft).unwrap_or(i32::MAX);
        let pipes = PipeBudget::of_this_process();
        Ok(Self { null: pipe::null()?, baseline, pipes, limit: limit - RESERVE })
    }

    /// What programs get back.
    pub(crate) fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Forks a child for this spec, which inherits these sockets, into this control group.
    pub(crate) fn start(
        &self,
        mut spec: SpawnSpec,
        sockets: &[OwnedFd],
        group: Option<&cgroup::Entry>,
    ) -> Result<(Starting, Kept), Failure> {
        let grants = [self.pipes.take(), self.pipes.take()];
        let [stdout, stderr] = grants
            .each_ref()
            .map(|grant| pipe::pipe(grant.as_ref().map(Grant::bytes)).map_err(no_descriptors));
        let (stdout, stderr) = (stdout?, stderr?);
        let channel = spec.channel.then(Channel::new).transpose().map_err(no_descriptors)?;
        self.check_room(&stderr, channel.as_ref())?;
        let mut inherited: Vec<_> = sockets.iter().map(AsFd::as_fd).zip(FIRST_FD..).collect();
        if let Some(channel) = &channel {
            // Sockets come first, wherever a program looks for them.
            let at = inherited.last().map_or(FIRST_FD, |(_, last)| last + 1);
            announce_channel(&mut spec.program.environment, at);
            inherited.extend([(channel.theirs.as_fd(), at), (channel.ours.as_fd(), at + 1)]);
        }
        // The program's own end is open for reading and writing, as those of its output are: it
        // never sees an end, and who has something to say opens it through /proc.
        let input = spec.input.then(|| pipe::pipe(Some(INPUT_BYTES))).transpose();
        let input = input.map_err(no_descriptors)?.map(|pipe| pipe.write);
        let input = input.as_ref().unwrap_or(&self.null);
        let starting = self.fork(
            &spec,
            [input.as_fd(), stdout.write.as_fd(), stderr.write.as_fd()],
            &inherited,
            group,
        )?;
        let channel = channel.map(|channel| channel.ours);
        let (stdout, stderr) = (stdout.read, stderr.read);
        Ok((starting, Kept { stdout, stderr, channel, _grants: grants }))
    }

    fn fork(
        &self,
        spec: &SpawnSpec,
        [input, output, error]: [BorrowedFd<'_>; 3],
        inherited: &[(BorrowedFd<'_>, i32)],
        group: Option<&cgroup::Entry>,
    ) -> Result<Starting, Failure> {
        let mut baseline = self.baseline;
        if let Some(files) = spec.limits.open_files {
            baseline.open_files = OpenFiles { soft: files, hard: files };
        }
        baseline.nice = spec.limits.nice;
        let setup = Setup {
            input,
            output,
            error,
            inherited,
            pid_variable: spec.activation.as_ref().map(|_| c"LISTEN_PID"),
            filter: spec.share.is_some(),
            group,
            baseline: &baseline,
        };
        Ok(spawn::start(&spec.program, &setup)?)
    }

    /// The kernel gives the lowest free number, so a high one means that most are taken.
    fn check_room(&self, pipe: &Pipe, channel: Option<&Channel>) -> Result<(), Failure> {
        let pipe = fd::number(&pipe.read).max(fd::number(&pipe.write));
        let highest = channel.map_or(pipe, |channel| pipe.max(fd::number(&channel.theirs)));
        if highest < self.limit {
            return Ok(());
        }
        Err(no_descriptors(io::Error::from_raw_os_error(EMFILE)))
    }
}

/// How much of what is said to a program may wait until it reads: as little as counts against the
/// user's budget for pipes and still holds a long line (traps A13).
const INPUT_BYTES: usize = 16 << 10;

/// "Too many open files", the same number on every Linux.
const EMFILE: i32 = 24;

impl Channel {
    fn new() -> io::Result<Self> {
        let (ours, theirs) = fdpass::stream_pair()?;
        fd::set_nonblocking(&ours, true)?;
        Ok(Self { ours, theirs })
    }
}

/// Tells a Node program where its channel is, in place of any other that the environment speaks of.
fn announce_channel(environment: &mut Vec<CString>, at: i32) {
    environment.retain(|entry| !entry.to_bytes().starts_with(b"NODE_CHANNEL_"));
    // A number has no zero byte.
    environment.extend(CString::new(format!("NODE_CHANNEL_FD={at}")));
    environment.push(c"NODE_CHANNEL_SERIALIZATION_MODE=json".to_owned());
}

fn no_descriptors(error: io::Error) -> Failure {
    Failure { stage: SpawnStage::Descriptors, errno: error.raw_os_error().unwrap_or(EMFILE) }
}

impl From<SpawnError> for Failure {
    fn from(error: SpawnError) -> Self {
        let stage = match error.stage {
            Stage::Descriptors => SpawnStage::Descriptors,
            Stage::Fork => SpawnStage::Fork,
            Stage::Limits => SpawnStage::Limits,
            Stage::Filter => SpawnStage::Filter,
            Stage::Credentials => SpawnStage::Credentials,
            Stage::Directory => SpawnStage::Directory,
            Stage::Exec => SpawnStage::Exec,
        };
        Self { stage, errno: error.errno }
    }
}

impl Kept {
    /// The child as the daemon is told of it.
    pub(crate) fn into_child(self, child: ChildId, spawned: Spawned) -> Child {
        Child {
            child,
            pid: spawned.pid,
            start_time: spawned.start_time,
            pidfd: spawned.pidfd,
            stdout: self.stdout,
            stderr: self.stderr,
            channel: self.channel,
            share: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_replaces_an_inherited_one() {
        let mut environment: Vec<CString> =
            ["A=1", "NODE_CHANNEL_FD=9", "NODE_OPTIONS=x", "NODE_CHANNEL_SERIALIZATION_MODE=y"]
                .map(|entry| CString::new(entry).unwrap())
                .to_vec();
        announce_channel(&mut environment, 5);
        let expected: Vec<CString> =
            ["A=1", "NODE_OPTIONS=x", "NODE_CHANNEL_FD=5", "NODE_CHANNEL_SERIALIZATION_MODE=json"]
                .map(|entry| CString::new(entry).unwrap())
                .to_vec();
        assert_eq!(environment, expected);
    }

    #[test]
    fn spawns_are_refused_while_some_descriptors_are_still_free() {
        let baseline = Baseline::capture().unwrap();
        let mut spawner = Spawner::new(baseline).unwrap();
        let stderr = pipe::pipe(None).unwrap();
        let highest = fd::number(&stderr.read).max(fd::number(&stderr.write));
        spawner.limit = highest + 1;
        assert_eq!(spawner.check_room(&stderr, None), Ok(()));
        spawner.limit = highest;
        let refused = Failure { stage: SpawnStage::Descriptors, errno: EMFILE };
        assert_eq!(spawner.check_room(&stderr, None), Err(refused));
    }
}

//! Another binary in this process's place: same pid, so all children stay ours, with all that is
//! kept (traps B13).
//!
//! The snapshot is a sealed memory file: the format's version, what a keeper has beside what it
//! keeps, and then the very requests by which a daemon would hand everything over, each with the
//! numbers of its descriptors. They stay open over exec. A binary that reads all of them can go on;
//! it is asked before ([`check_snapshot`]).

use crate::{
    children::Entry,
    codec::{Reader, WireError, Writer},
    keeper::{Keeper, SIGKILL},
    log::note,
    message::{Event, Request},
    ports::{Ports, record},
    ready::Ready,
    start::{Parts, furnish},
    wire::{self, MAX_MESSAGE, Packet},
};
use rpm_unix::{
    fd,
    home::Home,
    limits::OpenFiles,
    memfd, pipe, process, procfs,
    spawn::{Baseline, Filter, Spawned},
};
use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
};

/// The version of the file.
const FORMAT: u8 = 1;
/// The largest snapshot: some hundred bytes for each of tens of thousands of children and sockets.
const MAX_BYTES: usize = 64 << 20;
/// How many requests one has at most: [`wire`]'s bounds on children, their addresses, sockets and
/// names.
const MAX_REQUESTS: u32 = 1 << 20;
/// The role that continues.
const ROLE: &std::ffi::CStr = c"__resume";
/// "Invalid argument".
const EINVAL: i32 = 22;

/// What a keeper has beside what it keeps.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    baseline: Baseline,
    end_wanted: bool,
    /// The daemon's pid, and the descriptors link, socket, lock and the daemon's pidfd.
    daemon: i32,
    numbers: [RawFd; 4],
}

impl Keeper {
    pub(crate) fn tell_snapshot(&mut self) {
        let event = match self.snapshot().and_then(|(bytes, _)| memfd::seal(&bytes)) {
            Ok(file) => Event::Snapshot { file },
            Err(error) => Event::NotUpgraded { errno: error.raw_os_error().unwrap_or(EINVAL) },
        };
        self.tell(event);
    }

    /// Executes the wanted program as soon as no child is between fork and exec and the daemon has
    /// been told everything.
    pub(crate) fn upgrade_if_wanted(&mut self) {
        if self.upgrade.is_none() || self.children.any_starting() || !self.outbox.is_empty() {
            return;
        }
        let Some(program) = self.upgrade.take() else { return };
        let error = self.execute(&program);
        note(format_args!("cannot execute another keeper: {error}"));
        self.tell(Event::NotUpgraded { errno: error.raw_os_error().unwrap_or(EINVAL) });
    }

    /// Returns only why it failed; all is as before then.
    fn execute(&self, program: &OwnedFd) -> io::Error {
        let (bytes, kept) = match self.snapshot() {
            Ok(snapshot) => snapshot,
            Err(error) => return error,
        };
        let file = match memfd::seal(&bytes) {
            Ok(file) => file,
            Err(error) => return error,
        };
        let number = CString::new(fd::number(&file).to_string()).unwrap_or_default();
        let home = CString::new(self.home.root().as_os_str().as_bytes()).unwrap_or_default();
        let arguments = [c"rpm".to_owned(), ROLE.to_owned(), home, number];
        let all = || kept.iter().copied().chain([file.as_fd()]);
        let opened: io::Result<()> = all().try_for_each(|one| fd::set_cloexec(one, false));
        let error = match opened {
            Ok(()) => process::execute(program, &arguments),
            Err(error) => error,
        };
        for one in all() {
            // It was possible the other way round.
            let _ = fd::set_cloexec(one, true);
        }
        error
    }

    fn snapshot(&self) -> io::Result<(Vec<u8>, Vec<BorrowedFd<'_>>)> {
        let missing = || io::Error::from_raw_os_error(EINVAL);
        let link = self.link.as_ref().ok_or_else(missing)?;
        let daemon = self.daemon.running.as_ref().ok_or_else(missing)?;
        let mut kept: Vec<BorrowedFd<'_>> =
            [link, &self.daemon.rpc, &self.daemon.lock, &daemon.pidfd]
                .into_iter()
                .map(AsFd::as_fd)
                .collect();
        let head = Head {
            baseline: *self.spawner.baseline(),
            end_wanted: self.end_wanted,
            daemon: daemon.pid,
            numbers: [link, &self.daemon.rpc, &self.daemon.lock, &daemon.pidfd].map(fd::number),
        };
        let mut writer = Writer::default();
        writer.u8(FORMAT);
        head.write(&mut writer);
        let invalid = |error: WireError| io::Error::new(io::ErrorKind::InvalidData, error);
        let records: Vec<_> = self.ports.records().collect();
        let packets = self.packets(&records).map_err(invalid)?;
        writer.u32(u32::try_from(packets.len()).map_err(io::Error::other)?);
        for packet in packets {
            writer.bytes("request", &packet.bytes, MAX_MESSAGE).map_err(invalid)?;
            writer.u8(u8::try_from(packet.fds.len()).map_err(io::Error::other)?);
            packet.fds.iter().for_each(|one| writer.i32(fd::number(one)));
            kept.extend(packet.fds);
        }
        drop(records);
        Ok((writer.finish(), kept))
    }

    /// Everything as requests to a keeper that has nothing.
    fn packets<'a>(
        &'a self,
        records: &[(Vec<u8>, &'a OwnedFd)],
    ) -> Result<Vec<Packet<'a>>, WireError> {
        let mut all = Vec::new();
        for entry in self.children.executed() {
            let Entry { child, label, status, listening, .. } = entry;
            all.push(wire::adopt(child, label, *status, !listening.is_empty())?);
            for address in listening {
                all.push(wire::listened(child.child, address)?);
            }
        }
        let held = self.holder.all().map(|(name, fd)| wire::hold(name, fd));
        for (record, socket) in records {
            let socket: &'a OwnedFd = socket;
            all.push(wire::adopt_socket(record, socket.as_fd())?);
        }
        for one in held {
            all.push(one?);
        }
        let (slots, children) = self.ports.leaving();
        for owner in slots {
            all.push(wire::retire(owner)?);
        }
        for child in children {
            all.push(wire::relieve(child)?);
        }
        all.push(wire::adopted()?);
        Ok(all)
    }
}

impl Head {
    fn write(&self, writer: &mut Writer) {
        // Niceness is an app's wish, never the keeper's own.
        let Baseline { open_files, umask, oom_score_adj, nice: _ } = self.baseline;
        writer.u64(open_files.soft);
        writer.u64(open_files.hard);
        writer.u32(umask);
        writer.bool(oom_score_adj.is_some());
        writer.i32(oom_score_adj.unwrap_or(0));
        writer.bool(self.end_wanted);
        writer.i32(self.daemon);
        self.numbers.iter().for_each(|number| writer.i32(*number));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let open_files = OpenFiles { soft: reader.u64()?, hard: reader.u64()? };
        let umask = reader.u32()?;
        let (has_score, score) = (reader.bool("score")?, reader.i32()?);
        let oom_score_adj = has_score.then_some(score);
        let baseline = Baseline { open_files, umask, oom_score_adj, nice: None };
        let (end_wanted, daemon) = (reader.bool("end")?, reader.i32()?);
        let numbers = [reader.i32()?, reader.i32()?, reader.i32()?, reader.i32()?];
        Ok(Self { baseline, end_wanted, daemon, numbers })
    }
}

/// A request as it stands in a snapshot: its bytes, and the numbers of its descriptors.
type Part<'a> = (&'a [u8], Vec<RawFd>);

/// A snapshot taken apart.
fn parts(bytes: &[u8]) -> Result<(Head, Vec<Part<'_>>), WireError> {
    let mut reader = Reader::new(bytes);
    match reader.u8()? {
        FORMAT => {}
        version => return Err(WireError::Version(version)),
    }
    let head = Head::read(&mut reader)?;
    let count = reader.u32()?;
    if count > MAX_REQUESTS {
        return Err(WireError::TooLong { what: "snapshot", max: MAX_REQUESTS as usize });
    }
    let mut requests = Vec::new();
    for _ in 0..count {
        let bytes = reader.bytes("request", MAX_MESSAGE)?;
        let fds = reader.u8()?;
        let numbers: Result<Vec<_>, _> = (0..fds).map(|_| reader.i32()).collect();
        requests.push((bytes, numbers?));
    }
    reader.finish()?;
    Ok((head, requests))
}

/// Whether this program can go on from a snapshot that another one made.
///
/// # Errors
/// `InvalidData`: it cannot; the text says what it does not understand.
pub fn check_snapshot(file: impl AsFd) -> io::Result<()> {
    let bytes = memfd::read(file, MAX_BYTES)?;
    check(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
}

/// The outer error is that of the bytes, the inner one the system's.
fn check(bytes: &[u8]) -> Result<io::Result<()>, WireError> {
    let (_, requests) = parts(bytes)?;
    for (bytes, numbers) in requests {
        let fds: io::Result<Vec<_>> = numbers.iter().map(|_| pipe::null()).collect();
        let fds = match fds {
            Ok(fds) => fds,
            Err(error) => return Ok(Err(error)),
        };
        if let Request::AdoptSocket { record, .. } = wire::decode_request(bytes, fds)? {
            record::is_readable(&record)?;
        }
    }
    Ok(Ok(()))
}

/// The role that goes on after an upgrade: `rpm __resume HOME FD`. Call it first thing in a process
/// without other threads. Returns with the exit code of the process.
pub fn resume_main(home: &Home, file: RawFd) -> i32 {
    match resume(home, file) {
        Ok(keeper) => keeper.run_for(home),
        Err(error) => {
            // The daemon lives and starts a keeper that it tells everything.
            note(format_args!("cannot go on after the upgrade: {error}"));
            1
        }
    }
}

fn resume(home: &Home, file: RawFd) -> io::Result<Keeper> {
    let bytes = memfd::read(fd::adopt(file)?, MAX_BYTES)?;
    let invalid = |error: WireError| io::Error::new(io::ErrorKind::InvalidData, error);
    let (head, requests) = parts(&bytes).map_err(invalid)?;
    let [link, rpc, lock, pidfd] = head.numbers;
    let (link, rpc, lock) = (fd::adopt(link)?, fd::adopt(rpc)?, fd::adopt(lock)?);
    let pidfd = fd::adopt(pidfd)?;
    let (signals, spawner) = furnish(home, head.baseline).map_err(io::Error::other)?;
    let mut keeper = Parts { signals, spawner, lock, rpc }.into_keeper(home, Ready::told());
    let found = procfs::process(head.daemon);
    let start_time = found.map_or(0, |found| found.start_time);
    let daemon = Spawned { pid: head.daemon, pidfd, start_time, filter: Filter::None };
    keeper.take_over(link, Some(daemon))?;
    keeper.daemon.foster = found.is_none_or(|found| found.ppid != process::own());
    keeper.end_wanted = head.end_wanted;
    keeper.ports = Ports::awaiting();
    keeper.replay(requests).map_err(invalid)?;
    // It is of the former program.
    keeper.daemon.signal(SIGKILL);
    // Deaths of which the former program was not told any more.
    keeper.reap();
    Ok(keeper)
}

impl Keeper {
    fn replay(&mut self, requests: Vec<Part<'_>>) -> Result<(), WireError> {
        for (bytes, numbers) in requests {
            let fds: io::Result<Vec<_>> = numbers.into_iter().map(fd::adopt).collect();
            let fds = fds.map_err(|_| WireError::Descriptors)?;
            self.answer(wire::decode_request(bytes, fds)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_comes_back() {
        let open_files = OpenFiles { soft: 1024, hard: 4096 };
        let baseline = Baseline { open_files, umask: 0o22, oom_score_adj: Some(-3), nice: None };
        let head = Head { baseline, end_wanted: true, daemon: 7, numbers: [3, 4, 5, 6] };
        let mut writer = Writer::default();
        head.write(&mut writer);
        let bytes = writer.finish();
        assert_eq!(Head::read(&mut Reader::new(&bytes)).unwrap(), head);
    }

    /// Kept sample of format 1, as a running keeper made it for Node workers that share a port and
    /// some programs that do not: a later reader must still understand it.
    #[test]
    fn a_sample_of_this_format_is_read() {
        let bytes = include_bytes!("../../../tests/fixtures/formats/keeper-1.bin");
        check_snapshot(memfd::seal(bytes).unwrap()).unwrap();
        let (_, requests) = parts(bytes).unwrap();
        let tags: Vec<_> = requests.iter().map(|(bytes, _)| bytes[1]).collect();
        // Five children, two sockets, what the daemon holds, and the end.
        assert_eq!(tags.iter().filter(|tag| **tag == 14).count(), 5);
        assert_eq!(tags.iter().filter(|tag| **tag == 15).count(), 2);
        assert_eq!(tags.last(), Some(&16));
        for end in 0..bytes.len() {
            assert!(check_snapshot(memfd::seal(&bytes[..end]).unwrap()).is_err(), "{end}");
        }
    }

    #[test]
    fn other_formats_and_parts_are_refused() {
        for bytes in [&[][..], &[FORMAT], &[FORMAT + 1, 0], &[FORMAT; 64]] {
            let file = memfd::seal(bytes).unwrap();
            let error = check_snapshot(&file).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_changed_snapshot_panics_the_reader(
            bytes in rpm_corpus::changed(rpm_corpus::inputs("keeper")),
        ) {
            let _judged = check_snapshot(memfd::seal(&bytes).unwrap());
        }
    }
}

//! The daemon's part: it gives link, listener and lock to the test and does as it is told.

use rpm_keeper::{LINK_FD, LOCK_FD, RPC_FD};
use rpm_unix::{
    fd, fdpass,
    poll::{Entry, poll},
    signal::Signals,
};
use std::{
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
};

/// What is told when the descriptors are given away.
pub(crate) const GIVEN: u8 = b'G';
/// What is told when SIGTERM came.
pub(crate) const TERM: u8 = b'T';

/// The socket on which a test meets its daemons.
pub(crate) fn meeting_point(home: &Path) -> std::path::PathBuf {
    home.join("test.sock")
}

/// Exits with the code that the test sends, or when the test is gone.
pub(crate) fn run(home: &Path) -> ExitCode {
    let signals = Signals::block(&[libc_sigterm()]).unwrap();
    let mut test = UnixStream::connect(meeting_point(home)).unwrap();
    give(&test);
    // From here on the test alone has them.
    test.write_all(&[GIVEN]).unwrap();
    loop {
        let mut entries = [Entry::readable(test.as_fd()), Entry::readable(signals.as_fd())];
        poll(&mut entries, None).unwrap();
        let [told, signalled] = entries.map(|entry| entry.is_ready());
        if signalled && signals.next().unwrap().is_some() {
            test.write_all(&[TERM]).unwrap();
        }
        if told {
            let mut code = [0];
            let _count = test.read(&mut code).unwrap();
            return ExitCode::from(code[0]);
        }
    }
}

fn libc_sigterm() -> i32 {
    rpm_unix::signal::number("TERM").unwrap()
}

fn give(test: &UnixStream) {
    let all: Vec<OwnedFd> =
        [LINK_FD, RPC_FD, LOCK_FD].into_iter().map(|number| fd::adopt(number).unwrap()).collect();
    let borrowed: Vec<_> = all.iter().map(AsFd::as_fd).collect();
    fdpass::send(test, b"d", &borrowed).unwrap();
}

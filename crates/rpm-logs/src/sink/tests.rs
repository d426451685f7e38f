//! One file, its writers, and what others do to it.

use super::*;
use rpm_unix::pipe::{Pipe, pipe};
use std::os::unix::fs::PermissionsExt;

fn filled(bytes: &[u8]) -> Pipe {
    let pipe = pipe(None).unwrap();
    File::from(pipe.write.try_clone().unwrap()).write_all(bytes).unwrap();
    pipe
}

fn write(file: &LogFile, bytes: &[u8]) {
    let pipe = filled(bytes);
    assert!(matches!(file.take(pipe.read.as_fd(), 1 << 20), Outcome::Moved(n) if n == bytes.len()));
    assert!(matches!(file.take(pipe.read.as_fd(), 1 << 20), Outcome::Empty));
    drop(pipe.write);
    assert!(matches!(file.take(pipe.read.as_fd(), 1 << 20), Outcome::End));
}

#[test]
fn directories_and_file_are_the_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/out.log");
    write(&LogFile::open(&path, Rules::default()).unwrap(), b"first\n");
    write(&LogFile::open(&path, Rules::default()).unwrap(), b"second\n");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(std::fs::read(&path).unwrap(), b"first\nsecond\n");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&directory.path().join("a")), 0o700);
    assert_eq!(mode(&directory.path().join("a/b")), 0o700);
}

#[test]
fn a_truncated_file_starts_anew_without_a_hole_and_a_strangers_line_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    let file = LogFile::open(&path, Rules::default()).unwrap();
    write(&file, b"old\n");
    File::create(&path).unwrap();
    write(&file, b"new\n");
    assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"stranger\n").unwrap();
    write(&file, b"end\n");
    assert_eq!(std::fs::read(&path).unwrap(), b"new\nstranger\nend\n");
    assert_eq!(file.position().unwrap(), 17);
}

#[test]
fn a_rotated_file_is_noticed_and_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("out.log"), directory.path().join("out.log.1"));
    let file = LogFile::open(&path, Rules::default()).unwrap();
    assert!(!file.is_replaced().unwrap());
    std::fs::rename(&path, &old).unwrap();
    assert!(file.is_replaced().unwrap());
    write(&file, b"still old\n");
    File::create(&path).unwrap();
    assert!(file.is_replaced().unwrap());
    file.reopen().unwrap();
    assert!(!file.is_replaced().unwrap());
    write(&file, b"new\n");
    assert_eq!(std::fs::read(&old).unwrap(), b"still old\n");
    assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
}

#[test]
fn a_reopen_that_fails_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    let file = LogFile::open(&path, Rules::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    file.reopen().unwrap_err();
    write(&file, b"into the removed file\n");
}

#[test]
fn the_keepers_duplicate_goes_on_where_the_file_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    let file = LogFile::open(&path, Rules::default()).unwrap();
    write(&file, b"one\n");
    let kept = file.description().unwrap();
    drop(file);
    write(&LogFile::adopt(kept, &path).unwrap(), b"two\n");
    assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
}

#[test]
fn a_device_is_copied_to_and_a_pipe_without_reader_refused() {
    write(&LogFile::open("/dev/null", Rules::default()).unwrap(), b"gone\n");
    let pipe = filled(b"full\n");
    let full = LogFile::open("/dev/full", Rules::default()).unwrap().take(pipe.read.as_fd(), 100);
    assert!(matches!(full, Outcome::Failed { lost: 5, .. }), "{full:?}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = LogFile::open(&path, Rules::default()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ENXIO as i32));
}

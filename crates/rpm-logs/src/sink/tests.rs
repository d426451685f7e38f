//! One file, its writers, and what others do to it.

use super::*;
use crate::peek::Peek;
use rpm_unix::pipe::{Pipe, pipe};
use std::fs::File;
use std::{
    fs::OpenOptions,
    io::Write,
    os::{fd::AsFd, unix::fs::PermissionsExt},
};

fn filled(bytes: &[u8]) -> Pipe {
    let pipe = pipe(None).unwrap();
    File::from(pipe.write.try_clone().unwrap()).write_all(bytes).unwrap();
    pipe
}

fn take(file: &LogFile, pipe: &Pipe) -> Outcome {
    let mut peek = Peek::new().unwrap();
    file.take(pipe.read.as_fd(), Portion { limit: 1 << 20, unfinished: false, peek: &mut peek })
}

fn write(file: &LogFile, bytes: &[u8]) {
    let pipe = filled(bytes);
    assert!(matches!(take(file, &pipe), Outcome::Moved(n) if n == bytes.len()));
    assert!(matches!(take(file, &pipe), Outcome::Empty));
    let Pipe { read, write } = pipe;
    drop(write);
    let pipe = Pipe { read, write: rpm_unix::pipe::null().unwrap() };
    assert!(matches!(take(file, &pipe), Outcome::End));
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
}

#[test]
fn a_file_that_was_moved_is_left_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("out.log"), directory.path().join("out.log.1"));
    let file = LogFile::open(&path, Rules::default()).unwrap();
    std::fs::rename(&path, &old).unwrap();
    write(&file, b"still old\n");
    File::create(&path).unwrap();
    file.reopen().unwrap();
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
fn a_file_that_was_moved_or_removed_is_left_within_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    let file = LogFile::open(&path, Rules::default()).unwrap();
    write(&file, b"one\n");
    std::fs::remove_file(&path).unwrap();
    file.lock().open.as_mut().unwrap().look_at = 0;
    write(&file, b"two\n");
    assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
}

#[test]
fn a_write_that_was_begun_is_found_whole_or_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    let file = LogFile::open(&path, Rules::default()).unwrap();
    write(&file, b"before\n");
    let mut place = None;
    let note = |found| {
        place = Some(found);
        Ok(())
    };
    file.append(b"line\n", note).unwrap();
    let place = place.unwrap();
    assert_eq!(place.offset, 7);
    assert_eq!(file.has(place, 5), Some(true));
    assert_eq!(file.has(Place { inode: 0, ..place }, 5), None);
    assert_eq!(file.has(place, 6), Some(false));
    assert_eq!(std::fs::read(&path).unwrap(), b"before\n");
}

fn rules(max_size: u64) -> Rules {
    let plan = Plan {
        max_size: Some(max_size),
        keep: 99,
        max_total: None,
        compress: false,
        interval: None,
    };
    Rules { rotate: Some(plan), ..Rules::default() }
}

/// The contents of all files, oldest first.
fn contents(directory: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> =
        directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    paths.sort();
    paths.rotate_left(1);
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn take_all(file: &LogFile, bytes: &[u8]) {
    let pipe = filled(bytes);
    while matches!(take(file, &pipe), Outcome::Moved(_)) {}
}

#[test]
fn a_full_file_ends_with_a_line_and_only_a_longer_one_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let file = LogFile::open(directory.path().join("out.log"), rules(10)).unwrap();
    take_all(&file, b"12345\n12\n1\n123456789\n12345678901234\nx");
    let want = ["12345\n12\n", "1\n", "123456789\n", "1234567890", "1234\nx"];
    assert_eq!(contents(directory.path()), want);
}

#[test]
fn a_file_of_a_former_hour_is_put_away_before_the_next_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    std::fs::write(&path, "old\n").unwrap();
    let past = std::fs::FileTimes::new()
        .set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(7200));
    File::options().write(true).open(&path).unwrap().set_times(past).unwrap();
    let interval = Some("hourly".parse().unwrap());
    let plan = Plan { max_size: None, keep: 99, max_total: None, compress: false, interval };
    let rules = Rules { rotate: Some(plan), ..Rules::default() };
    let file = LogFile::open(&path, rules).unwrap();
    write(&file, b"new\n");
    write(&file, b"newer\n");
    assert_eq!(contents(directory.path()), ["old\n", "new\nnewer\n"]);
}

#[test]
fn a_device_is_copied_to_and_a_pipe_without_reader_refused() {
    write(&LogFile::open("/dev/null", Rules::default()).unwrap(), b"gone\n");
    let pipe = filled(b"full\n");
    let full = take(&LogFile::open("/dev/full", Rules::default()).unwrap(), &pipe);
    assert!(matches!(full, Outcome::Failed { lost: 5, .. }), "{full:?}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = LogFile::open(&path, Rules::default()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ENXIO as i32));
}

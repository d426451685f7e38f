//! The promise: the daemon is killed at any moment, and no log byte is lost or repeated (traps A7).

#![expect(clippy::unwrap_used, reason = "a test")]

use rpm_logs::sink::LogFile;
use rpm_unix::pipe::{Pipe, pipe};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

const KILLS: u64 = 100;

/// Cargo builds examples beside the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/pump")
}

fn start(pipe: &Pipe, file: &LogFile) -> Child {
    Command::new(example())
        .stdin(Stdio::from(pipe.read.try_clone().unwrap()))
        .stdout(Stdio::from(file.description().unwrap()))
        .spawn()
        .unwrap()
}

/// Writes numbered lines in pieces of changing size; says which kill is due after each of some
/// thousands of lines. It can only get so far because somebody reads: the pipe is small.
fn write_lines(pipe: File, due: &mpsc::SyncSender<()>) -> u64 {
    let mut writer = BufWriter::with_capacity(3_001, pipe);
    let (mut line, mut seed) = (0, 1_u64);
    for _ in 0..KILLS {
        // A fixed sequence, but without a rhythm.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        for _ in 0..20_000 + (seed >> 33) % 20_000 {
            writeln!(writer, "{line}").unwrap();
            line += 1;
        }
        due.send(()).unwrap();
    }
    writer.flush().unwrap();
    line
}

#[test]
fn a_hundred_kills_lose_and_repeat_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    let file = LogFile::open(&path).unwrap();
    let mut pipe = pipe(None).unwrap();
    let write = std::mem::replace(&mut pipe.write, rpm_unix::pipe::null().unwrap());
    let (due, kills) = mpsc::sync_channel(0);
    let writer = std::thread::spawn(move || write_lines(File::from(write), &due));
    let mut daemon = start(&pipe, &file);
    for () in kills {
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        daemon = start(&pipe, &file);
    }
    let written = writer.join().unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(written > KILLS * 20_000);
    let mut expected = 0;
    for line in BufReader::new(File::open(path).unwrap()).lines() {
        assert_eq!(line.unwrap(), expected.to_string());
        expected += 1;
    }
    assert_eq!(expected, written);
}

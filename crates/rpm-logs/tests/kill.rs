//! The promise: the daemon is killed at any moment, and no log byte is lost or repeated (traps A7):
//! straight into a file, by way of a transit, line by line with frames, into merged files, and
//! across rotations.

#![expect(clippy::unwrap_used, reason = "a test")]

use flate2::read::GzDecoder;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use rpm_logs::spool;
use rpm_unix::pipe::pipe;
use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::JoinHandle,
};

const KILLS: u64 = 100;

/// Cargo builds examples beside the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/pump")
}

/// What the keeper has: pipes, spools, and a daemon that it starts again.
struct World {
    mode: &'static str,
    directory: tempfile::TempDir,
    fds: Vec<OwnedFd>,
    writes: Vec<File>,
}

impl World {
    fn new(mode: &'static str, streams: usize) -> Self {
        let (mut fds, mut writes) = (Vec::new(), Vec::new());
        for _ in 0..streams {
            let ours = pipe(None).unwrap();
            let held =
                if mode == "flood" { rpm_logs::transit::create(64 << 10) } else { spool::create() };
            fds.extend([ours.read, held.unwrap()]);
            writes.push(ours.write.into());
        }
        for fd in &fds {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        }
        Self { mode, directory: tempfile::tempdir().unwrap(), fds, writes }
    }

    fn start(&self) -> Child {
        let numbers = self.fds.iter().map(|fd| fd.as_raw_fd().to_string());
        Command::new(example())
            .arg(self.mode)
            .arg(self.directory.path())
            .args(numbers)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Writes lines `NAME NUMBER`, killing the daemon all the while; how many of each stream.
    fn run(&mut self, lines_between: u64) -> Vec<u64> {
        let (due, kills) = mpsc::sync_channel(0);
        let writers: Vec<JoinHandle<u64>> = std::mem::take(&mut self.writes)
            .into_iter()
            .zip(["a", "b"])
            .map(|(pipe, name)| {
                let due = (name == "a").then(|| due.clone());
                std::thread::spawn(move || write_lines(pipe, name, lines_between, due))
            })
            .collect();
        drop(due);
        let mut daemon = self.start();
        for () in kills {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
            daemon = self.start();
        }
        let written = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        // Its standard input ends: it writes what is left and exits.
        drop(daemon.stdin.take());
        assert!(daemon.wait().unwrap().success());
        written
    }

    /// All of a log, rotated files first.
    fn text(&self, log: &str) -> String {
        let mut paths: Vec<PathBuf> = self
            .directory
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| is_of(path, log))
            .collect();
        // A file in work and its finished copy may both be there; the copy is removed then.
        paths.sort();
        let plain: Vec<PathBuf> = paths.iter().map(|path| path.with_extension("")).collect();
        paths.retain(|path| {
            path.extension().is_none_or(|end| end == "gz")
                || !plain.contains(path)
                || *path == self.directory.path().join(log)
        });
        // The log itself sorts first, and is the last.
        paths.rotate_left(1);
        paths.iter().map(|path| read(path)).collect()
    }
}

fn is_of(path: &Path, log: &str) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name == log || name.strip_prefix(log).is_some_and(|rest| rest.starts_with(".2"))
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).unwrap();
    if path.extension().is_some_and(|end| end == "gz") {
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        (&file).read_to_string(&mut text).unwrap();
    }
    text
}

/// Writes numbered lines in pieces of changing size; says which kill is due after each of some
/// thousands of lines. It can only get so far because somebody reads: the pipe is small.
fn write_lines(pipe: File, name: &str, between: u64, due: Option<mpsc::SyncSender<()>>) -> u64 {
    let mut writer = BufWriter::with_capacity(3_001, pipe);
    let (mut line, mut seed) = (0, 1_u64);
    for _ in 0..KILLS {
        // A fixed sequence, but without a rhythm.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        for _ in 0..between + (seed >> 33) % between {
            writeln!(writer, "{name} {line}").unwrap();
            line += 1;
        }
        if let Some(due) = &due {
            due.send(()).unwrap();
        }
    }
    writer.flush().unwrap();
    line
}

/// Each of `lines` once and in order.
fn expect<'a>(lines: impl Iterator<Item = &'a str>, name: &str, count: u64) {
    let mut expected = 0;
    for line in lines {
        assert_eq!(line, format!("{name} {expected}"));
        expected += 1;
    }
    assert_eq!(expected, count);
}

#[test]
fn a_hundred_kills_lose_and_repeat_nothing_across_rotations() {
    let mut world = World::new("raw", 1);
    let written = world.run(10_000);
    let files = world.directory.path().read_dir().unwrap().count();
    assert!(files > 6, "{files} files");
    expect(world.text("out.log").lines(), "a", written[0]);
}

#[test]
fn a_hundred_kills_lose_and_repeat_nothing_in_transit() {
    let mut world = World::new("flood", 1);
    let written = world.run(10_000);
    let files = world.directory.path().read_dir().unwrap().count();
    assert!(files > 6, "{files} files");
    expect(world.text("out.log").lines(), "a", written[0]);
}

#[test]
fn a_hundred_kills_lose_and_repeat_nothing_in_stamped_lines() {
    let mut world = World::new("stamped", 1);
    let written = world.run(5_000);
    let text = world.text("out.log");
    let lines = text.lines().map(|line| line.split_once(": ").unwrap().1);
    expect(lines, "a", written[0]);
}

#[test]
fn a_hundred_kills_lose_and_repeat_nothing_in_json_lines() {
    let mut world = World::new("json", 1);
    let written = world.run(3_000);
    let text = world.text("out.log");
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            object["message"].as_str().unwrap().to_owned()
        })
        .collect();
    expect(lines.iter().map(String::as_str), "a", written[0]);
}

#[test]
fn a_hundred_kills_lose_and_repeat_nothing_in_merged_files() {
    let mut world = World::new("merged", 2);
    let written = world.run(3_000);
    let both = world.text("both.log");
    for ((log, name), count) in [("out.log", "a"), ("error.log", "b")].into_iter().zip(written) {
        expect(world.text(log).lines(), name, count);
        expect(both.lines().filter(|line| line.starts_with(name)), name, count);
    }
}

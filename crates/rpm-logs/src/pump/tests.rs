//! Pumps against real pipes and files.

use super::*;
use nix::sys::memfd::{MFdFlags, memfd_create};
use rpm_unix::pipe::{Pipe, pipe};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::mpsc as sync,
};

fn log() -> (tempfile::TempDir, PathBuf, Arc<LogFile>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.log");
    let file = Arc::new(LogFile::open(&path).unwrap());
    (directory, path, file)
}

/// A file that takes not one more byte, as a full disk.
fn full() -> Arc<LogFile> {
    let flags = MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC;
    let memory = memfd_create("full", flags).unwrap();
    let seals = nix::fcntl::SealFlag::F_SEAL_GROW;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    Arc::new(LogFile::adopt(memory, "/nowhere/full").unwrap())
}

fn content(file: &LogFile) -> String {
    let mut text = String::new();
    let mut file = File::open(file.path()).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn every_byte_until_the_end() {
    let (_directory, path, file) = log();
    let Pipe { read, write } = pipe(None).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || File::from(write).write_all(&sent));
    let mut pump = Pump::new(read, Some(file)).unwrap().spawn();
    pump.ended().await.unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(pump.counters().written(), 3_000_000);
    assert_eq!(pump.counters().dropped(), 0);
    assert!(std::fs::read(path).unwrap() == bytes);
    assert_eq!(pump.drain_now().await.unwrap(), 0);
}

#[tokio::test]
async fn at_an_exit_what_the_pipe_holds_is_taken_without_its_end() {
    let (_directory, _, file) = log();
    let Pipe { read, write } = pipe(None).unwrap();
    let mut writer = File::from(write);
    let pump = Pump::new(read, Some(file.clone())).unwrap().spawn();
    writer.write_all(b"last words\n").unwrap();
    // The pump may have been faster; then there is nothing left to take.
    pump.drain_now().await.unwrap();
    assert_eq!(content(&file), "last words\n");
    assert_eq!(pump.counters().written(), 11);
    assert_eq!(pump.drain_now().await.unwrap(), 0);
    writer.write_all(b"of a grandchild\n").unwrap();
    pump.drain_now().await.unwrap();
    assert_eq!(content(&file), "last words\nof a grandchild\n");
}

#[tokio::test]
async fn a_drain_is_capped_by_the_pipes_capacity() {
    let (_directory, _, file) = log();
    let (read, write) = nix::unistd::pipe().unwrap();
    fcntl(&write, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut pump = Pump::new(read, Some(file)).unwrap();
    // A writer that never rests, until nobody reads.
    let writer = std::thread::spawn(move || {
        let mut writer = File::from(write);
        while writer.write_all(&[b'x'; 512]).is_ok() {}
    });
    pump.pipe.readable().await.unwrap();
    assert!(pump.drain_now().unwrap() < 2 * 4096);
    drop(pump);
    writer.join().unwrap();
}

#[tokio::test]
async fn a_full_disk_drops_and_counts_tells_once_and_recovers() {
    let (_directory, path, _) = log();
    let Pipe { read, write } = pipe(None).unwrap();
    let (told, troubles) = sync::channel();
    let file = full();
    let mut pump = Pump::new(read, Some(file.clone()))
        .unwrap()
        .on_trouble(move |trouble| told.send(trouble).unwrap());
    let mut writer = File::from(write);
    for _ in 0..3 {
        writer.write_all(b"dropped\n").unwrap();
        assert_eq!(pump.drain_now().unwrap(), 8);
    }
    assert_eq!((pump.counters.written(), pump.counters.dropped()), (0, 24));
    let Ok(Trouble::Dropping(error)) = troubles.try_recv() else { panic!("not told") };
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(troubles.try_recv().is_err());
    // Space is back.
    pump.file = Some(Arc::new(LogFile::open(&path).unwrap()));
    writer.write_all(b"written\n").unwrap();
    pump.drain_now().unwrap();
    assert!(matches!(troubles.try_recv(), Ok(Trouble::Recovered)));
    assert_eq!((pump.counters.written(), pump.counters.dropped()), (8, 24));
    assert_eq!(std::fs::read(path).unwrap(), b"written\n");
}

#[tokio::test]
async fn an_app_that_floods_a_full_disk_is_never_blocked() {
    let Pipe { read, write } = pipe(None).unwrap();
    let mut pump = Pump::new(read, Some(full())).unwrap().spawn();
    let writer = std::thread::spawn(move || File::from(write).write_all(&vec![b'x'; 4 << 20]));
    pump.ended().await.unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(pump.counters().dropped(), 4 << 20);
}

#[tokio::test]
async fn no_file_at_all_drains_too() {
    let Pipe { read, write } = pipe(None).unwrap();
    let mut pump = Pump::new(read, None).unwrap().spawn();
    let writer = std::thread::spawn(move || File::from(write).write_all(&vec![b'x'; 1 << 20]));
    pump.ended().await.unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!((pump.counters().written(), pump.counters().dropped()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pipes_share_a_file_without_writing_over_each_other() {
    let (_directory, _, file) = log();
    let mut pumps = Vec::new();
    let mut writers = Vec::new();
    for name in ["a", "b", "c"] {
        let Pipe { read, write } = pipe(None).unwrap();
        pumps.push(Pump::new(read, Some(file.clone())).unwrap().spawn());
        writers.push(std::thread::spawn(move || {
            let mut writer = File::from(write);
            (0..5_000).for_each(|i| writer.write_all(format!("{name}{i}\n").as_bytes()).unwrap());
        }));
    }
    for mut pump in pumps {
        pump.ended().await.unwrap();
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let text = content(&file);
    for name in ["a", "b", "c"] {
        let expected: Vec<String> = (0..5_000).map(|i| format!("{name}{i}")).collect();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(lines, expected);
    }
}

#[tokio::test]
async fn a_pump_wants_a_pipe() {
    let file = tempfile::tempfile().unwrap();
    let error = Pump::new(file.into(), None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn bytes_lost_while_copying_are_counted_too() {
    let Pipe { read, write } = pipe(None).unwrap();
    File::from(write.try_clone().unwrap()).write_all(b"12345").unwrap();
    let device = Arc::new(LogFile::open("/dev/full").unwrap());
    let mut pump = Pump::new(read, Some(device)).unwrap();
    assert_eq!(pump.drain_now().unwrap(), 5);
    assert_eq!((pump.counters.written(), pump.counters.dropped()), (0, 5));
}

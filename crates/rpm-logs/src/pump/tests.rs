//! Streams through lanes against real pipes and files.

use super::*;
use crate::{
    frame::{Frame, Source},
    lane::{Lanes, Stream, StreamHandle},
    rotate::plan::Plan,
    ship::Origin,
    sink::Rules,
};
use rpm_unix::pipe::{Pipe, pipe};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::mpsc as sync,
};

struct Fixture {
    directory: tempfile::TempDir,
    lanes: Lanes,
    troubles: sync::Receiver<Trouble>,
    alarm: sync::Sender<Trouble>,
}

impl Fixture {
    fn new() -> Self {
        let (alarm, troubles) = sync::channel();
        let directory = tempfile::tempdir().unwrap();
        Self { directory, lanes: Lanes::default(), troubles, alarm }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn stream(&self, pipe: OwnedFd, paths: &[&str]) -> Stream {
        let files = paths.iter().map(|name| (self.path(name), Rules::default())).collect();
        let alarm = self.alarm.clone();
        Stream {
            pipe,
            files,
            spool: None,
            transit: None,
            flood: None,
            frame: Frame::Raw,
            when_full: WhenFull::Drop,
            ship: Vec::new(),
            origin: Origin { app: "app".into(), id: 3, is_error: false },
            alarm: Box::new(move |trouble| drop(alarm.send(trouble))),
        }
    }

    fn spooled(&self, pipe: OwnedFd, paths: &[&str], frame: Frame) -> Stream {
        let spool = Some(crate::spool::create().unwrap());
        Stream { spool, frame, ..self.stream(pipe, paths) }
    }

    /// Raw, on one of its ways; files but the first only where there is a spool.
    fn raw(&self, way: Way, pipe: OwnedFd, paths: &[&str]) -> Stream {
        match way {
            Way::Direct => self.stream(pipe, &paths[..1]),
            Way::Transit => {
                let transit = Some(crate::transit::create(64 << 10).unwrap());
                Stream { transit, ..self.stream(pipe, &paths[..1]) }
            }
            Way::Spooled => self.spooled(pipe, paths, Frame::Raw),
        }
    }

    fn start(&mut self, stream: Stream) -> StreamHandle {
        self.lanes.start(stream).unwrap()
    }
}

/// How raw bytes come into a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Direct,
    Transit,
    Spooled,
}

const WAYS: [(&str, Way); 3] =
    [("direct.log", Way::Direct), ("transit.log", Way::Transit), ("spooled.log", Way::Spooled)];

fn json() -> Frame {
    Frame::Json(Source { app: "app".into(), id: 3, stream: "out", stamp: None })
}

fn writer(write: OwnedFd) -> File {
    write.into()
}

#[tokio::test]
async fn every_byte_in_every_mode_that_is_raw() {
    let mut fixture = Fixture::new();
    let long = "x".repeat(300_000);
    let mut bytes = format!("a\r\n\0\n{long}\n").into_bytes();
    bytes.extend(b"\xff\xfe\n\nno newline");
    for (name, way) in WAYS {
        let Pipe { read, write } = pipe(None).unwrap();
        let stream = fixture.raw(way, read, &[name, "both.log"]);
        let handle = fixture.start(stream);
        let sent = bytes.clone();
        let writing = std::thread::spawn(move || writer(write).write_all(&sent));
        tokio::task::spawn_blocking(move || writing.join().unwrap().unwrap()).await.unwrap();
        handle.finish().await;
        assert!(std::fs::read(fixture.path(name)).unwrap() == bytes, "{name}");
    }
    assert!(std::fs::read(fixture.path("both.log")).unwrap() == bytes);
}

#[tokio::test]
async fn at_an_exit_what_the_pipe_holds_is_taken_without_its_end() {
    let mut fixture = Fixture::new();
    let Pipe { read, write } = pipe(None).unwrap();
    let mut writer = writer(write);
    let stream = fixture.stream(read, &["out.log"]);
    let handle = fixture.start(stream);
    writer.write_all(b"last words").unwrap();
    assert_eq!(handle.drain().await, Drained { last: None });
    assert_eq!(fixture.text("out.log"), "last words");
    writer.write_all(b" of a grandchild\n").unwrap();
    handle.drain().await;
    assert_eq!(fixture.text("out.log"), "last words of a grandchild\n");
    assert_eq!(handle.counters().written(), 27);
    // Nobody ends the pipe, and the stream ends all the same.
    handle.finish().await;
}

#[tokio::test]
async fn last_lines_are_told_as_they_came() {
    let mut fixture = Fixture::new();
    let Pipe { read, write } = pipe(None).unwrap();
    let mut writer = writer(write);
    let stream = fixture.spooled(read, &["out.log"], json());
    let handle = fixture.start(stream);
    for number in 0..60 {
        writeln!(writer, "line {number}").unwrap();
    }
    writer.write_all(b"and half").unwrap();
    let last = handle.drain().await.last.unwrap();
    assert_eq!(last.len(), 50);
    assert_eq!((&last[0][..], &last[49][..]), (&b"line 11\n"[..], &b"and half"[..]));
    assert_eq!(fixture.text("out.log").lines().count(), 60);
    handle.finish().await;
    let text = fixture.text("out.log");
    assert!(text.lines().last().unwrap().starts_with("{\"message\":\"and half\","), "{text}");
    assert!(!text.contains("partial"), "{text}");
}

#[tokio::test]
async fn the_beginning_of_a_line_waits_a_second_and_is_marked() {
    let mut fixture = Fixture::new();
    let Pipe { read, write } = pipe(None).unwrap();
    let mut writer = writer(write);
    let stream = fixture.spooled(read, &["out.log"], json());
    let handle = fixture.start(stream);
    writer.write_all(b"progress 10 %").unwrap();
    let seen = wait_for(fixture.path("out.log")).await;
    assert!(seen.contains("\"progress 10 %\"") && seen.contains("\"partial\":true"), "{seen}");
    writer.write_all(b" done\n").unwrap();
    handle.finish().await;
    let text = fixture.text("out.log");
    assert!(text.lines().last().unwrap().starts_with("{\"message\":\" done\","), "{text}");
}

/// Waits until the file has something in it.
async fn wait_for(path: PathBuf) -> String {
    let directory = path.parent().map(Path::to_owned).unwrap();
    let inotify = inotify::Inotify::init().unwrap();
    let mask = inotify::WatchMask::MODIFY | inotify::WatchMask::CREATE;
    inotify.watches().add(directory, mask).unwrap();
    let mut events = inotify.into_event_stream([0; 4096]).unwrap();
    loop {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        if !found.is_empty() {
            return found;
        }
        futures_util::StreamExt::next(&mut events).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_drops_counts_and_never_blocks_the_app() {
    let mut fixture = Fixture::new();
    for spool in [false, true] {
        let Pipe { read, write } = pipe(None).unwrap();
        let rules = Rules::default();
        let mut stream = match spool {
            false => fixture.stream(read, &[]),
            true => fixture.spooled(read, &[], json()),
        };
        stream.files = vec![("/dev/full".into(), rules)];
        let handle = fixture.start(stream);
        let line = [vec![b'x'; 99], b"\n".to_vec()].concat();
        let flood = line.repeat(40_000);
        let writing = std::thread::spawn(move || writer(write).write_all(&flood));
        tokio::task::spawn_blocking(move || writing.join().unwrap().unwrap()).await.unwrap();
        handle.drain().await;
        assert!(handle.counters().is_troubled());
        let Ok(Trouble::Dropping(error)) = fixture.troubles.recv() else { panic!("not told") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(fixture.troubles.try_recv().is_err());
        while handle.counters().dropped() < 4_000_000 {
            handle.drain().await;
        }
        assert_eq!((handle.counters().written(), handle.counters().dropped()), (0, 4_000_000));
        handle.finish().await;
    }
}

#[tokio::test]
async fn a_disk_that_lets_the_app_wait_loses_nothing_and_goes_on_when_it_has_room() {
    let mut fixture = Fixture::new();
    for (name, way) in WAYS {
        let Pipe { read, write } = pipe(None).unwrap();
        let mut writer = writer(write);
        // A directory in the way is a file that cannot be opened.
        std::fs::create_dir(fixture.path(name)).unwrap();
        let stream = fixture.raw(way, read, &[name]);
        let handle = fixture.start(Stream { when_full: WhenFull::Block, ..stream });
        assert!(matches!(fixture.troubles.recv(), Ok(Trouble::Blocked(_))));
        writer.write_all(b"kept\n").unwrap();
        handle.drain().await;
        assert_eq!((handle.counters().written(), handle.counters().dropped()), (0, 0));
        std::fs::remove_dir(fixture.path(name)).unwrap();
        handle.finish().await;
        assert_eq!(fixture.text(name), "kept\n");
    }
}

/// It writes until it was asked for a transit, gives one, and writes on.
#[tokio::test]
async fn a_stream_that_floods_asks_once_and_every_byte_is_there() {
    const NUMBERS: u64 = 8 << 10;
    let mut fixture = Fixture::new();
    let Pipe { read, write } = pipe(None).unwrap();
    let (asks, asked) = sync::channel();
    let flood: Flood = Box::new(move |held, answer| asks.send((held, answer)).unwrap());
    let stream = Stream { flood: Some(flood), ..fixture.stream(read, &["out.log"]) };
    let handle = fixture.start(stream);
    let writing = std::thread::spawn(move || {
        let mut writer = writer(write);
        let mut blocks = 0;
        let mut write = |more: u64| {
            for block in blocks..blocks + more {
                let numbers = (0..NUMBERS).map(|number| block * NUMBERS + number);
                let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
                writer.write_all(&bytes).unwrap();
            }
            blocks += more;
            blocks
        };
        let answer = loop {
            write(1);
            if let Ok((_held, answer)) = asked.try_recv() {
                break answer;
            }
        };
        answer.send(()).unwrap();
        let blocks = write(99);
        assert_eq!(asked.try_recv().err(), Some(sync::TryRecvError::Disconnected));
        blocks * NUMBERS
    });
    let written = tokio::task::spawn_blocking(move || writing.join().unwrap()).await.unwrap();
    handle.finish().await;
    let bytes = std::fs::read(fixture.path("out.log")).unwrap();
    let numbers = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    assert!(numbers.eq(0..written));
}

/// A stream that is spooled today may have left bytes in transit yesterday.
#[tokio::test]
async fn what_a_predecessor_left_in_transit_comes_first_on_every_way() {
    let mut fixture = Fixture::new();
    for (name, way) in WAYS {
        let Pipe { read, write } = pipe(None).unwrap();
        let transit = crate::transit::create(64 << 10).unwrap();
        File::from(transit.try_clone().unwrap()).write_all(b"first\n").unwrap();
        let mut writer = writer(write);
        writer.write_all(b"then\n").unwrap();
        let stream = Stream { transit: Some(transit), ..fixture.raw(way, read, &[name]) };
        fixture.start(stream).finish().await;
        assert_eq!(fixture.text(name), "first\nthen\n", "{name}");
    }
}

#[tokio::test]
async fn several_pipes_in_one_file_give_whole_lines() {
    let mut fixture = Fixture::new();
    let mut handles = Vec::new();
    let mut writers = Vec::new();
    for name in ["a", "b", "c"] {
        let Pipe { read, write } = pipe(None).unwrap();
        let way = if name == "b" { Way::Transit } else { Way::Direct };
        let stream = fixture.raw(way, read, &["out.log"]);
        handles.push(fixture.start(stream));
        writers.push(std::thread::spawn(move || {
            let mut writer = writer(write);
            for i in 0..2_000 {
                // In pieces, and longer than what a pipe takes as one.
                let line = format!("{name} {i} {}\n", name.repeat(i % 7000));
                let (one, two) = line.split_at(line.len() / 2);
                writer.write_all(one.as_bytes()).unwrap();
                writer.write_all(two.as_bytes()).unwrap();
            }
        }));
    }
    let join = move || writers.into_iter().for_each(|writer| writer.join().unwrap());
    tokio::task::spawn_blocking(join).await.unwrap();
    for handle in handles {
        handle.finish().await;
    }
    let text = fixture.text("out.log");
    for name in ["a", "b", "c"] {
        let lines = text.lines().filter(|line| line.starts_with(name));
        let expected = (0..2_000).map(|i| format!("{name} {i} {}", name.repeat(i % 7000)));
        assert!(lines.eq(expected), "{name}");
    }
    assert_eq!(text.lines().count(), 6_000);
}

#[tokio::test]
async fn twenty_rotations_have_every_line_once_and_no_file_is_too_large() {
    let mut fixture = Fixture::new();
    for (name, way) in WAYS {
        let Pipe { read, write } = pipe(Some(1 << 20)).unwrap();
        let stream = fixture.raw(way, read, &[name]);
        let plan = Plan {
            max_size: Some(1 << 20),
            keep: 1000,
            max_total: None,
            compress: false,
            interval: None,
        };
        let rules = Rules { rotate: Some(plan), ..Rules::default() };
        let files = vec![(fixture.path(name), rules)];
        let handle = fixture.start(Stream { files, ..stream });
        let writing = std::thread::spawn(move || {
            let mut writer = std::io::BufWriter::with_capacity(50_000, writer(write));
            (0..250_000).for_each(|number| writeln!(writer, "{number:0>99}").unwrap());
            writer.flush().unwrap();
        });
        tokio::task::spawn_blocking(move || writing.join().unwrap()).await.unwrap();
        handle.finish().await;
        let mut files: Vec<PathBuf> = fixture
            .directory
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name))
            .collect();
        files.sort();
        files.rotate_left(1);
        assert!(files.len() > 20, "{}", files.len());
        let mut next = 0;
        for path in &files {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.len() <= 1 << 20 && text.ends_with('\n'), "{}", path.display());
            for line in text.lines() {
                assert_eq!(line, format!("{next:0>99}"));
                next += 1;
            }
        }
        assert_eq!(next, 250_000, "{name}");
    }
}

/// Bytes of the files in a directory but for indexes; one that is being renamed counts once.
fn bytes_in(directory: &std::path::Path) -> u64 {
    let entries = directory.read_dir().unwrap().filter_map(|entry| entry.ok());
    let logs = entries.filter(|entry| !entry.path().to_string_lossy().ends_with(".times"));
    let sizes = logs.filter_map(|entry| entry.metadata().ok());
    let sizes: std::collections::BTreeMap<u64, u64> =
        sizes.map(|file| (std::os::unix::fs::MetadataExt::ino(&file), file.len())).collect();
    sizes.values().sum()
}

#[tokio::test]
async fn a_total_is_never_exceeded_while_files_are_written_rotated_and_compressed() {
    const TOTAL: u64 = 2 << 20;
    for spool in [false, true] {
        let mut fixture = Fixture::new();
        let Pipe { read, write } = pipe(Some(64 << 10)).unwrap();
        let stream = match spool {
            false => fixture.stream(read, &["out.log"]),
            true => fixture.spooled(read, &["out.log"], json()),
        };
        let plan = Plan {
            max_size: None,
            keep: 1000,
            max_total: Some(TOTAL),
            compress: true,
            interval: None,
        };
        let rules = Rules { rotate: Some(plan), ..Rules::default() };
        let files = vec![(fixture.path("out.log"), rules)];
        let handle = fixture.start(Stream { files, ..stream });
        let directory = fixture.directory.path().to_owned();
        let writing = std::thread::spawn(move || {
            let mut writer = std::io::BufWriter::with_capacity(50_000, writer(write));
            let mut most = 0;
            let mut noise = 1_u64;
            for number in 0..100_000 {
                // Not to be compressed to nothing.
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                writeln!(writer, "{number} {noise:x}{:x}", noise.rotate_left(17)).unwrap();
                if number % 500 == 0 {
                    most = most.max(bytes_in(&directory));
                }
            }
            most
        });
        let most = tokio::task::spawn_blocking(move || writing.join().unwrap()).await.unwrap();
        handle.finish().await;
        let most = most.max(bytes_in(fixture.directory.path()));
        assert!(most <= TOTAL && most > TOTAL / 3, "{most} {spool}");
    }
}

#[tokio::test]
async fn a_reopened_log_goes_on_in_a_new_file_and_a_stream_without_files_is_drained() {
    let mut fixture = Fixture::new();
    let Pipe { read, write } = pipe(None).unwrap();
    let mut first = writer(write);
    let stream = fixture.stream(read, &["out.log"]);
    let handle = fixture.start(stream);
    first.write_all(b"old\n").unwrap();
    handle.drain().await;
    std::fs::rename(fixture.path("out.log"), fixture.path("moved")).unwrap();
    assert!(fixture.lanes.reopen().await.is_empty());
    first.write_all(b"new\n").unwrap();
    handle.finish().await;
    assert_eq!((fixture.text("moved"), fixture.text("out.log")), ("old\n".into(), "new\n".into()));
    let Pipe { read, write } = pipe(None).unwrap();
    let stream = fixture.stream(read, &[]);
    let handle = fixture.start(stream);
    let writing = std::thread::spawn(move || writer(write).write_all(&vec![b'x'; 1 << 20]));
    tokio::task::spawn_blocking(move || writing.join().unwrap().unwrap()).await.unwrap();
    handle.finish().await;
}

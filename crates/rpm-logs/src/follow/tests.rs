//! A follower against files that are written, truncated and rotated.

use super::*;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    time::Duration,
};

struct Logs {
    directory: tempfile::TempDir,
}

impl Logs {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn follow(&self, names: &[&str]) -> Follower {
        let source = |name: &&str| Source { path: self.path(name), from: Start::End };
        Follower::new(names.iter().map(source).collect()).unwrap()
    }
}

async fn next(follower: &mut Follower) -> (usize, String, bool) {
    let line = tokio::time::timeout(Duration::from_secs(30), follower.next()).await;
    let Line { source, text, ends } = line.expect("no line came").unwrap();
    (source, String::from_utf8(text).unwrap(), ends)
}

async fn expect(follower: &mut Follower, lines: &[(usize, &str)]) {
    for (source, text) in lines {
        assert_eq!(next(follower).await, (*source, (*text).to_owned(), true));
    }
}

#[tokio::test]
async fn lines_come_as_they_are_completed() {
    let logs = Logs::new();
    logs.append("a.log", b"before\nhal");
    logs.append("b.log", b"before\n");
    let mut follower = logs.follow(&["a.log", "b.log"]);
    logs.append("a.log", b"f\n");
    expect(&mut follower, &[(0, "f")]).await;
    logs.append("b.log", b"one\r\n\ntwo\n");
    expect(&mut follower, &[(1, "one\r"), (1, ""), (1, "two")]).await;
    logs.append("a.log", b"begin ");
    logs.append("b.log", b"three\n");
    expect(&mut follower, &[(1, "three")]).await;
    logs.append("a.log", b"end\n");
    expect(&mut follower, &[(0, "begin end")]).await;
}

#[tokio::test]
async fn history_and_following_meet_without_gap_or_repetition() {
    let logs = Logs::new();
    logs.append("a.log", b"1\n2\n3");
    let query = history::Query::default();
    let mut past = history::History::open(&logs.path("a.log"), query).unwrap();
    logs.append("a.log", b"3\n4\n");
    let lines: Vec<_> = std::iter::from_fn(|| past.next_line().unwrap()).collect();
    let texts: Vec<_> = lines.into_iter().map(|line| line.text).collect();
    assert_eq!(texts, [b"1".to_vec(), b"2".to_vec()]);
    let (file, offset) = past.into_end().unwrap();
    let from = Start::At(file, offset);
    let mut follower = Follower::new(vec![Source { path: logs.path("a.log"), from }]).unwrap();
    expect(&mut follower, &[(0, "33"), (0, "4")]).await;
}

#[tokio::test]
async fn a_file_that_comes_later_is_read_from_its_beginning() {
    let logs = Logs::new();
    let mut follower = logs.follow(&["later.log"]);
    logs.append("other.log", b"not asked for\n");
    logs.append("later.log", b"first\n");
    expect(&mut follower, &[(0, "first")]).await;
    logs.append("later.log", b"second\n");
    expect(&mut follower, &[(0, "second")]).await;
}

#[tokio::test]
async fn a_flush_is_followed_and_its_unfinished_line_told() {
    let logs = Logs::new();
    logs.append("a.log", b"0123456789\n");
    let mut follower = logs.follow(&["a.log"]);
    logs.append("a.log", b"one\nunfinished");
    expect(&mut follower, &[(0, "one")]).await;
    File::create(logs.path("a.log")).unwrap();
    assert_eq!(next(&mut follower).await, (0, "unfinished".to_owned(), false));
    logs.append("a.log", b"anew\n");
    expect(&mut follower, &[(0, "anew")]).await;
}

#[tokio::test]
async fn a_rotation_loses_nothing_even_if_the_old_file_is_still_written() {
    let logs = Logs::new();
    logs.append("a.log", b"");
    let mut follower = logs.follow(&["a.log"]);
    for round in 0..2 * MAX_PREVIOUS {
        let old = format!("a.log.{round}");
        logs.append("a.log", b"last\n");
        std::fs::rename(logs.path("a.log"), logs.path(&old)).unwrap();
        logs.append("a.log", b"new\n");
        expect(&mut follower, &[(0, "last"), (0, "new")]).await;
        logs.append(&old, b"late\n");
        expect(&mut follower, &[(0, "late")]).await;
    }
    // A file moved into place, as editors and logrotate's copies do.
    logs.append("moved.log", b"moved\n");
    std::fs::rename(logs.path("moved.log"), logs.path("a.log")).unwrap();
    expect(&mut follower, &[(0, "moved")]).await;
    std::fs::remove_file(logs.path("a.log")).unwrap();
    logs.append("a.log", b"again\n");
    expect(&mut follower, &[(0, "again")]).await;
}

#[tokio::test]
async fn files_that_were_rotated_while_nobody_looked_are_read_in_order() {
    let logs = Logs::new();
    logs.append("a.log", b"0\n");
    let file = File::open(logs.path("a.log")).unwrap();
    for round in 1..=6 {
        logs.append("a.log", b"begin");
        std::fs::rename(logs.path("a.log"), logs.path(&format!("a.log.{round}"))).unwrap();
        logs.append("a.log", format!("ning\n{round}\n").as_bytes());
    }
    let packed = File::create(logs.path("a.log.3.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    encoder.write_all(&std::fs::read(logs.path("a.log.3")).unwrap()).unwrap();
    let packed = encoder.finish().unwrap();
    let changed = logs.path("a.log.3").metadata().unwrap().modified().unwrap();
    packed.set_modified(changed).unwrap();
    std::fs::remove_file(logs.path("a.log.3")).unwrap();
    let source = Source { path: logs.path("a.log"), from: Start::At(file, 0) };
    let mut follower = Follower::new(vec![source]).unwrap();
    expect(&mut follower, &[(0, "0")]).await;
    for round in ["1", "2", "3", "4", "5", "6"] {
        expect(&mut follower, &[(0, "beginning"), (0, round)]).await;
    }
    assert_eq!(follower.given_up(), 0);
}

#[tokio::test]
async fn a_reader_slower_than_rotation_gives_up_the_oldest() {
    let logs = Logs::new();
    logs.append("a.log", b"0\n");
    let file = File::open(logs.path("a.log")).unwrap();
    for round in 1..=MAX_UNREAD + 3 {
        std::fs::rename(logs.path("a.log"), logs.path(&format!("a.log.{round:02}"))).unwrap();
        logs.append("a.log", format!("{round}\n").as_bytes());
    }
    let source = Source { path: logs.path("a.log"), from: Start::At(file, 0) };
    let mut follower = Follower::new(vec![source]).unwrap();
    expect(&mut follower, &[(0, "3")]).await;
    assert_eq!(follower.given_up(), 3);
}

#[tokio::test]
async fn a_long_line_comes_in_marked_pieces_and_starves_nobody() {
    let logs = Logs::new();
    logs.append("a.log", b"");
    logs.append("b.log", b"");
    let mut follower = logs.follow(&["a.log", "b.log"]);
    logs.append("a.log", &vec![b'x'; (1 << 20) + 5]);
    logs.append("b.log", b"short\n");
    expect(&mut follower, &[(1, "short")]).await;
    let (source, text, ends) = next(&mut follower).await;
    assert_eq!((source, text.len(), ends), (0, 1 << 20, false));
    logs.append("a.log", b"\n");
    expect(&mut follower, &[(0, "xxxxx")]).await;
}

#[tokio::test]
async fn one_file_followed_twice() {
    let logs = Logs::new();
    logs.append("a.log", b"");
    let mut follower = logs.follow(&["a.log", "a.log"]);
    for _ in 0..3 {
        logs.append("a.log", b"both\n");
        let mut sources = [next(&mut follower).await.0, next(&mut follower).await.0];
        sources.sort_unstable();
        assert_eq!(sources, [0, 1]);
    }
}

#[tokio::test]
async fn a_directory_that_does_not_exist_is_an_error() {
    let source = Source { path: "/nowhere/a.log".into(), from: Start::End };
    let error = Follower::new(vec![source]).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

//! What has to go where logs have more than they may, and what each may have.

use super::*;
use std::{fs::File, sync::atomic::AtomicU64};

const KIB: u64 = 1024;

fn plan(max_total: Option<u64>) -> Plan {
    Plan { max_size: Some(64 * KIB), keep: 100, max_total, compress: true, interval: None }
}

/// A rotated file of `log` of this many KiB, on the disk.
fn rotate(log: &Path, second: u64, kib: u64) -> Kept {
    let name = format!("{}.2026-11-21_10-00-{second:02}.000", log.display());
    let path = PathBuf::from(name);
    File::create(&path).unwrap().set_len(kib * KIB).unwrap();
    let (_, rotated) = Rotated::split(path.to_str().unwrap()).unwrap();
    Kept { rotated, path, bytes: kib * KIB }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_oldest_of_an_app_go_whichever_log_they_are_of() {
    let directory = tempfile::tempdir().unwrap();
    let log = |name: &str| directory.path().join(name);
    let (out, error, other) = (log("a-out.log"), log("a-error.log"), log("b-out.log"));
    let totals = Totals::default();
    let limited = plan(Some(800 * KIB));
    totals.join(&other, "b", &plan(None), vec![rotate(&other, 0, 500)]);
    totals.join(&out, "a", &limited, vec![rotate(&out, 1, 100), rotate(&out, 4, 100)]);
    totals.join(&error, "a", &limited, vec![rotate(&error, 2, 100), rotate(&error, 3, 100)]);
    assert_eq!(totals.share(&out), Some(64 * KIB));
    assert_eq!(names(directory.path()).len(), 5);
    // Two files of 64 that grow, 150 that come and a copy of them, 400 that are kept.
    let all = || vec![rotate(&out, 1, 100), rotate(&out, 4, 100)];
    assert!(totals.replace(&out, all(), 150 * KIB));
    assert_eq!(names(directory.path()).len(), 4);
    let want = [
        "a-error.log.2026-11-21_10-00-02.000",
        "a-error.log.2026-11-21_10-00-03.000",
        "a-out.log.2026-11-21_10-00-04.000",
        "b-out.log.2026-11-21_10-00-00.000",
    ];
    assert_eq!(names(directory.path()), want);
    // What has no room at all is not kept, and its app has nothing else then.
    assert!(!totals.replace(&out, vec![rotate(&out, 4, 100)], 700 * KIB));
    assert_eq!(names(directory.path()), ["b-out.log.2026-11-21_10-00-00.000"]);
}

#[test]
fn files_that_grow_have_a_quarter_however_many_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let totals = Totals::default();
    let log = |number: u32| directory.path().join(format!("a-out-{number}.log"));
    for number in 0..4 {
        totals.join(&log(number), "a", &plan(Some(400 * KIB)), Vec::new());
    }
    assert_eq!(totals.share(&log(0)), Some(25 * KIB));
    let before = totals.generation();
    totals.leave(&log(1), 5 * KIB);
    assert_ne!(totals.generation(), before);
    assert_eq!(totals.share(&log(0)), Some(100 * KIB / 3));
    (4..100).for_each(|n| totals.join(&log(n), "a", &plan(Some(400 * KIB)), Vec::new()));
    assert_eq!(totals.share(&log(0)), Some(MIN_SIZE));
}

#[test]
fn all_logs_have_a_limit_that_may_change_and_deleted_apps_count() {
    let directory = tempfile::tempdir().unwrap();
    let log = |name: &str| directory.path().join(name);
    let (old, ours) = (log("old-out.log"), log("our-out.log"));
    File::create(&old).unwrap().set_len(100 * KIB).unwrap();
    rotate(&old, 1, 100);
    rotate(&old, 2, 100);
    let limit = Arc::new(AtomicU64::new(0));
    let asked = limit.clone();
    let limit_of_all = move || Some(asked.load(Relaxed)).filter(|limit| *limit > 0);
    let totals = Totals::new(Box::new(limit_of_all), directory.path().to_owned());
    totals.join(&ours, "our", &plan(None), vec![rotate(&ours, 3, 100)]);
    assert_eq!((names(directory.path()).len(), totals.share(&ours)), (4, Some(64 * KIB)));
    // Twice 64 for ours, 300 that are kept.
    limit.store(350 * KIB, Relaxed);
    assert!(totals.replace(&ours, vec![rotate(&ours, 3, 100)], 0));
    let want = [
        "old-out.log",
        "old-out.log.2026-11-21_10-00-02.000",
        "our-out.log.2026-11-21_10-00-03.000",
    ];
    assert_eq!(names(directory.path()), want);
    limit.store(120 * KIB, Relaxed);
    totals.replace(&ours, vec![rotate(&ours, 3, 100)], 0);
    assert_eq!((names(directory.path()).len(), totals.share(&ours)), (1, Some(30 * KIB)));
}

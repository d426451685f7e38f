//! A reboot: every process is gone, what stood in `/run` too, and `resurrect` is all that is typed.

use crate::harness::{App, Home, LIMIT, Process, get, pids_answering, port};
use std::{fs, path::PathBuf};

/// Kills everything at once as a power cut does, and removes what is not on a disk.
fn power_cut(home: &Home) {
    let all = home.processes();
    // Nobody starts anybody again: first all stand still.
    all.iter().for_each(|process| process.freeze());
    all.iter().for_each(|process| process.kill());
    assert!(all.iter().all(|process| process.ends_within(LIMIT)));
    assert_eq!(home.processes(), []);
    let hash = rpm_unix::home::Home::new(home.path()).hash();
    for run in [PathBuf::from(format!("/run/rpm-0-{hash}")), home.path().join("run")] {
        // As root the one, else the other, or none where XDG_RUNTIME_DIR is set.
        let _absent = fs::remove_dir_all(run);
    }
}

fn states(apps: &[App]) -> Vec<(&str, &str, u64)> {
    apps.iter().map(|app| (app.name(), app.status(), app.slot())).collect()
}

#[test]
fn exactly_what_was_online_comes_back_online_and_what_was_stopped_stopped() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "3", port);
    home.copy("ticker.js");
    for name in ["still", "quiet", "later"] {
        home.rpm(["start", "ticker.js", "--name", name]).success();
    }
    home.rpm(["stop", "still"]).success();
    // One slot of three is wanted down.
    home.rpm(["stop", "1"]).success();
    home.rpm(["delete", "later"]).success();
    home.rpm(["save"]).success();
    let before = home.jlist();
    // What comes after the save is not wanted.
    home.rpm(["start", "ticker.js", "--name", "unsaved"]).success();
    power_cut(&home);
    home.rpm(["resurrect"]).success();
    let after = home.jlist();
    assert_eq!(states(&after), states(&before));
    assert_eq!(
        states(&after),
        [
            ("web", "online", 0),
            ("web", "stopped", 1),
            ("web", "online", 2),
            ("still", "stopped", 0),
            ("quiet", "online", 0),
        ]
    );
    let running: Vec<u32> = after.iter().map(App::pid).filter(|pid| *pid != 0).collect();
    assert!(running.iter().all(|pid| Process(*pid).is_alive()));
    assert_eq!(pids_answering(port, 2), running[..2].iter().copied().collect());
    // They are whole: the third slot comes, and nothing is brought back twice.
    home.rpm(["start", "web"]).success();
    pids_answering(port, 3);
    let pids = home.pids("web");
    let said = home.rpm(["resurrect"]).success();
    assert!(said.stdout.contains("nothing to resurrect"), "{said:?}");
    assert_eq!(home.pids("web"), pids);
}

/// The power went while the list was written: the half one is passed over, and said so.
#[test]
fn a_list_that_was_cut_short_gives_way_to_the_former_one() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "1", port);
    home.rpm(["save"]).success();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "ticker"]).success();
    home.rpm(["save"]).success();
    power_cut(&home);
    let dump = home.path().join("dump.pm2");
    let text = fs::read(&dump).unwrap();
    fs::write(&dump, &text[..text.len() / 2]).unwrap();
    let said = home.rpm(["resurrect"]).success();
    assert!(said.stderr.contains("dump.pm2") && said.stderr.contains("former"), "{said:?}");
    assert_eq!(states(&home.jlist()), [("web", "online", 0)]);
    get(port, "/").expect("it serves");
}

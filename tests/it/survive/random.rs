//! Many deaths of the daemon at random moments, its own start included.

use super::{daemon_of, essence, is_complete};
use crate::harness::{Home, LIMIT, Load, Process, port};
use std::{collections::hash_map::RandomState, fs, hash::BuildHasher, thread};

/// The keeper starts one daemon a second, so the deaths are spread over several homes.
const HOMES: u64 = 4;
/// How many deaths, where `RPM_KILLS` does not say.
const KILLS: u64 = 200;

#[test]
fn two_hundred_random_deaths_lose_nothing() {
    let kills = std::env::var("RPM_KILLS").ok().and_then(|text| text.parse().ok());
    let each = kills.unwrap_or(KILLS).div_ceil(HOMES);
    let homes: Vec<_> = (0..HOMES).map(|_| thread::spawn(move || die_often(each))).collect();
    homes.into_iter().for_each(|home| home.join().unwrap());
}

fn die_often(times: u64) {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "2", port);
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "ticker"]).success();
    let (before, keeper) = (home.jlist(), home.keeper());
    let load = Load::on(port).fresh(1).keep_alive(1);
    let mut killed = 0;
    while killed < times {
        load.more(random(100));
        let Some(daemon) = daemon_of(keeper) else { continue };
        daemon.kill();
        assert!(daemon.ends_within(LIMIT));
        killed += 1;
    }
    assert_eq!(essence(&home.jlist()), essence(&before));
    load.stop().is_clean(times);
    assert!(Process::is_alive(keeper));
    home.rpm(["stop", "ticker"]).success();
    is_complete(&fs::read_to_string(home.single("ticker").out_log()).unwrap());
}

/// A number from 1 on below `bound`.
fn random(bound: u64) -> u64 {
    RandomState::new().hash_one(()) % (bound - 1) + 1
}

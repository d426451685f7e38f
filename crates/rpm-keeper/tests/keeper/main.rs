//! The keeper as a process: this program is the tests, the keeper they start, and its daemon.
//!
//! The daemon only hands its descriptors to the test, which then speaks in its place; so a test can
//! kill "its" daemon and meet the next one.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "no libtest")]

mod activation;
mod daemon;
mod descriptors;
mod exits;
mod fixture;
mod garbage;
#[path = "../../../../tests/it/harness/port.rs"]
mod port;
mod programs;
mod restart;
mod spawns;
mod start;

use std::{env, panic, process::ExitCode};

/// A test: its name and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["__keeper", home, ready] => {
            let home = rpm_unix::home::Home::new(*home);
            let code = rpm_keeper::keeper_main(&home, ready.parse().unwrap());
            ExitCode::from(u8::try_from(code).unwrap())
        }
        ["__daemon", home] => daemon::run(home.as_ref()),
        words => run_tests(words),
    }
}

fn run_tests(words: &[&str]) -> ExitCode {
    if words.contains(&"--list") {
        return ExitCode::SUCCESS;
    }
    let filter = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or("");
    let all = [
        start::TESTS,
        spawns::TESTS,
        programs::TESTS,
        activation::TESTS,
        exits::TESTS,
        restart::TESTS,
        descriptors::TESTS,
        garbage::TESTS,
    ];
    let chosen = all.into_iter().flatten().filter(|(name, _)| name.contains(filter));
    let failed = chosen.filter(|(name, test)| !passes(name, *test)).count();
    println!("\nkeeper: {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn passes(name: &str, test: fn()) -> bool {
    let passed = panic::catch_unwind(test).is_ok();
    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    passed
}

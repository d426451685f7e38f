//! A front as a process of its own, for the tests and for measuring: `front CONFIG_JSON`.

use rpm_front::{Config, Ended, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let text = std::env::args().nth(1).unwrap_or_default();
    match Config::from_json(&text).and_then(run) {
        Ok(Ended::Drained) => ExitCode::SUCCESS,
        Ok(Ended::Cut) => ExitCode::from(2),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

//! The `rpm` binary: one program, several roles, chosen before any thread exists.

mod cli;
mod command;
mod error;
mod fleet_file;
mod launch;
mod render;
mod run;
mod session;
mod words;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    run::run(env::args_os())
}

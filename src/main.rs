//! The `rpm` binary: one program, four roles, chosen before any thread exists.
#![forbid(unsafe_code)]

mod absent;
mod boot;
mod cli;
mod command;
mod completion;
mod doctor;
mod error;
mod evaluate;
mod fleet_file;
mod help;
mod launch;
mod log_files;
mod log_printer;
mod manual;
mod render;
mod role;
mod run;
mod session;
mod settings;
mod shell_file;
mod words;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    match role::of(env::args_os()) {
        role::Role::Keeper { home, ready } => role::code(rpm_keeper::keeper_main(&home, ready)),
        role::Role::Heir { home, inheritance } => {
            role::code(rpm_keeper::heir_main(&home, inheritance))
        }
        role::Role::Resume { home, file } => role::code(rpm_keeper::resume_main(&home, file)),
        role::Role::Check { home } => role::check(&home),
        role::Role::Daemon { home } => role::code(rpm_daemon::run(&home)),
        role::Role::Front { config } => role::run_front(&config),
        role::Role::Wrong => role::wrong(),
        role::Role::CommandLine => run::run(env::args_os()),
    }
}

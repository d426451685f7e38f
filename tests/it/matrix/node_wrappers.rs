//! Node behind what people start it with: the port is shared by the filter, and the server is found
//! by the preload, which drains it. The wrapper itself has no part in it.

use super::program::Program;
use crate::harness::{cache, fixture, made};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

matrix! {
    npm: package("npm start");
    yarn: package("yarn start");
    pnpm: package("pnpm start");
    shell: Program::new(&["sh -c 'node hello.js'"]).file("hello.js").keeps_alive();
    // The commonest framework: its own command line, its own server, its own handlers of signals.
    next: next();
}

/// A package whose start script runs Node.
fn package(command: &str) -> Program {
    let program = Program::new(&[command]).file("npm-app/package.json").file("npm-app/server.js");
    program.keeps_alive()
}

fn next() -> Program {
    let built = next_app();
    let program = Program::new(&["npm start", "--cwd", built.to_str().expect("utf-8")]);
    program.keeps_alive()
}

/// `next build`, made once where its packages are.
fn next_app() -> PathBuf {
    made("node/next-app", "matrix/next/app/route.js", |_, folder| {
        let _ = fs::remove_dir_all(folder);
        crate::harness::copy(&fixture("matrix/next"), folder);
        build(folder)
    })
}

fn build(folder: &Path) -> io::Result<std::process::ExitStatus> {
    let mut next = Command::new(cache().join("node/node_modules/.bin/next"));
    next.arg("build").current_dir(folder).env("NEXT_TELEMETRY_DISABLED", "1").status()
}

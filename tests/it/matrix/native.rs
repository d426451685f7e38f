//! Compiled programs, and Ruby.

use super::program::Program;
use crate::harness::made;
use std::path::PathBuf;
use std::process::Command;

matrix! {
    go: Program::new(&[&go()]);
    go_without_handler: Program::new(&[&go(), "--", "plain"]).cuts();
    webrick: Program::script("matrix/webrick.rb", &[]);
    // One request at a time.
    ruby_tcp_server: Program::script("matrix/tcp.rb", &[]).cuts_one();
    // Four threads, each may be cut in one request; three clients.
    c_blocking_threads: Program::new(&[&c("blocking")]).cuts();
    // It closes its socket without telling epoll, and finishes what it has begun.
    c_epoll: Program::new(&[&c("epoll")]);
    c_epoll_edge_triggered: Program::new(&[&c("epoll"), "--", "edge"]);
    // Trap B4: the held socket takes the place of one that epoll already watches.
    #[ignore = "rpm-keeper/src/ports: the second worker of a slot waits on the socket it no longer has"]
    c_epoll_before_bind: Program::new(&[&c("epoll"), "--", "before"]);
}

/// A C program, compiled once.
fn c(name: &str) -> String {
    let source = format!("matrix/{name}.c");
    text(made(name, &source, |source, target| {
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-Wall", "-Werror", "-pthread", "-o"]).arg(target).arg(source).status()
    }))
}

/// A Go program without libc, compiled once.
fn go() -> String {
    text(made("go", "matrix/go/main.go", |source, target| {
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(target).arg(source).env("CGO_ENABLED", "0").status()
    }))
}

fn text(path: PathBuf) -> String {
    path.to_str().expect("utf-8").to_owned()
}

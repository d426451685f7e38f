//! Compiled programs, and Ruby.

use super::program::Program;
use super::stages;
use crate::harness::{Door, Home, Load, made, port};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

matrix! {
    go: Program::new(&[&go()]);
    go_without_handler: Program::new(&[&go(), "--", "plain"]);
    // It stops by shutdown(2) of its socket (trap B1), which would reset what waits in the queue.
    webrick: Program::script("matrix/webrick.rb", &[]);
    // One request at a time, and no handler.
    ruby_tcp_server: Program::script("matrix/tcp.rb", &[]);
    // Four threads, and no handler.
    c_blocking_threads: Program::new(&[&c("blocking")]);
    // It closes its socket without telling epoll, and finishes what it has begun.
    c_epoll: Program::new(&[&c("epoll")]);
    c_epoll_edge_triggered: Program::new(&[&c("epoll"), "--", "edge"]);
    // Trap B4: the held socket takes the place of one that epoll already watches, there too.
    c_epoll_before_bind: Program::new(&[&c("epoll"), "--", "before"]);
}

/// A C program, compiled once.
pub(super) fn c(name: &str) -> String {
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

/// hyper, as rpm's own server has it. Each worker serves a folder of its own that says who it is.
#[test]
fn rust_hyper() {
    let (home, port) = (Home::new(), port());
    for slot in 0..4 {
        fs::create_dir(home.work().join(format!("site-{slot}"))).expect("mkdir");
        let who = format!("{{\"pid\": 1, \"instance\": \"{slot}\"}}");
        home.write(&format!("site-{slot}/index.html"), &who);
    }
    let app = format!(
        "[[apps]]\nname = \"web\"\nscript = \"serve\"\nargs = [\"site-{{instance}}\", \"{port}\"]\n\
         instances = 3\nlisten_timeout = \"30s\"\n"
    );
    home.write("ecosystem.toml", &app);
    home.rpm(["start", "ecosystem.toml"]).success();
    let door = Door::Http(port);
    stages::met(&door, 3);
    let load = Load::on(port).fresh(3).keep_alive(2);
    load.more(20);
    home.rpm(["reload", "web"]).success();
    home.rpm(["scale", "web", "4"]).success();
    load.more(20);
    load.stop().is_clean(40);
    stages::met(&door, 4);
    let load = Load::on(port).fresh(3);
    stages::killed(&home);
    load.more(20);
    stages::is_fair(&load.stop(), 3);
    stages::met(&door, 4);
}

//! Node itself: node:cluster's own protocol, spoken by rpm. Drained over the channel, so that an
//! app without any handler loses nothing, and clients that keep their connection are told to go.

use super::program::Program;
use crate::harness::{Door, made};
use std::path::PathBuf;
use std::process::Command;

matrix! {
    http: Program::script("hello.js", &[]).keeps_alive();
    modules: Program::script("hello.mjs", &[]).keeps_alive();
    express: Program::script("express.js", &[]).modules().keeps_alive();
    fastify: Program::script("matrix/fastify.js", &[]).modules().keeps_alive();
    https: tls(Program::script("matrix/https.js", &[]));
    net: Program::script("matrix/net.js", &[]).place(|_, port| Door::Line(port));
    dgram: Program::script("matrix/dgram.js", &[]).place(|_, port| Door::Datagram(port));
    a_path: Program::script("matrix/path.js", &[])
        .place(|work, _| Door::Path(work.join("web.sock")));
    // tsx starts Node itself, so the worker is behind a wrapper.
    typescript: Program::script("matrix/hello.ts", &[]).keeps_alive();
}

fn tls(program: Program) -> Program {
    let (key, certificate) = key_and_certificate();
    program.made(key).made(certificate).place(|_, port| Door::Https(port))
}

/// A key of the tests' own, made once.
fn key_and_certificate() -> (PathBuf, PathBuf) {
    let folder = made("tls", "matrix/https.js", |_, folder| {
        std::fs::create_dir_all(folder)?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "3650", "-subj", "/CN=localhost"]);
        openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(folder).status()
    });
    (folder.join("key.pem"), folder.join("cert.pem"))
}

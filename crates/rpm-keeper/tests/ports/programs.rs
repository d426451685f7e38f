//! The programs under test, and a C compiler.

use crate::clients::no_forks;
use std::{path::PathBuf, process::Command};
use tempfile::TempDir;

/// Python's own HTTP server; answers with its pid. Arguments: host, port.
pub(crate) const HTTP: &str = r#"
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *words):
        pass
http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"#;

/// Socket helpers that the scripts below begin with.
const PRELUDE: &str = r#"
import os, socket, sys
port = int(sys.argv[1])
def tcp(host, port, *options):
    s = socket.socket()
    for option in (socket.SO_REUSEADDR,) + options:
        s.setsockopt(socket.SOL_SOCKET, option, 1)
    s.bind((host, port))
    s.listen(64)
    return s
def serve(s):
    while True:
        c, _ = s.accept()
        c.recv(4096)
        c.sendall(b'HTTP/1.0 200 OK\r\n\r\n' + str(os.getpid()).encode())
        c.close()
"#;

/// Python's asyncio, which makes its socket non-blocking after the bind. Argument: port.
pub(crate) const ASYNCIO: &str = r#"
import asyncio, os, sys
async def answer(reader, writer):
    await reader.read(4096)
    writer.write(b'HTTP/1.0 200 OK\r\n\r\n' + str(os.getpid()).encode())
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(answer, '0.0.0.0', int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"#;

/// A Python script with the helpers.
pub(crate) fn python(script: &str) -> String {
    format!("{PRELUDE}{script}")
}

/// A Node server behind as many shells as `npm start` has.
pub(crate) const NODE: &str = r"
require('http').createServer((request, response) => {
  response.setHeader('Connection', 'close')
  response.end('\n' + process.pid)
}).listen(+process.argv[1])";

/// Threads that block in accept; bound from a thread that is not the first. SIGTERM: shuts the
/// listener down for all, as many C servers stop, and exits with 3.
pub(crate) const C_SERVER: &str = r#"
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int fd, port;
static void *serve(void *x) {
    char b[4096];
    for (;;) {
        int c = accept(fd, 0, 0);
        if (c < 0) return 0;
        read(c, b, sizeof b);
        int n = snprintf(b, sizeof b, "HTTP/1.0 200 OK\r\n\r\n%d", getpid());
        write(c, b, n);
        close(c);
    }
}
static void *begin(void *x) {
    int one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&a, sizeof a)) { perror("bind"); exit(1); }
    if (listen(fd, 32)) { perror("listen"); exit(2); }
    return 0;
}
int main(int n, char **v) {
    pthread_t t;
    port = atoi(v[1]);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, 0);
    pthread_create(&t, 0, begin, 0);
    pthread_join(t, 0);
    for (int i = 0; i < 3; i++) pthread_create(&t, 0, serve, 0);
    sigwait(&stop, &n);
    shutdown(fd, SHUT_RDWR);
    return 3;
}
"#;

/// A thread sends SIGURG to the one that binds, as fast as it can, until it listens.
pub(crate) const STORM: &str = r#"
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static pthread_t target;
static volatile int over;
static volatile long seen;
static void urg(int s) { seen++; }
static void *storm(void *x) {
    while (!over) { pthread_kill(target, SIGURG); usleep(20); }
    return 0;
}
int main(int n, char **v) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(v[1])) };
    struct sigaction act = { .sa_handler = urg, .sa_flags = SA_RESTART };
    pthread_t t;
    char b[4096];
    sigaction(SIGURG, &act, 0);
    target = pthread_self();
    pthread_create(&t, 0, storm, 0);
    while (seen < 10) ;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&a, sizeof a)) { perror("bind"); exit(1); }
    if (listen(fd, 32)) { perror("listen"); exit(2); }
    over = 1;
    pthread_join(t, 0);
    for (;;) {
        int c = accept(fd, 0, 0);
        if (c < 0) { perror("accept"); exit(3); }
        read(c, b, sizeof b);
        n = snprintf(b, sizeof b, "HTTP/1.0 200 OK\r\n\r\n%d", getpid());
        write(c, b, n);
        close(c);
    }
}
"#;

/// Compiles a C program; the directory goes away with its handle.
pub(crate) fn compile(source: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::Builder::new().permissions(mode_755()).tempdir().unwrap();
    let (code, binary) = (directory.path().join("a.c"), directory.path().join("a"));
    std::fs::write(&code, source).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-w", "-pthread", "-o"]).arg(&binary).arg(&code);
    let guard = no_forks();
    let mut gcc = gcc.spawn().unwrap();
    drop(guard);
    assert!(gcc.wait().unwrap().success());
    (directory, binary)
}

fn mode_755() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

//! Bad input: a clear error with what to do, and what runs keeps running.

use crate::harness::{AT_EASE, Home, LIMIT, Process, compiled, compiled_i386, port};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

/// A home in which one app runs that no mistake may disturb.
struct Steady {
    home: Home,
    pid: u32,
}

impl Steady {
    fn new() -> Self {
        let home = Home::new();
        home.copy("streams.js");
        home.rpm(["start", "streams.js", "--name", "steady"]).success();
        let pid = home.single("steady").pid();
        Self { home, pid }
    }

    /// `rpm start` with these words fails with exit code 1 and says these things.
    fn refuses<const N: usize>(&self, args: [&str; N], words: &[&str]) {
        self.home.rpm(args).refused(words);
        self.is_undisturbed();
    }

    /// The one app still runs, and nothing else was left in the list.
    fn is_undisturbed(&self) {
        let apps = self.home.jlist();
        let steady: Vec<_> = apps.iter().filter(|app| app.name() == "steady").collect();
        assert_eq!(steady.len(), 1, "{apps:#?}");
        assert_eq!((steady[0].pid(), steady[0].restarts()), (self.pid, 0));
        assert!(Process(self.pid).is_alive());
    }

    fn has_only_its_app(&self) {
        self.is_undisturbed();
        assert_eq!(self.home.jlist().len(), 1, "{:#?}", self.home.jlist());
    }
}

#[test]
fn a_missing_script() {
    let steady = Steady::new();
    steady.refuses(["start", "sever.js"], &["sever.js"]);
    steady.refuses(["start", "./no/such/place.py"], &["no/such/place.py"]);
    steady.has_only_its_app();
}

#[test]
fn a_directory_as_script() {
    let steady = Steady::new();
    fs::create_dir(steady.home.work().join("folder")).unwrap();
    steady.refuses(["start", "./folder"], &["folder", "directory"]);
    steady.has_only_its_app();
}

#[test]
fn a_file_that_may_not_be_executed() {
    let steady = Steady::new();
    let binary = steady.home.work().join("binary");
    fs::copy(compiled(), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o644)).unwrap();
    steady.refuses(["start", "./binary"], &["binary", "chmod +x"]);
    steady.has_only_its_app();
}

#[test]
fn an_unknown_interpreter() {
    let steady = Steady::new();
    steady.refuses(["start", "streams.js", "--name", "x", "--interpreter", "nodee"], &["nodee"]);
    steady.home.write("script", "#!/usr/bin/no-such-shell\n");
    let script = steady.home.work().join("script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    steady.refuses(["start", "./script"], &["no-such-shell"]);
    steady.has_only_its_app();
}

#[test]
fn a_directory_to_run_in_that_does_not_exist() {
    let steady = Steady::new();
    let words = ["start", "streams.js", "--name", "x", "--cwd", "/no/such/folder"];
    steady.refuses(words, &["/no/such/folder"]);
    steady.has_only_its_app();
}

#[test]
fn a_port_that_a_stranger_holds() {
    for (fixture, count) in [("hello.js", "2"), ("server.py", "2"), ("hello.js", "1")] {
        let (steady, port) = (Steady::new(), port());
        let _stranger = TcpListener::bind(("0.0.0.0", port)).unwrap();
        steady.home.copy(fixture);
        let words = ["start", fixture, "--name", "web", "--no-autorestart", "--wait"];
        // It fails before it could be taken for ready, however slowly it starts.
        let mode: &[&str] = match count {
            "1" => &["--min-uptime", "30s"],
            _ => &["-i", count, "--listen-timeout", "30s"],
        };
        let words = [&words[..], mode].concat();
        let start = steady.home.rpm_under(&[], &words).env("PORT", port);
        let output = start.exits(1);
        for word in [port.to_string(), std::process::id().to_string()] {
            assert!(output.stderr.contains(&word), "no {word} in {output:#?}");
        }
        steady.is_undisturbed();
    }
}

#[test]
fn a_port_that_another_app_of_ours_holds() {
    let (steady, port) = (Steady::new(), port());
    steady.home.start_web("server.py", "2", port);
    let words = ["start", "server.py", "--name", "second", "-i", "2", "--no-autorestart", "--wait"];
    let words = [&words[..], &AT_EASE].concat();
    let output = steady.home.rpm_under(&[], &words).env("PORT", port).exits(1);
    assert!(output.stderr.contains(&port.to_string()), "{output:#?}");
    assert!(output.stderr.contains("web"), "{output:#?}");
    steady.is_undisturbed();
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_program_whose_bind_cannot_be_seen() {
    let (steady, port) = (Steady::new(), port().to_string());
    let program = compiled_i386().display().to_string();
    // One of them serves, unseen, and is taken for ready only then: the others have failed before.
    let words = ["start", &program, "--name", "old", "-i", "3", "--no-autorestart"];
    let words = [&words[..], &["--listen-timeout", "8s", "--", &port]].concat();
    let output = steady.home.rpm_under(&[], &words).refused(&["same app", "32-bit", "io_uring"]);
    let way_out = ["`listen`", "`increment_var`", "exited with code 1"];
    for word in way_out.into_iter().chain([port.as_str()]) {
        assert!(output.stderr.contains(word), "no {word} in {output:#?}");
    }
    steady.is_undisturbed();
}

#[test]
fn a_number_that_is_none() {
    let steady = Steady::new();
    for words in [
        ["start", "streams.js", "-i", "banana"],
        ["start", "streams.js", "--max-memory-restart", "12Q"],
        ["start", "streams.js", "--kill-timeout", "soon"],
        ["start", "streams.js", "-i", "1000000"],
    ] {
        let output = steady.home.rpm(words).output();
        assert!(matches!(output.code, 1 | 2), "{output:#?}");
        output.is_clear();
        assert!(output.stderr.contains(words[3]), "{output:#?}");
        steady.has_only_its_app();
    }
}

#[test]
fn an_unknown_target() {
    let steady = Steady::new();
    steady.refuses(["restart", "stedy"], &["stedy", "steady"]);
    steady.refuses(["reload", "12"], &["12"]);
    steady.has_only_its_app();
}

#[test]
fn a_second_daemon_on_one_home() {
    let steady = Steady::new();
    let before = (steady.home.keeper(), steady.home.daemon());
    let home = steady.home.path().display().to_string();
    for words in [&["__keeper", &home, "1"][..], &["__daemon", &home]] {
        let output = steady.home.rpm_under(&[], words).output();
        assert_ne!(output.code, 0, "{output:#?}");
        assert!(!output.text().contains("panicked"), "{output:#?}");
    }
    assert_eq!((steady.home.keeper(), steady.home.daemon()), before);
    steady.has_only_its_app();
}

#[test]
fn a_home_that_cannot_be_written() {
    let home = Home::new();
    let file = home.write("file", "");
    // Root may write anywhere, but nobody can make a folder below a file.
    let below = file.join("home").display().to_string();
    let output = home.rpm(["ls"]).env("RPM_HOME", &below).output();
    assert!(matches!(output.code, 1 | 3), "{output:#?}");
    output.is_clear();
    assert!(output.stderr.contains("$ROOT/work/file/home"), "{output:#?}");
}

#[test]
fn a_home_whose_path_is_too_long_for_a_socket() {
    let home = Home::new();
    let long = home.work().join("x".repeat(120)).display().to_string();
    let output = home.rpm(["ls"]).env("RPM_HOME", &long).output();
    assert!(matches!(output.code, 1 | 3), "{output:#?}");
    output.is_clear();
    assert!(output.stderr.contains("RPM_HOME"), "{output:#?}");
}

/// Sends bytes to the socket and nothing more, and reads until the daemon hangs up.
fn send(home: &Home, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(home.path().join("rpm.sock")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    // The daemon may hang up in the middle: that is an answer too.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_client_that_sends_garbage() {
    let steady = Steady::new();
    let deep = "[".repeat(200_000) + "\n";
    let long = "x".repeat(40 << 20);
    for (name, bytes) in [
        ("nothing", &b""[..]),
        ("no JSON", b"hello\n"),
        ("half a line", b"{\"jsonrpc\":"),
        ("no UTF-8", b"\xff\xfe\x00\n"),
        ("no request", b"[]\n"),
        ("no method", b"{\"jsonrpc\":\"2.0\",\"id\":1}\n"),
        ("unknown method", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"explode\"}\n"),
        ("wrong parameters", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"act\",\"params\":[1]}\n"),
        ("deep nesting", deep.as_bytes()),
        ("a line without an end", long.as_bytes()),
    ] {
        let answer = send(&steady.home, bytes);
        if name == "unknown method" {
            assert!(answer.contains("-32601") && answer.contains("explode"), "{answer}");
        }
        if !answer.is_empty() {
            assert!(answer.contains("\"error\""), "{name}: {answer}");
        }
        steady.home.rpm(["ping"]).success();
    }
    steady.has_only_its_app();
    assert!(!steady.home.log().contains("panicked"), "{}", steady.home.log());
}

#[test]
fn a_client_that_sends_nothing_blocks_nobody() {
    let steady = Steady::new();
    let socket = steady.home.path().join("rpm.sock");
    let _idle: Vec<_> = (0..50).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    steady.has_only_its_app();
}

#[test]
fn the_home_is_for_its_user_only() {
    let steady = Steady::new();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&steady.home.path()), 0o700);
    assert_eq!(mode(&steady.home.path().join("rpm.sock")), 0o600);
}

//! [`Rpm`]: one run of the real binary, and what it printed.

use super::home::Home;
use super::process::{Process, is_readable};
use super::{App, LIMIT};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Variables that would change what rpm or its apps do; tests set them themselves.
const UNSET: [&str; 12] = [
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "LINES",
    "PORT",
    "NODE_APP_INSTANCE",
    "NODE_OPTIONS",
    "NODE_ENV",
    "PM2_HOME",
    "RUST_LOG",
];

/// A command being put together; consumed by the call that runs it.
#[must_use = "nothing runs before output(), success(), failure() or refused()"]
pub(crate) struct Rpm {
    command: Command,
    line: String,
    root: String,
    stdin: String,
    limit: Duration,
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Rpm {
    /// All words of the command, the program included.
    pub(crate) fn new(home: &Home, words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(home.work());
        for name in UNSET {
            command.env_remove(name);
        }
        // Debian's own python and node before any shims, which are slow shell scripts.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("/usr/local/bin:/usr/bin:/bin:{path}"));
        command.env("RPM_HOME", home.path()).env("TERM", "xterm-256color");
        Self {
            command,
            line: words.join(" "),
            root: home.root().display().to_string(),
            stdin: String::new(),
            limit: LIMIT,
            stdout: None,
            stderr: None,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.command.env(name, value.to_string());
        self
    }

    pub(crate) fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.command.current_dir(path.into());
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    /// The whole of what it must print; the test's own folder reads `$ROOT`.
    pub(crate) fn stdout(mut self, text: &str) -> Self {
        self.stdout = Some(text.to_owned());
        self
    }

    /// The whole of what it must say on stderr.
    pub(crate) fn stderr(mut self, text: &str) -> Self {
        self.stderr = Some(text.to_owned());
        self
    }

    /// Runs it; it must exit 0.
    pub(crate) fn success(self) -> Output {
        self.exits(0)
    }

    /// Runs it; it must exit with `code`.
    pub(crate) fn exits(self, code: i32) -> Output {
        let output = self.output();
        assert_eq!(output.code, code, "exit code of {output:#?}");
        output
    }

    /// Runs it; it must fail with a clear message that has all `words` in it: exit 1, one line
    /// what is wrong, at most a few what to do, and nothing that looks like a bug.
    pub(crate) fn refused(self, words: &[&str]) -> Output {
        self.refused_with(1, words)
    }

    /// As [`Self::refused`] with another exit code: 2 is wrong usage.
    pub(crate) fn refused_with(self, code: i32, words: &[&str]) -> Output {
        let output = self.exits(code);
        output.is_clear();
        for word in words {
            assert!(output.stderr.contains(word), "no {word:?} in {output:#?}");
        }
        output
    }

    /// Starts it without waiting; the caller ends it.
    pub(crate) fn spawn(mut self) -> Running {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.process_group(0);
        let mut child = self.command.spawn().expect("the rpm binary");
        let mut stdin = child.stdin.take().expect("stdin");
        // It may exit without reading.
        let _ = stdin.write_all(self.stdin.as_bytes());
        Running {
            stdout: Reader::new(child.stdout.take().expect("stdout")),
            stderr: Reader::new(child.stderr.take().expect("stderr")),
            child,
            line: self.line,
            root: self.root,
        }
    }

    /// Runs it to its end.
    pub(crate) fn output(self) -> Output {
        let (limit, stdout, stderr) = (self.limit, self.stdout.clone(), self.stderr.clone());
        let output = self.spawn().finish(limit);
        for (expected, found) in [(stdout, &output.stdout), (stderr, &output.stderr)] {
            if let Some(expected) = expected {
                assert_eq!(&expected, found, "output of {}", output.line);
            }
        }
        output
    }
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    stdout: Reader,
    stderr: Reader,
    line: String,
    root: String,
}

impl Running {
    /// What it has printed so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Waits until it has printed something that `wanted` likes.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.until(wanted).unwrap_or_else(|| {
            let (text, error) = (self.stdout(), self.stderr.text());
            panic!("{} never printed {what}: {text:?} {error:?}", self.line)
        })
    }

    /// Waits until it has said something that `wanted` likes on stderr.
    pub(crate) fn until_said(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr
            .until(wanted)
            .unwrap_or_else(|| panic!("{} never said {what}: {:?}", self.line, self.stderr.text()))
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self, limit: Duration) -> Output {
        let pid = Pid::from_child(&self.child);
        let fd = pidfd_open(pid, PidfdFlags::empty()).expect("pidfd");
        let ended = is_readable(&fd, Instant::now() + limit);
        if !ended {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("wait");
        let closed = self.stdout.closes() && self.stderr.closes();
        let output = self.collect(status);
        assert!(ended, "did not end within {limit:?}: {output:#?}");
        assert!(closed, "left its output open in another process: {output:#?}");
        output
    }

    /// Ends it as a person would with Ctrl-C.
    pub(crate) fn interrupt(self) -> Output {
        self.process().signal(rustix::process::Signal::INT);
        self.finish(LIMIT)
    }

    fn collect(&self, status: ExitStatus) -> Output {
        Output {
            line: self.line.clone(),
            // 128 + n for a signal, as shells say it.
            code: status.code().unwrap_or_else(|| {
                128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
            }),
            stdout: self.stdout.text().replace(&self.root, "$ROOT"),
            stderr: self.stderr.text().replace(&self.root, "$ROOT"),
        }
    }
}

/// Reads a pipe on a thread of its own, so that a partial output can be shown.
struct Reader {
    bytes: Arc<Mutex<Vec<u8>>>,
    news: Receiver<()>,
}

impl Reader {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (sender, news) = channel();
        let shared = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count) = pipe.read(&mut buffer)
                && count > 0
            {
                shared.lock().expect("lock").extend_from_slice(&buffer[..count]);
                let _ = sender.send(());
            }
        });
        Self { bytes, news }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("lock")).into_owned()
    }

    /// Waits until the text is as wanted.
    fn until(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let text = self.text();
            if wanted(&text) {
                return Some(text);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.news.recv_timeout(left).is_err() {
                return Some(self.text()).filter(|text| wanted(text));
            }
        }
    }

    /// Waits for the end of the pipe; false where somebody keeps it open.
    fn closes(&self) -> bool {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(()) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return true,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

/// What a command printed and how it exited.
#[derive(Debug)]
pub(crate) struct Output {
    line: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Standard output as `rpm jlist` prints it.
    pub(crate) fn apps(&self) -> Vec<App> {
        App::list(&self.stdout)
    }

    /// Both streams, for messages whose stream is not the point.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Asserts that the error is one a person can read.
    pub(crate) fn is_clear(&self) {
        let first = self.stderr.lines().next().unwrap_or_default();
        assert!(!first.trim().is_empty(), "no message in {self:#?}");
        assert!(self.stderr.lines().count() <= 8, "too many lines in {self:#?}");
        for bad in ["panicked", "RUST_BACKTRACE", "Os {", "Error {", "Some(", "unwrap"] {
            assert!(!self.stderr.contains(bad), "{bad:?} in {self:#?}");
        }
        assert!(!self.stderr.contains('\u{1b}'), "colours in a pipe: {self:#?}");
    }
}

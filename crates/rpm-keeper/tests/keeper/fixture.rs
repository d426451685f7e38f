//! A keeper in a home of its own, and the test's end of whatever daemon it started last.

use crate::daemon::{GIVEN, TERM, meeting_point};
use rpm_keeper::{Child, ChildId, Event, ExitStatus, Link, Owner, Request, SpawnSpec, VERSION};
use rpm_unix::{
    fdpass,
    home::Home,
    peer, pidfd,
    poll::{Entry, poll},
    spawn::Program,
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    process::{self, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// How long an event may take before the test has failed; never waited for otherwise.
const DEADLINE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// A running keeper.
pub(crate) struct Keeper {
    pub(crate) home: Home,
    meeting: UnixListener,
    pub(crate) process: process::Child,
    ready: process::ChildStdout,
    _directory: TempDir,
}

/// The test in the place of a daemon.
pub(crate) struct Daemon {
    pub(crate) link: Link,
    pub(crate) rpc: OwnedFd,
    pub(crate) lock: OwnedFd,
    control: UnixStream,
    pub(crate) pid: i32,
}

/// What an inventory told.
#[derive(Default)]
pub(crate) struct Inventory {
    pub(crate) known: BTreeMap<u64, Known>,
    pub(crate) held: BTreeMap<String, OwnedFd>,
}

pub(crate) struct Known {
    pub(crate) child: Child,
    pub(crate) label: Vec<u8>,
    pub(crate) status: Option<ExitStatus>,
    pub(crate) listening: bool,
}

/// A child that does not outlive the test.
pub(crate) struct Worker(pub(crate) Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _gone = pidfd::send_signal(&self.0.pidfd, SIGKILL);
    }
}

/// Waits until there is something to read, or the end.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>) {
    let mut entries = [Entry::readable(fd)];
    assert_ne!(poll(&mut entries, Some(DEADLINE)).unwrap(), 0, "nothing came");
}

pub(crate) fn keeper_command(home: &Home) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("__keeper").arg(home.root()).arg("1").stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Keeper {
    /// A keeper whose daemon has not greeted yet.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("home"));
        std::fs::create_dir(home.root()).unwrap();
        let meeting = UnixListener::bind(meeting_point(home.root())).unwrap();
        let mut process = keeper_command(&home).spawn().unwrap();
        let ready = process.stdout.take().unwrap();
        Self { home, meeting, process, ready, _directory: directory }
    }

    /// A keeper and its first daemon, greeted.
    pub(crate) fn with_daemon() -> (Self, Daemon) {
        let mut keeper = Self::start();
        let mut daemon = keeper.daemon();
        assert_eq!(daemon.greet(), 0);
        assert_eq!(keeper.ready_line(), "ok\n");
        (keeper, daemon)
    }

    /// The next daemon that the keeper starts.
    pub(crate) fn daemon(&self) -> Daemon {
        wait_readable(self.meeting.as_fd());
        let (mut control, _) = self.meeting.accept().unwrap();
        let (_, fds) = fdpass::receive(&control, &mut [0; 1]).unwrap();
        let [link, rpc, lock] = <[OwnedFd; 3]>::try_from(fds).unwrap();
        assert_eq!(read_byte(&mut control), GIVEN);
        let pid = peer::of(&control).unwrap().pid;
        Daemon { link: Link::new(link).unwrap(), rpc, lock, control, pid }
    }

    /// What the keeper told whoever started it.
    pub(crate) fn ready_line(&mut self) -> String {
        let mut line = String::new();
        self.ready.read_to_string(&mut line).unwrap();
        line
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _end = self.process.wait();
    }
}

impl Daemon {
    pub(crate) fn send(&self, request: &Request) {
        loop {
            match self.link.send(request) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut entries = [Entry::writable(self.link.as_fd(), false)];
                    assert_ne!(poll(&mut entries, Some(DEADLINE)).unwrap(), 0, "no room came");
                }
                result => return result.unwrap(),
            }
        }
    }

    /// Whether the link takes a request within this time.
    pub(crate) fn has_room(&self, patience: Duration) -> bool {
        let mut entries = [Entry::writable(self.link.as_fd(), false)];
        poll(&mut entries, Some(patience)).unwrap() == 1
    }

    pub(crate) fn event(&self) -> Event {
        loop {
            match self.link.receive().unwrap() {
                Some(event) => return event,
                None => wait_readable(self.link.as_fd()),
            }
        }
    }

    /// Says hello; how many daemons died lately.
    pub(crate) fn greet(&mut self) -> u32 {
        self.send(&Request::Hello { version: VERSION });
        match self.event() {
            Event::Welcome { version: VERSION, deaths, .. } => deaths,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn inventory(&self) -> Inventory {
        self.send(&Request::Inventory);
        let mut all = Inventory::default();
        loop {
            match self.event() {
                Event::Known { child, label, status, listening } => {
                    let known = Known { child, label, status, listening };
                    all.known.insert(known.child.child.0, known);
                }
                Event::Held { name, fd } => drop(all.held.insert(name, fd)),
                Event::InventoryEnd => return all,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Asks for a child.
    pub(crate) fn ask(&self, id: u64, spec: &SpawnSpec) {
        let label = format!("label {id}").into_bytes();
        self.send(&Request::Spawn { child: ChildId(id), label, spec: spec.seal().unwrap() });
    }

    /// A child that must start.
    pub(crate) fn spawn(&self, id: u64, spec: &SpawnSpec) -> Worker {
        self.ask(id, spec);
        match self.event() {
            Event::Spawned(child) if child.child == ChildId(id) => Worker(child),
            other => panic!("{other:?}"),
        }
    }

    /// The exit that must come next.
    pub(crate) fn exit(&self, id: u64) -> ExitStatus {
        match self.event() {
            Event::Exited { child, status } if child == ChildId(id) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a program to its end; what it wrote to its output.
    pub(crate) fn output(&self, id: u64, spec: &SpawnSpec) -> String {
        let worker = self.spawn(id, spec);
        assert_eq!(self.exit(id), ExitStatus::Code(0));
        read_to_end(&worker.0.stdout)
    }

    /// Ends the daemon's process as by `kill -9`.
    pub(crate) fn kill(self) {
        pidfd::send_signal(pidfd::open(self.pid).unwrap(), SIGKILL).unwrap();
    }

    /// Closes everything but the socket by which the test and the daemon's process know each other.
    pub(crate) fn close_link(self) -> UnixStream {
        self.control
    }

    /// Lets the daemon's process exit with this code.
    pub(crate) fn leave(&mut self, code: u8) {
        self.control.write_all(&[code]).unwrap();
    }

    /// Waits until the daemon's process was sent SIGTERM.
    pub(crate) fn terminated(&mut self) {
        assert_eq!(read_byte(&mut self.control), TERM);
    }
}

fn read_byte(socket: &mut UnixStream) -> u8 {
    wait_readable(socket.as_fd());
    let mut byte = [0];
    socket.read_exact(&mut byte).unwrap();
    byte[0]
}

/// Everything up to the end of a non-blocking pipe.
pub(crate) fn read_to_end(fd: &OwnedFd) -> String {
    let mut file = File::from(fd.try_clone().unwrap());
    let mut bytes = Vec::new();
    loop {
        match file.read_to_end(&mut bytes) {
            Ok(_) => return String::from_utf8(bytes).unwrap(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_readable(fd.as_fd()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// One line of a non-blocking pipe or socket.
pub(crate) fn read_line(fd: &OwnedFd) -> String {
    let mut file = File::from(fd.try_clone().unwrap());
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        wait_readable(fd.as_fd());
        let mut byte = [0];
        file.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

pub(crate) fn strings(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

/// A program with the usual PATH, in `/`.
pub(crate) fn program(words: &[&str]) -> SpawnSpec {
    let program = Program {
        file: CString::new(words[0]).unwrap(),
        arguments: strings(words),
        environment: strings(&["PATH=/usr/bin:/bin"]),
        directory: "/".into(),
        credentials: None,
    };
    let balance = rpm_keeper::Balance::Even;
    let limits = rpm_keeper::Limits::default();
    SpawnSpec {
        program,
        channel: false,
        share: None,
        activation: None,
        balance,
        input: false,
        limits,
    }
}

pub(crate) fn shell(script: &str) -> SpawnSpec {
    program(&["sh", "-c", script])
}

/// The same with the bind filter.
pub(crate) fn shared(mut spec: SpawnSpec) -> SpawnSpec {
    spec.share = Some(Owner { app: "web".to_owned(), slot: 0 });
    spec
}

//! [`Load`]: clients that keep asking while something happens, and count what went wrong.

use super::LIMIT;
use super::door::{Client, Door};
use super::http::{Connection, get};
use super::web::Who;
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two requests of a client: leaves the two cores to the servers.
const PAUSE: Duration = Duration::from_millis(4);
/// So many messages are kept; more would only repeat.
const MESSAGES: usize = 8;

/// How a client uses connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A new one for each request.
    Fresh,
    /// The same one until the server says `Connection: close`. A reset before the first byte of an
    /// answer counts as failure even on an idle connection: a browser would retry, many would not.
    KeepAlive,
    /// A new one for each request to `/slow`, which takes a second.
    Slow,
}

impl Kind {
    fn client(self, port: u16) -> Client {
        match self {
            Self::Fresh => Box::new(move || Who::of(&get(port, "/")?)),
            Self::Slow => Box::new(move || Who::of(&get(port, "/slow")?)),
            Self::KeepAlive => {
                let mut kept = None;
                Box::new(move || {
                    let reused = kept.is_some();
                    let told = |error: io::Error| {
                        io::Error::new(error.kind(), format!("reused: {reused}: {error}"))
                    };
                    ask_again(port, &mut kept).map_err(told)
                })
            }
        }
    }
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    /// Those for which nobody listened; a path that is not there counts, too.
    pub(crate) refused: u64,
    /// The first few, with the kind of client.
    pub(crate) errors: Vec<String>,
    /// How many answers each worker gave.
    pub(crate) pids: BTreeMap<u32, u64>,
}

impl Report {
    /// Asserts that every request was answered, and that there were enough to say so.
    pub(crate) fn is_clean(&self, at_least: u64) {
        assert_eq!(self.failures, 0, "failed requests: {self:#?}");
        assert!(self.requests >= at_least, "only {} requests: {self:#?}", self.requests);
    }
}

type Shared = Arc<(Mutex<Report>, Condvar)>;

/// Clients at work.
pub(crate) struct Load {
    port: u16,
    shared: Shared,
    clients: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Load {
    /// No client yet; HTTP where nothing else is said.
    pub(crate) fn on(port: u16) -> Self {
        Self { port, shared: Arc::default(), clients: Vec::new() }
    }

    /// No client yet. Only behind a door of HTTP there can be clients of all kinds.
    pub(crate) fn of(door: &Door) -> Self {
        Self::on(if let Door::Http(port) = door { *port } else { 0 })
    }

    pub(crate) fn fresh(self, count: usize) -> Self {
        self.with(Kind::Fresh, count)
    }

    pub(crate) fn keep_alive(self, count: usize) -> Self {
        self.with(Kind::KeepAlive, count)
    }

    pub(crate) fn slow(self, count: usize) -> Self {
        self.with(Kind::Slow, count)
    }

    fn with(self, kind: Kind, count: usize) -> Self {
        let port = self.port;
        (0..count).fold(self, |load, _| load.client(kind.client(port), format!("{kind:?}")))
    }

    /// Clients of any kind of door, which ask anew each time.
    pub(crate) fn through(self, door: &Door, count: usize) -> Self {
        (0..count).fold(self, |load, _| load.client(door.client(), format!("{door:?}")))
    }

    fn client(mut self, ask: Client, name: String) -> Self {
        let (stop, stopped) = channel();
        let shared = Arc::clone(&self.shared);
        let client = std::thread::spawn(move || run(ask, &name, &shared, &stopped));
        self.clients.push((stop, client));
        self
    }

    /// Waits until `count` more requests were answered.
    pub(crate) fn more(&self, count: u64) {
        let now = self.shared.0.lock().expect("lock").requests;
        self.reaches(now + count);
    }

    /// Waits until so many were since the beginning. However slow they are, some must be answered.
    pub(crate) fn reaches(&self, wanted: u64) {
        let (report, changed) = &*self.shared;
        let mut report = report.lock().expect("lock");
        let (mut seen, mut deadline) = (report.requests, Instant::now() + LIMIT);
        while report.requests < wanted {
            if report.requests > seen {
                (seen, deadline) = (report.requests, Instant::now() + LIMIT);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "none of {wanted} requests in {LIMIT:?}: {report:#?}");
            report = changed.wait_timeout(report, left).expect("lock").0;
        }
    }

    /// Lets every client finish its request, then tells.
    pub(crate) fn stop(self) -> Report {
        let (stops, clients): (Vec<_>, Vec<_>) = self.clients.into_iter().unzip();
        drop(stops);
        for client in clients {
            client.join().expect("a client panicked");
        }
        self.shared.0.lock().expect("lock").clone()
    }
}

fn run(mut ask: Client, name: &str, shared: &Shared, stopped: &Receiver<()>) {
    // Waits for the end, and takes the time until it comes for a pause.
    while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        note(shared, name, &ask());
    }
}

/// Asks on the kept connection, if there is one, and keeps it if the server does.
fn ask_again(port: u16, kept: &mut Option<Connection>) -> io::Result<Who> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(port)?,
    };
    let response = connection.get("/", false)?;
    let who = Who::of(&response)?;
    if !response.is_last() {
        *kept = Some(connection);
    }
    Ok(who)
}

fn note(shared: &Shared, name: &str, result: &io::Result<Who>) {
    let mut report = shared.0.lock().expect("lock");
    report.requests += 1;
    match result {
        Ok(who) => *report.pids.entry(who.pid).or_default() += 1,
        Err(error) => {
            report.failures += 1;
            let nobody = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
            report.refused += u64::from(nobody.contains(&error.kind()));
            if report.errors.len() < MESSAGES {
                report.errors.push(format!("{name}: {error}"));
            }
        }
    }
    shared.1.notify_all();
}

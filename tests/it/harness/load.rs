//! [`Load`]: clients that keep asking while something happens, and count what went wrong.

use super::LIMIT;
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

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
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

    /// How many connections nobody listened for.
    pub(crate) fn refused(&self) -> usize {
        self.errors.iter().filter(|error| error.contains("refused")).count()
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
    /// No client yet.
    pub(crate) fn on(port: u16) -> Self {
        Self { port, shared: Arc::default(), clients: Vec::new() }
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

    fn with(mut self, kind: Kind, count: usize) -> Self {
        for _ in 0..count {
            let (stop, stopped) = channel();
            let (port, shared) = (self.port, Arc::clone(&self.shared));
            let client = std::thread::spawn(move || run(port, kind, &shared, &stopped));
            self.clients.push((stop, client));
        }
        self
    }

    /// Waits until `count` more requests were answered.
    pub(crate) fn more(&self, count: u64) {
        let (report, changed) = &*self.shared;
        let mut report = report.lock().expect("lock");
        let (wanted, deadline) = (report.requests + count, Instant::now() + LIMIT);
        while report.requests < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {count} requests in {LIMIT:?}: {report:#?}");
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

fn run(port: u16, kind: Kind, shared: &Shared, stopped: &Receiver<()>) {
    let mut kept = None;
    // Waits for the end, and takes the time until it comes for a pause.
    while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        let reused = kept.is_some();
        let result = match kind {
            Kind::Fresh => get(port, "/").and_then(|response| Who::of(&response)),
            Kind::Slow => get(port, "/slow").and_then(|response| Who::of(&response)),
            Kind::KeepAlive => ask_again(port, &mut kept),
        };
        note(shared, &result.map_err(|error| format!("{kind:?}, reused: {reused}: {error}")));
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

fn note(shared: &Shared, result: &Result<Who, String>) {
    let mut report = shared.0.lock().expect("lock");
    report.requests += 1;
    match result {
        Ok(who) => *report.pids.entry(who.pid).or_default() += 1,
        Err(error) => {
            report.failures += 1;
            if report.errors.len() < MESSAGES {
                report.errors.push(error.clone());
            }
        }
    }
    shared.1.notify_all();
}

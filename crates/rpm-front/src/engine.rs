//! [`Engine`]: owns the upstreams, the queue and the listening sockets; takes one event after the
//! other and gives each client to an upstream.

use crate::{
    command::{Answer, Command, Stats},
    config::Config,
    connect::{Common, Fault, Stage, connect, serve},
    listener::{Accepted, Listeners},
    pool::{Choice, Pool},
    queue::Queue,
    session::Session,
    stream::Stream,
    upstream::Lease,
};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::sleep_until,
};

/// How long no connection is made after we ran out of descriptors, memory or ports: nothing tells
/// when whoever has them gives them back, and trying at once would only keep the processor busy.
const PAUSE: Duration = Duration::from_millis(100);

/// A command and who wants the answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What can happen.
enum Event {
    Accepted(io::Result<Accepted>),
    Stage(Stage),
    Asked(Asked),
    /// A time that something waits for has come.
    Time,
}

/// The owner of all that changes.
#[derive(Debug)]
pub(crate) struct Engine {
    listeners: Listeners,
    pool: Pool,
    queue: Queue,
    tasks: JoinSet<Stage>,
    common: Arc<Common>,
    asked: mpsc::Receiver<Asked>,
    /// The draining upstreams without connections.
    idle: watch::Sender<Vec<u32>>,
    max_connections: usize,
    max_resends: u32,
    queue_timeout: Duration,
    /// We have run out of something until then.
    paused: Option<Instant>,
    draining: bool,
    accepted: u64,
    given_up: u64,
}

/// What an engine works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) listeners: Listeners,
    pub(crate) pool: Pool,
    pub(crate) common: Common,
    pub(crate) max_connections: usize,
    pub(crate) idle: watch::Sender<Vec<u32>>,
}

impl Engine {
    pub(crate) fn new(config: &Config, parts: Parts, asked: mpsc::Receiver<Asked>) -> Self {
        Self {
            listeners: parts.listeners,
            pool: parts.pool,
            queue: Queue::default(),
            tasks: JoinSet::new(),
            common: Arc::new(parts.common),
            asked,
            idle: parts.idle,
            max_connections: parts.max_connections,
            max_resends: config.resends,
            queue_timeout: config.queue_timeout(),
            paused: None,
            draining: false,
            accepted: 0,
            given_up: 0,
        }
    }

    /// Works until it was told to drain and the last connection has ended.
    pub(crate) async fn run(mut self) {
        while !self.draining || self.connections() > 0 {
            let event = self.next().await;
            self.handle(event);
            self.tell_idle();
        }
    }

    fn tell_idle(&self) {
        let now = self.pool.idle();
        self.idle.send_if_modified(|told| {
            let news = *told != now && !now.is_empty();
            *told = now;
            news
        });
    }

    async fn next(&mut self) -> Event {
        let accepting = self.may_accept();
        let time = self.next_time();
        tokio::select! {
            stage = self.tasks.join_next(), if !self.tasks.is_empty() => {
                // A task that panicked has given back what it had.
                Event::Stage(stage.and_then(Result::ok).unwrap_or(Stage::Over))
            }
            accepted = self.listeners.accept(), if accepting => Event::Accepted(accepted),
            Some(asked) = self.asked.recv() => Event::Asked(asked),
            () = until(time) => Event::Time,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Accepted(Ok(accepted)) => self.admit(accepted),
            // The client went before we came to it.
            Event::Accepted(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Event::Accepted(Err(_)) => self.pause(),
            Event::Stage(stage) => self.advance(stage),
            Event::Asked(Asked { command, answer }) => {
                let said = self.obey(command);
                // Whoever asked may have gone.
                let _unheard = answer.send(said);
            }
            Event::Time => self.look_at_the_clock(),
        }
    }

    fn admit(&mut self, accepted: Accepted) {
        self.accepted += 1;
        let session = Session::new(accepted, self.accepted);
        self.place(Box::new(session), Instant::now());
    }

    /// Gives the client to an upstream, or has it wait, or closes it.
    fn place(&mut self, session: Box<Session>, now: Instant) {
        if self.paused.is_some() {
            return self.enqueue(session, now);
        }
        match self.pool.choose(session.client, &session.tried, now) {
            Choice::Chosen(lease) => {
                self.tasks.spawn(connect(session, lease, self.common.clone()));
            }
            Choice::Wait => self.enqueue(session, now),
            Choice::Spent => self.given_up += 1,
        }
    }

    fn enqueue(&mut self, mut session: Box<Session>, now: Instant) {
        let deadline = *session.deadline.get_or_insert(now + self.queue_timeout);
        if deadline <= now || self.queue.push(session).is_err() {
            self.given_up += 1;
        }
    }

    fn place_waiting(&mut self, now: Instant) {
        for session in self.queue.take() {
            self.place(session, now);
        }
    }

    fn advance(&mut self, stage: Stage) {
        match stage {
            Stage::Connected(session, lease, upstream) => self.serve(session, lease, upstream),
            Stage::Refused(session, lease, fault) => self.refused(session, lease, fault),
            Stage::Silent(session, lease) => self.silent(session, lease),
            Stage::Over => {}
        }
    }

    fn serve(&mut self, session: Box<Session>, lease: Lease, upstream: Stream) {
        let came_up = self.pool.connected(lease.key);
        self.tasks.spawn(serve(session, lease, upstream, self.common.clone()));
        if came_up {
            self.place_waiting(Instant::now());
        }
    }

    fn refused(&mut self, session: Box<Session>, lease: Lease, fault: Fault) {
        let now = Instant::now();
        match fault {
            Fault::Upstream(error) => self.pool.failed(&lease, error, now),
            Fault::Own => self.pause(),
        }
        drop(lease);
        self.place(session, now);
    }

    fn silent(&mut self, mut session: Box<Session>, lease: Lease) {
        self.pool.unanswered(lease.key);
        session.tried.push(lease.key);
        drop(lease);
        if !session.request.bytes.is_empty() {
            session.resends += 1;
        }
        if session.resends > self.max_resends || session.request.must_not_be_repeated() {
            self.given_up += 1;
        } else {
            self.place(session, Instant::now());
        }
    }

    fn obey(&mut self, command: Command) -> Answer {
        match command {
            Command::Upstreams(specs) => match self.pool.replace(specs) {
                Ok(()) => {
                    // Who sets upstreams may be new here, so it is told even what was told before.
                    self.idle.send_if_modified(|told| {
                        told.clear();
                        false
                    });
                    self.place_waiting(Instant::now());
                    Answer::Done
                }
                Err(error) => Answer::Refused(error.to_string()),
            },
            Command::Drain => {
                self.drain();
                Answer::Done
            }
            Command::Stats => Answer::Stats(self.stats()),
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        for accepted in self.listeners.close() {
            self.admit(accepted);
        }
    }

    fn stats(&mut self) -> Stats {
        Stats {
            connections: self.connections(),
            waiting: self.queue.len(),
            accepted: self.accepted,
            given_up: self.given_up,
            draining: self.draining,
            upstreams: self.pool.stats(),
        }
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        self.paused = self.paused.filter(|until| *until > now);
        while self.queue.pop_expired(now).is_some() {
            self.given_up += 1;
        }
        self.place_waiting(now);
    }

    fn pause(&mut self) {
        self.paused = Some(Instant::now() + PAUSE);
    }

    /// Whether one more client fits. Others wait in the kernel's queue: nobody is refused.
    fn may_accept(&self) -> bool {
        !self.draining && self.paused.is_none() && self.connections() < self.max_connections
    }

    fn connections(&self) -> usize {
        self.tasks.len() + self.queue.len()
    }

    /// When the clock is to be looked at next.
    fn next_time(&self) -> Option<Instant> {
        if self.queue.is_empty() {
            return self.paused;
        }
        let retry = self.pool.next_retry(Instant::now());
        // While paused nothing is tried, so a retry that is due must not wake us again and again.
        let placing = self.paused.or(retry);
        [placing, self.queue.deadline()].into_iter().flatten().min()
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

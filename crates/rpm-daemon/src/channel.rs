//! Node IPC: one task a worker moves lines between its channel and the engine. The engine owns the
//! conversation; the task only reads, writes and waits.
//!
//! A message is consumed after the engine acted on it, so a daemon killed in between leaves it to
//! its successor (traps A12).

use crate::{
    activation,
    engine::Engine,
    inbox::Message,
    launch,
    listeners::{self, Asked, Listened},
    pace::Pace,
};
use rpm_cluster::{
    channel::{Channel, SendError},
    endpoint::Endpoint,
    message::{Bound, Message as Said},
    reply,
    worker::{Action, Conversation, ListenerRequest},
};
use rpm_config::{AppSpec, ExecMode, Ready};
use rpm_keeper::{Address, ChildId, Request};
use rpm_supervisor::{Event, WorkerId};
use serde_json::Value;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};
use tokio::{sync::mpsc, task::spawn_local};

/// Lines the engine may give a task before it has sent them; beyond it the line is lost to that
/// worker alone.
const MAX_COMMANDS: usize = 256;

/// Node's own backlog, where an app gives none (net.Server.listen).
const BACKLOG: i32 = 511;
/// How many addresses a worker asked for are remembered.
const MAX_ASKED: usize = 256;
/// Linux's number of EINVAL.
const EINVAL: i32 = 22;

/// What the engine tells a channel's task.
enum Command {
    Send(Vec<u8>, Option<OwnedFd>),
    Consume,
}

/// The engine's half of a worker's channel.
pub(crate) struct ChannelHandle {
    commands: mpsc::Sender<Command>,
    pub(crate) conversation: Conversation,
}

impl ChannelHandle {
    /// Asks the preload to drain; false when the task is gone.
    pub(crate) fn drain(&self) -> bool {
        self.send(reply::drain(), None)
    }

    /// Sends the app a message; false when it cannot be sent.
    pub(crate) fn tell(&self, message: &Value) -> bool {
        self.send(reply::app(message), None)
    }

    fn send(&self, line: Vec<u8>, descriptor: Option<OwnedFd>) -> bool {
        self.commands.try_send(Command::Send(line, descriptor)).is_ok()
    }

    fn consume(&self) {
        // Only a task that is gone cannot be told, and then nothing is left to consume.
        let _ = self.commands.try_send(Command::Consume);
    }
}

/// Serves our end of a worker's channel.
pub(crate) fn start(
    worker: WorkerId,
    socket: OwnedFd,
    engine: mpsc::Sender<Message>,
) -> io::Result<ChannelHandle> {
    let channel = Channel::new(socket)?;
    let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
    spawn_local(async move {
        if let Err(error) = serve(worker, channel, receiver, &engine).await {
            tracing::warn!(%worker, "its channel is given up: {error}");
        }
    });
    let ipv6 = std::path::Path::new("/proc/net/if_inet6").exists();
    Ok(ChannelHandle { commands, conversation: Conversation::new(ipv6) })
}

async fn serve(
    worker: WorkerId,
    mut channel: Channel,
    mut commands: mpsc::Receiver<Command>,
    engine: &mpsc::Sender<Message>,
) -> io::Result<()> {
    // A message was passed to the engine and not consumed yet.
    let mut told = false;
    let mut pace = Pace::new(Instant::now());
    loop {
        tokio::select! {
            next = next(&mut channel, told, &pace) => {
                let Some(said) = next? else { return Ok(()) };
                told = true;
                if engine.send(Message::Channel { worker, said }).await.is_err() {
                    return Ok(());
                }
            }
            command = commands.recv() => match command {
                Some(Command::Send(line, fd)) => {
                    let fd = fd.as_ref().map(AsFd::as_fd);
                    match channel.send(line, fd) {
                        Ok(()) | Err(SendError::Closed) => {}
                        // It reads nothing, or cannot have so long a line: its loss alone.
                        Err(error @ (SendError::Full | SendError::TooLong(_))) => {
                            tracing::warn!(%worker, "it is not told something: {error}");
                        }
                        Err(error @ SendError::Broken(_)) => return Err(io::Error::other(error)),
                    }
                }
                Some(Command::Consume) => {
                    channel.consume()?;
                    told = false;
                    pace.took(channel.taken(), Instant::now());
                }
                None => return Ok(()),
            },
        }
    }
}

/// The next message; while one is with the engine, or too many came at once, only sends what waits.
async fn next(channel: &mut Channel, told: bool, pace: &Pace) -> io::Result<Option<Said>> {
    if !told && pace.pause().is_none() {
        return channel.receive().await;
    }
    channel.flush().await?;
    match pace.pause().filter(|_| !told) {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => return std::future::pending().await,
    }
    channel.receive().await
}

impl Engine {
    /// A Node worker said something.
    pub(crate) fn on_channel(&mut self, worker: WorkerId, said: Said) {
        let Some(known) = self.workers.get_mut(worker) else { return };
        let app = known.label.app.clone();
        let Some(channel) = known.process.as_mut().and_then(|p| p.channel.as_mut()) else { return };
        let keys = self.listeners.keys.entry(app).or_default();
        let actions = channel.conversation.on_message(said, keys);
        let mut answered = true;
        for action in actions {
            answered &= self.on_action(worker, action);
        }
        if answered && let Some(channel) = self.channel_of(worker) {
            channel.consume();
        }
    }

    /// Does what a conversation wants; false when its message stays unanswered for now.
    fn on_action(&mut self, worker: WorkerId, action: Action) -> bool {
        match action {
            Action::NeedListener(request) => return self.find_listener(worker, request),
            Action::Send(line) => {
                self.channel_of(worker).map(|channel| channel.send(line, None));
            }
            Action::Listening(endpoint) => self.on_shared_listener(worker, &endpoint),
            Action::Serves(bound) => self.on_server(worker, bound.as_ref()),
            Action::Closed(endpoint) => self.on_closed(worker, &endpoint),
            Action::Drained => self.step(Event::Drained { worker }),
            Action::App(message) => self.on_app_message(worker, message),
            Action::Online | Action::Leaves => {}
        }
        true
    }

    /// node:cluster says that a worker listens. Of TCP and unix sockets the preload says later
    /// whether they stay: some programs only try whether a port is free.
    fn on_shared_listener(&mut self, worker: WorkerId, endpoint: &Endpoint) {
        if let Some(address) = address_of(endpoint) {
            self.note_listening(worker, listeners::text(&address));
        }
        let Some(spec) = self.spec_of(worker) else { return };
        if matches!(endpoint, Endpoint::Udp(_)) || !launch::wants_preload(&spec) {
            self.on_proof(worker, Ready::Listening);
        }
    }

    /// The preload says that a server is there to stay. Where it is, node:cluster has told already.
    fn on_server(&mut self, worker: WorkerId, bound: Option<&Bound>) {
        let Some(spec) = self.spec_of(worker) else { return };
        if let Some(bound) = bound.filter(|_| spec.mode == ExecMode::Fork) {
            self.note_listening(worker, listeners::bound_text(bound));
        }
        self.on_proof(worker, Ready::Listening);
    }

    /// A worker proved itself in one way; it counts if its app waits for that way.
    pub(crate) fn on_proof(&mut self, worker: WorkerId, proof: Ready) {
        if self.spec_of(worker).is_none_or(|spec| spec.ready != proof) {
            return;
        }
        if proof == Ready::Message {
            // It says itself that it is complete: what it has not bound by now it never will.
            self.keeper.send(Request::Settled { child: ChildId(worker.0) });
        }
        self.step(Event::Ready { worker, listening: proof == Ready::Listening });
    }

    /// Asks the keeper for the socket a worker wants.
    fn find_listener(&mut self, worker: WorkerId, request: ListenerRequest) -> bool {
        let Some(spec) = self.spec_of(worker) else { return true };
        let Some(slot) = self.workers.get(worker).map(|known| known.label.slot) else {
            return true;
        };
        let name = request.key.to_string();
        let endpoint = self.listeners.settle_port(&spec.name, &name, request.endpoint);
        let Some(address) = activation::meant(&spec, &endpoint).or_else(|| address_of(&endpoint))
        else {
            self.answer_listener(worker, request.seq, Err((EINVAL, None)));
            return false;
        };
        let record = self.workers.get_mut(worker).map(|known| &mut known.record);
        if let Some(record) = record.filter(|record| record.asked.len() < MAX_ASKED) {
            self.dirty.state |= record.asked.insert(listeners::text(&address));
        }
        let asked = Asked { worker, seq: Some(request.seq), address: address.clone() };
        let number = self.listeners.ask(asked);
        self.keeper.send(Request::Listen {
            request: number,
            owner: crate::launch::owner(&spec, slot),
            address,
            only_v6: request.ipv6_only,
            // What is below 0 means the most to listen(2), and 0 to the keeper.
            backlog: request.backlog.unwrap_or(BACKLOG).max(0),
            balance: crate::sharing::balance(&spec),
        });
        false
    }

    /// Answers a worker that waited for a socket, and takes its message out of the channel.
    pub(crate) fn answer_listener(&mut self, worker: WorkerId, seq: u64, listened: Listened) {
        let process = self.workers.get_mut(worker).and_then(|known| known.process.as_mut());
        let Some(channel) = process.and_then(|process| process.channel.as_mut()) else { return };
        let found = listened.as_ref().map(|_| ()).map_err(|(errno, _)| *errno);
        if let Some(answer) = channel.conversation.on_listener(seq, found) {
            let socket = listened.ok().filter(|_| answer.with_listener);
            channel.send(answer.line, socket);
        }
        channel.consume();
    }

    fn on_closed(&mut self, worker: WorkerId, endpoint: &Endpoint) {
        let Some(place) = self.fleet.worker(worker) else { return };
        let (role, slot) = (place.role, place.slot);
        let (Some(spec), Some(address)) = (self.spec_of(worker), address_of(endpoint)) else {
            return;
        };
        if let Some(known) = self.workers.get_mut(worker) {
            self.dirty.state |= known.record.asked.remove(&listeners::text(&address));
            if let Address::Tcp(address) = &address {
                self.dirty.state |= known.record.private.remove(address).is_some();
            }
        }
        // A worker that drains closes too, and its replacement serves on; a replacement that looks
        // whether its port is free closes what nobody else has.
        match role {
            rpm_supervisor::Role::Current => {}
            rpm_supervisor::Role::Replacement if !self.serves(&spec, slot, &address) => {}
            rpm_supervisor::Role::Replacement | rpm_supervisor::Role::Leaving => return,
        }
        // What rpm bound for the app stays bound, whatever one worker does.
        if activation::meant(&spec, endpoint).is_some() {
            return;
        }
        let owner = crate::launch::owner(&spec, slot);
        self.keeper.send(Request::Close { owner, address });
    }

    /// Whether a worker of the slot has asked for this address and not closed it.
    fn serves(&self, spec: &AppSpec, slot: u32, address: &Address) -> bool {
        let text = listeners::text(address);
        self.workers.iter().any(|(_, worker)| {
            let mine = worker.label.app == spec.name && worker.label.slot == slot;
            mine && worker.record.asked.contains(&text)
        })
    }

    fn channel_of(&self, worker: WorkerId) -> Option<&ChannelHandle> {
        self.workers.process(worker)?.channel.as_ref()
    }
}

/// What the keeper calls an endpoint; `None` for what it cannot make.
fn address_of(endpoint: &Endpoint) -> Option<Address> {
    match endpoint {
        Endpoint::Tcp(address) => Some(Address::Tcp(*address)),
        Endpoint::Udp(address) => Some(Address::Udp(*address)),
        Endpoint::Unix(path) => Some(Address::Unix(path.clone())),
        Endpoint::Inherited(_) => None,
    }
}

//! Serving both sockets: a task for each client, which ends with it.

use crate::{
    act::Covered,
    amp::{AmpError, Argument, Decoder, encode},
    bus::Bus,
    calls::{self, Caller, Reply},
    feed,
    listener::{self, Sockets},
    rpm::Rpm,
    say::Order,
};
use serde_json::Value;
use std::{io, path::PathBuf, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, broadcast::error::RecvError},
    task::JoinSet,
    time::timeout,
};

/// Clients of `rpc.sock` at once; further ones are hung up on.
pub const MAX_CLIENTS: usize = 32;
/// Calls of all clients that are under way at once, each a client of `rpm.sock`; further ones wait.
pub const MAX_CALLS: usize = 16;
/// Calls of one client that are read and not answered; beyond, it is not read.
const MAX_PIPELINED: usize = 16;
/// Clients of `pub.sock` at once; further ones are hung up on.
pub const MAX_SUBSCRIBERS: usize = 32;
/// The longest call in bytes: a description carries its environment three times.
pub const MAX_REQUEST: usize = 4 << 20;
/// How long a write may make no progress.
const STALL: Duration = Duration::from_secs(30);
/// How much is asked of the kernel at once, in bytes.
const CHUNK: usize = 16 << 10;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Place {
    /// `rpm.sock`.
    pub rpm: PathBuf,
    /// The directory of the apps' log files.
    pub logs: PathBuf,
}

struct Shared {
    rpm: Rpm,
    bus: Bus,
    calls: Semaphore,
    logs: PathBuf,
}

/// Serves until dropped; all its clients are hung up on then. Needs a `LocalSet`.
///
/// # Errors
/// The sockets cannot be registered.
pub async fn serve(sockets: Sockets, place: Place) -> io::Result<()> {
    let calls = listener::adopt(sockets.calls)?;
    let bus = listener::adopt(sockets.bus)?;
    let shared = Rc::new(Shared {
        rpm: Rpm { socket: place.rpm },
        bus: Bus::new(),
        calls: Semaphore::new(MAX_CALLS),
        logs: place.logs,
    });
    tokio::select! {
        () = serve_calls(&calls, &shared) => {}
        () = serve_bus(&bus, &shared) => {}
        () = feed::run(&shared.rpm, &shared.bus) => {}
    }
    Ok(())
}

async fn serve_calls(listener: &UnixListener, shared: &Rc<Shared>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            (stream, pid) = listener::accept(listener) => {
                if clients.len() < MAX_CLIENTS {
                    clients.spawn_local(serve_caller(stream, pid, Rc::clone(shared)));
                } else {
                    tracing::warn!("more than {MAX_CLIENTS} PM2 clients at once: one is refused");
                }
            }
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
        }
    }
}

/// Serves one client until it hangs up; its calls are answered in any order.
async fn serve_caller(mut stream: UnixStream, pid: Option<i32>, shared: Rc<Shared>) {
    let mut decoder = Decoder::new(MAX_REQUEST);
    let mut calls = JoinSet::new();
    let client = Rc::new(Client { pid, covered: Covered::default() });
    let mut is_reading = true;
    while is_reading || !calls.is_empty() {
        let may_read = is_reading && calls.len() < MAX_PIPELINED;
        decoder.buffer().reserve(CHUNK);
        tokio::select! {
            read = stream.read_buf(decoder.buffer()), if may_read => {
                is_reading = matches!(read, Ok(1..));
            }
            Some(done) = calls.join_next(), if !calls.is_empty() => {
                let Ok(Done { frame, order }) = done else { continue };
                if !write(&mut stream, &frame).await {
                    // What it asked for is done all the same.
                    is_reading = false;
                }
                if let Some(order) = order {
                    calls.spawn_local(give(order, Rc::clone(&shared)));
                }
            }
        }
        while calls.len() < MAX_PIPELINED {
            match next_call(&mut decoder) {
                Ok(Some((message, id))) => {
                    let client = Rc::clone(&client);
                    calls.spawn_local(answer(message, id, client, Rc::clone(&shared)));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!("a PM2 client was hung up on: {error}");
                    return;
                }
            }
        }
    }
}

/// The next call and the id its answer carries. A message of another shape is none.
fn next_call(decoder: &mut Decoder) -> Result<Option<(Value, String)>, AmpError> {
    while let Some(mut message) = decoder.next()? {
        match (message.pop(), message.pop()) {
            (Some(Argument::Text(id)), Some(Argument::Json(call))) => return Ok(Some((call, id))),
            (_, _) => tracing::debug!("a PM2 client's message is no call"),
        }
    }
    Ok(None)
}

/// What is left of a call: what to write (nothing: no bytes), and what to do then.
struct Done {
    frame: Vec<u8>,
    order: Option<Order>,
}

/// A client of `rpc.sock`.
struct Client {
    pid: Option<i32>,
    covered: Covered,
}

async fn answer(message: Value, id: String, client: Rc<Client>, shared: Rc<Shared>) -> Done {
    shared.bus.ready().await;
    // An error would mean a closed semaphore; nobody closes it.
    let _permit = shared.calls.acquire().await;
    let caller = Caller {
        rpm: &shared.rpm,
        bus: &shared.bus,
        pid: client.pid,
        covered: &client.covered,
        logs: &shared.logs,
    };
    let Reply { answer, order } = calls::reply(&caller, &message).await;
    let frame = answer.map(|answer| encode(&[Argument::Json(answer), Argument::Text(id)]));
    Done { frame: frame.unwrap_or_default(), order }
}

async fn give(order: Order, shared: Rc<Shared>) -> Done {
    let _permit = shared.calls.acquire().await;
    order.give(&shared.rpm).await;
    Done { frame: Vec::new(), order: None }
}

async fn serve_bus(listener: &UnixListener, shared: &Rc<Shared>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            (stream, _) = listener::accept(listener) => {
                if clients.len() < MAX_SUBSCRIBERS {
                    clients.spawn_local(serve_subscriber(stream, Rc::clone(shared)));
                } else {
                    tracing::warn!("more than {MAX_SUBSCRIBERS} listen to PM2's bus: one is refused");
                }
            }
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
        }
    }
}

/// Tells one subscriber until it hangs up. What it says counts for nothing.
async fn serve_subscriber(mut stream: UnixStream, shared: Rc<Shared>) {
    let mut subscription = shared.bus.subscribe();
    let mut ignored = [0; 512];
    loop {
        tokio::select! {
            frame = subscription.frames.recv() => match frame {
                Ok(frame) => {
                    if !write(&mut stream, &frame).await {
                        return;
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!("a listener of PM2's bus missed {missed} messages");
                }
                Err(RecvError::Closed) => return,
            },
            read = stream.read(&mut ignored) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
            }
        }
    }
}

/// Whether all of it was taken, each piece in time.
async fn write(stream: &mut UnixStream, bytes: &[u8]) -> bool {
    for piece in bytes.chunks(CHUNK) {
        if !matches!(timeout(STALL, stream.write_all(piece)).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}

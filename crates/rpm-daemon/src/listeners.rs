//! Sockets for Node workers: what they ask for over IPC is fetched from the keeper, which makes and
//! holds it, and handed on.

use crate::engine::Engine;
use rpm_cluster::{endpoint::Endpoint, key_data::KeyData, message::Bound};
use rpm_config::AppName;
use rpm_keeper::{Address, Owner};
use rpm_supervisor::WorkerId;
use std::{collections::BTreeMap, net::SocketAddr, os::fd::OwnedFd};

/// Requests under way, and what all workers of an app must be told alike.
#[derive(Default)]
pub(crate) struct Listeners {
    /// What the first worker of each listener said, for all that follow (traps A11).
    pub(crate) keys: BTreeMap<AppName, KeyData>,
    /// Requests to the keeper that are not answered.
    waiting: BTreeMap<u64, Asked>,
    /// Ports chosen for listeners on port 0: all workers of an app get the same.
    pub(crate) ports: ChosenPorts,
    next: u64,
}

/// A request to the keeper, on behalf of a worker.
pub(crate) struct Asked {
    /// Which.
    pub(crate) worker: WorkerId,
    /// Its own number of the request; `None`: it asked for nothing, its front's address is wanted.
    pub(crate) seq: Option<u64>,
    /// Where it wants to listen.
    pub(crate) address: Address,
}

/// By app and the listener's key.
pub(crate) type ChosenPorts = BTreeMap<AppName, BTreeMap<String, u16>>;

/// The keeper's answer: a socket, or an error number and the other app that has the address.
pub(crate) type Listened = Result<OwnedFd, (i32, Option<Owner>)>;

impl Listeners {
    /// With what a predecessor knew.
    pub(crate) fn new(keys: BTreeMap<AppName, KeyData>, ports: ChosenPorts) -> Self {
        Self { keys, ports, waiting: BTreeMap::new(), next: 0 }
    }

    /// An app is gone.
    pub(crate) fn forget(&mut self, app: &AppName) {
        self.keys.remove(app);
        self.ports.remove(app);
    }

    /// The place for a listener: for port 0 the port its app got for the same key before, or a
    /// free one.
    pub(crate) fn settle_port(&mut self, app: &AppName, key: &str, place: Endpoint) -> Endpoint {
        let (Endpoint::Tcp(mut address) | Endpoint::Udp(mut address)) = place else { return place };
        if address.port() != 0 {
            return place;
        }
        let chosen = self.ports.entry(app.clone()).or_default();
        let port = chosen.get(key).copied().or_else(|| free_port(address));
        let Some(port) = port else { return place };
        chosen.insert(key.to_owned(), port);
        address.set_port(port);
        match place {
            Endpoint::Udp(_) => Endpoint::Udp(address),
            Endpoint::Tcp(_) | Endpoint::Unix(_) | Endpoint::Inherited(_) => Endpoint::Tcp(address),
        }
    }

    /// A worker is gone.
    pub(crate) fn forget_worker(&mut self, worker: WorkerId) {
        self.waiting.retain(|_, asked| asked.worker != worker);
    }

    /// Notes who waits for an answer; returns the request's number.
    pub(crate) fn ask(&mut self, asked: Asked) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, asked);
        self.next
    }

    /// Who waited for this request.
    pub(crate) fn take(&mut self, request: u64) -> Option<Asked> {
        self.waiting.remove(&request)
    }
}

/// A port nobody listens on now.
fn free_port(at: SocketAddr) -> Option<u16> {
    let listener = std::net::TcpListener::bind(at).ok()?;
    Some(listener.local_addr().ok()?.port())
}

/// Where a server found itself, as people write it.
pub(crate) fn bound_text(bound: &Bound) -> String {
    match bound {
        Bound::Tcp(address, port) if address.contains(':') => format!("[{address}]:{port}"),
        Bound::Tcp(address, port) => format!("{address}:{port}"),
        Bound::Unix(path) => format!("unix:{path}"),
    }
}

/// An address as people write it.
pub(crate) fn text(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Udp(address) => format!("udp:{address}"),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

impl Engine {
    /// The keeper answered a worker's wish.
    pub(crate) fn on_listener(&mut self, request: u64, listened: Listened) {
        let Some(Asked { worker, seq, address }) = self.listeners.take(request) else { return };
        if let Ok(socket) = &listened {
            self.note_private(worker, &address, socket);
        }
        let Some(seq) = seq else { return };
        if let Err((errno, holder)) = &listened {
            self.on_refused(worker, &address, *errno, holder.as_ref());
        }
        self.answer_listener(worker, seq, listened);
    }
}

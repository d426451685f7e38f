//! The control socket: how a Node behind a wrapper (`npm start`), which has no IPC channel of ours,
//! is asked to drain. Its preload connects when it first listens.
//!
//! Whose process a client is follows from its pid (SO_PEERCRED) and the process table, not from
//! what it says. So every user may connect, as an app may run as another one than we do (traps
//! A10), and a process of no worker is hung up on.

use crate::{engine::Engine, inbox::Message, keeper_link::KeeperLink, store};
use rpm_cluster::control::{self, Lines, Report};
use rpm_keeper::Request;
use rpm_supervisor::{Event, WorkerId};
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixListener as StdListener},
    },
    path::Path,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::spawn_local,
};

/// More processes than this do not get in: each worker has one or a few.
const MAX_CLIENTS: usize = 8192;

/// What a client's task tells the engine.
pub(crate) enum News {
    /// A process connected.
    Connected {
        /// Its pid.
        pid: i32,
        /// Makes its task send `drain`; dropping it makes it hang up.
        drain: mpsc::Sender<()>,
    },
    /// It has finished its last connection.
    Drained {
        /// Its pid.
        pid: i32,
    },
    /// It hung up.
    Gone {
        /// Its pid.
        pid: i32,
    },
}

/// All connected processes.
pub(crate) struct Control {
    clients: BTreeMap<i32, Client>,
}

struct Client {
    worker: WorkerId,
    drain: mpsc::Sender<()>,
    drained: bool,
}

impl Control {
    /// Serves the socket at `path`, a predecessor's (`held`) or a new one, which the keeper then
    /// holds: a client that connects while no daemon lives waits.
    pub(crate) fn start(
        path: &Path,
        held: Option<OwnedFd>,
        engine: mpsc::Sender<Message>,
        keeper: &mut KeeperLink,
    ) -> io::Result<Self> {
        let listener = match held {
            Some(fd) => StdListener::from(fd),
            None => bind(path, keeper)?,
        };
        listener.set_nonblocking(true)?;
        spawn_local(accept(UnixListener::from_std(listener)?, engine));
        Ok(Self { clients: BTreeMap::new() })
    }

    /// Asks all processes of a worker to drain; false when none is connected.
    pub(crate) fn drain(&self, worker: WorkerId) -> bool {
        let mut asked = false;
        for client in self.clients.values().filter(|client| client.worker == worker) {
            // Full: it is asked already. Closed: it hung up, which its task is about to tell.
            let _ = client.drain.try_send(());
            asked = true;
        }
        asked
    }

    /// Whether every process of the worker that is connected has drained.
    fn is_drained(&self, worker: WorkerId) -> bool {
        self.clients.values().filter(|client| client.worker == worker).all(|client| client.drained)
    }
}

impl Engine {
    /// Takes what a control client told.
    pub(crate) fn on_control(&mut self, news: News) {
        match news {
            News::Connected { pid, drain } => {
                if self.control.clients.len() < MAX_CLIENTS
                    && let Some(worker) = self.worker_of_process(pid)
                {
                    let client = Client { worker, drain, drained: false };
                    self.control.clients.insert(pid, client);
                }
            }
            News::Drained { pid } => {
                let Some(client) = self.control.clients.get_mut(&pid) else { return };
                client.drained = true;
                let worker = client.worker;
                if self.control.is_drained(worker) {
                    self.step(Event::Drained { worker });
                }
            }
            News::Gone { pid } => drop(self.control.clients.remove(&pid)),
        }
    }

    /// The worker in whose tree a process is: by its session, or else by its ancestors.
    pub(crate) fn worker_of_process(&self, pid: i32) -> Option<WorkerId> {
        /// Deeper nesting than any wrapper's.
        const MAX_DEPTH: usize = 32;
        let mut next = pid;
        for _ in 0..MAX_DEPTH {
            let process = rpm_unix::procfs::process(next)?;
            let found = self.workers.led_by(process.session).or_else(|| self.workers.led_by(next));
            if found.is_some() {
                return found;
            }
            next = process.ppid;
        }
        None
    }
}

fn bind(path: &Path, keeper: &mut KeeperLink) -> io::Result<StdListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = StdListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    let fd = OwnedFd::from(listener.try_clone()?);
    keeper.send(Request::Hold { name: store::CONTROL.to_owned(), fd });
    Ok(listener)
}

async fn accept(listener: UnixListener, engine: mpsc::Sender<Message>) {
    while let Ok((stream, _)) = listener.accept().await {
        spawn_local(serve(stream, engine.clone()));
    }
}

/// Serves one process until it hangs up.
async fn serve(mut stream: UnixStream, engine: mpsc::Sender<Message>) {
    let Some(pid) = stream.peer_cred().ok().and_then(|peer| peer.pid()) else { return };
    let (drain, asked) = mpsc::channel(1);
    if engine.send(Message::Control(News::Connected { pid, drain })).await.is_ok()
        && converse(&mut stream, pid, asked, &engine).await != Ended::Unwanted
    {
        let _ = engine.send(Message::Control(News::Gone { pid })).await;
    }
}

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The process left, or cannot be heard any more.
    Gone,
    /// The engine has no use for it.
    Unwanted,
}

async fn converse(
    stream: &mut UnixStream,
    pid: i32,
    mut asked: mpsc::Receiver<()>,
    engine: &mpsc::Sender<Message>,
) -> Ended {
    let mut lines = Lines::default();
    let mut bytes = [0; 4096];
    let mut sent = stream.write_all(control::ACCEPTED).await;
    while sent.is_ok() {
        tokio::select! {
            read = stream.read(&mut bytes) => {
                let Ok(read @ 1..) = read else { return Ended::Gone };
                for line in lines.push(bytes.get(..read).unwrap_or_default()) {
                    if Report::parse(&line) == Ok(Report::Drained) {
                        let drained = Message::Control(News::Drained { pid });
                        // An engine that is gone takes this task with it.
                        let _ = engine.send(drained).await;
                    }
                }
            }
            wish = asked.recv() => match wish {
                Some(()) => sent = stream.write_all(control::DRAIN).await,
                None => return Ended::Unwanted,
            },
        }
    }
    Ended::Gone
}

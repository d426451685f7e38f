//! [`serve`]: connections in, connections out, and an end that no client notices.
//!
//! ```text
//! Open ── shutdown ──► Draining ── 5 s or all gone ──► Closing ── all gone ──► return
//! keep-alive           each answer is the last          idle connections close,
//!                      of its connection                running answers end
//! ```
//! What an answer says is `answer`'s work. Which signal means shutdown is the caller's.

use crate::Options;
use crate::answer::Answerer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Connections at once; further ones wait in the kernel's queue. With one file open for each it
/// stays below the usual limit of 1,024 descriptors.
pub const MAX_CONNECTIONS: u32 = 480;

/// How long an idle keep-alive connection may still send a request after shutdown began.
pub const KEEP_ALIVE_GRACE: Duration = Duration::from_secs(5);

/// How long a client may take to send the head of its next request; nginx's `keepalive_timeout`.
const IDLE_LIMIT: Duration = Duration::from_secs(75);

/// The pause after an accept that failed for want of descriptors or memory: nothing tells when
/// other programs give them back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the server stands; connections watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Closing,
}

/// Serves connections of `listener` until `shutdown` resolves and the last one is answered.
///
/// # Errors
///
/// The root of `options` is no directory, or the listener is none.
pub async fn serve(
    options: Options,
    listener: std::net::TcpListener,
    shutdown: impl Future,
) -> io::Result<()> {
    let (phase, watcher) = watch::channel(Phase::Open);
    let server = Server {
        answerer: Arc::new(Answerer::new(options)?),
        permits: Arc::new(Semaphore::new(MAX_CONNECTIONS as usize)),
        phase: watcher,
    };
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    tokio::select! {
        () = server.accept_from(&listener) => {}
        _ = shutdown => {}
    }
    server.accept_queued(listener.into_std()?);
    server.drain(&phase).await;
    Ok(())
}

struct Server {
    answerer: Arc<Answerer>,
    permits: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
}

impl Server {
    async fn accept_from(&self, listener: &TcpListener) {
        loop {
            // The semaphore is never closed: an error cannot come, and would end the loop.
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, permit),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Takes what has already connected: closing the listener would reset it.
    fn accept_queued(&self, listener: std::net::TcpListener) {
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned()
            && let Ok((stream, _)) = listener.accept()
        {
            if let Ok(stream) = nonblocking(stream) {
                self.spawn(stream, permit);
            }
        }
    }

    fn spawn(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        let answerer = Arc::clone(&self.answerer);
        let phase = self.phase.clone();
        tokio::spawn(async move {
            serve_connection(stream, &answerer, phase).await;
            drop(permit);
        });
    }

    async fn drain(&self, phase: &watch::Sender<Phase>) {
        phase.send_replace(Phase::Draining);
        if timeout(KEEP_ALIVE_GRACE, self.all_gone()).await.is_err() {
            phase.send_replace(Phase::Closing);
            self.all_gone().await;
        }
    }

    /// Every permit is back: every connection has ended.
    async fn all_gone(&self) {
        // Closed or not, there is nothing left to wait for.
        drop(self.permits.acquire_many(MAX_CONNECTIONS).await);
    }
}

fn nonblocking(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

async fn serve_connection(stream: TcpStream, answerer: &Answerer, phase: watch::Receiver<Phase>) {
    // Without it small answers on a kept connection wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut closing = phase.clone();
    let service = service_fn(|request| {
        let last = *phase.borrow() != Phase::Open;
        async move { Ok::<_, Infallible>(answerer.answer(&request, last).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A connection's end, good or bad, is the client's affair and nobody else's.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|phase| *phase == Phase::Closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

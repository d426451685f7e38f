//! What waits to be written to one client: a queue bounded in messages and bytes, and the task
//! that empties it.
//!
//! Nobody waits for a client: where the queue is full, or a write makes no progress for long, the
//! client is disconnected.

use crate::{connection::Gone, pipeline::Place, stream::Shared};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// How many messages may wait: a burst of events of a large fleet, twice.
pub const MAX_QUEUED: usize = 4096;
/// How many bytes may wait before a message, those of the message itself not counted, nor
/// those of a start's answer that the start counted for already.
pub const MAX_QUEUED_BYTES: usize = 4 << 20;
/// How long a write may make no progress: a client that is suspended on purpose comes back.
pub const STALL: Duration = Duration::from_secs(30);
/// How much is given to the kernel at once, so that a slow client makes visible progress.
const CHUNK: usize = 64 << 10;

/// Puts messages in; cloned freely.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Item>,
    bytes: Arc<AtomicUsize>,
    closed: Arc<watch::Sender<bool>>,
}

/// Takes messages out.
#[derive(Debug)]
pub(crate) struct Outlet {
    queue: mpsc::Receiver<Item>,
    bytes: Arc<AtomicUsize>,
    closed: watch::Receiver<bool>,
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// The answer of a request, whose place is free again when it is written.
    Answer(Vec<u8>, Place),
    /// Dropped when everything before it is written.
    Mark(oneshot::Sender<()>),
}

impl Item {
    /// For how many of the bytes that may wait.
    fn counts(&self) -> usize {
        match self {
            Self::Line(line) => line.len(),
            Self::Answer(line, place) => line.len().saturating_sub(place.covers()),
            Self::Mark(_) => 0,
        }
    }
}

impl Outbox {
    pub(crate) fn new() -> (Self, Outlet) {
        let (sender, queue) = mpsc::channel(MAX_QUEUED);
        let (close, closed) = watch::channel(false);
        let bytes = Arc::new(AtomicUsize::new(0));
        let outbox = Self { queue: sender, bytes: Arc::clone(&bytes), closed: Arc::new(close) };
        (outbox, Outlet { queue, bytes, closed })
    }

    /// Queues `line`; disconnects a client that lets too much wait.
    pub(crate) fn push(&self, line: Vec<u8>) -> Result<(), Gone> {
        self.put(Item::Line(line))
    }

    /// Queues an answer as [`Self::push`] does; when it is written, `place` is free again.
    pub(crate) fn push_answer(&self, line: Vec<u8>, place: Place) -> Result<(), Gone> {
        self.put(Item::Answer(line, place))
    }

    fn put(&self, item: Item) -> Result<(), Gone> {
        let length = item.counts();
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before <= MAX_QUEUED_BYTES && self.queue.try_send(item).is_ok() {
            return Ok(());
        }
        self.bytes.fetch_sub(length, Ordering::Relaxed);
        self.closed.send_replace(true);
        Err(Gone)
    }

    /// Until all that was pushed before is written, or the client is gone.
    pub(crate) async fn flushed(&self) {
        let (mark, written) = oneshot::channel();
        // Where the mark cannot be queued, the client is gone.
        if self.queue.send(Item::Mark(mark)).await.is_ok() {
            // Always an error: the mark is dropped, never sent.
            let _ = written.await;
        }
    }

    /// Until the client is disconnected from this side, or cannot be written to.
    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            // Cannot fail: this outbox holds the sending half.
            _ = closed.wait_for(|closed| *closed) => {}
            () = self.queue.closed() => {}
        }
    }
}

impl Outlet {
    /// Writes to `stream` until every outbox is dropped and all is written, or the client is
    /// disconnected.
    pub(crate) async fn run(mut self, mut stream: Shared) {
        while let Some(item) = self.queue.recv().await {
            let counted = item.counts();
            // The place, too, is kept until the answer is written.
            let (line, _place) = match item {
                Item::Line(line) => (line, None),
                Item::Answer(line, place) => (line, Some(place)),
                Item::Mark(mark) => {
                    drop(mark);
                    continue;
                }
            };
            let written = tokio::select! {
                written = write(&mut stream, &line) => written,
                () = disconnected(&mut self.closed) => false,
            };
            self.bytes.fetch_sub(counted, Ordering::Relaxed);
            if !written {
                return;
            }
        }
    }
}

async fn disconnected(closed: &mut watch::Receiver<bool>) {
    if closed.wait_for(|closed| *closed).await.is_err() {
        // Nobody can say it any more; what is queued is still to be written.
        std::future::pending::<()>().await;
    }
}

/// Whether all of it was taken, each piece in time.
async fn write(stream: &mut Shared, line: &[u8]) -> bool {
    for piece in line.chunks(CHUNK) {
        if !matches!(timeout(STALL, stream.write_all(piece)).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}

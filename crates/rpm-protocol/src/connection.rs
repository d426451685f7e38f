//! One client on the daemon's side: [`Connection`] reads its requests, any number of [`Sender`]s
//! answer them.
//!
//! A client that does not read costs a bounded queue and is then disconnected; one that asks
//! without reading is not read further. What a request does is the daemon's matter.

use crate::{
    EventView, Request, RpcError,
    frame::{FrameError, LineReader, MAX_REQUEST, MAX_RESPONSE},
    outbox::{Outbox, Outlet},
    rpc::{self, Id},
    stream::Shared,
};
use interprocess::os::unix::uds_local_socket::tokio::Stream;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How many requests of one client may be under way; it is not read further until an answer is
/// written. So many answers can wait for a client that does not read.
pub const MAX_PIPELINED: usize = 32;

/// A client; dropping it makes its events end, and leaves its answers to the senders.
#[derive(Debug)]
pub struct Connection {
    lines: LineReader<Shared>,
    sender: Sender,
    /// Whether requests may still come; dropped or false: the client hung up.
    reading: watch::Sender<bool>,
}

/// Answers a client, from any task.
#[derive(Clone, Debug)]
pub struct Sender {
    outbox: Outbox,
    pipeline: Arc<Semaphore>,
    reading: watch::Receiver<bool>,
}

/// The client is gone, or was disconnected because it did not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Connection {
    pub(crate) fn new(stream: Stream, permit: Option<OwnedSemaphorePermit>) -> Self {
        let stream = Shared(Arc::new(stream));
        let (outbox, outlet) = Outbox::new();
        let (reading, receiver) = watch::channel(true);
        tokio::spawn(serve_outlet(outlet, stream.clone(), permit));
        let pipeline = Arc::new(Semaphore::new(MAX_PIPELINED));
        let sender = Sender { outbox, pipeline, reading: receiver };
        Self { lines: LineReader::new(stream, MAX_REQUEST), sender, reading }
    }

    /// The next request; `None` when no more will come. An error was already sent to the client,
    /// and is returned for the daemon's log only. May be cancelled.
    pub async fn receive(&mut self) -> Option<Result<(Id, Request), RpcError>> {
        let received = self.next_line().await;
        if received.is_none() {
            self.reading.send_replace(false);
        }
        match rpc::parse_request(&received?) {
            Ok(request) => {
                self.sender.count_request();
                Some(Ok(request))
            }
            Err(refused) => {
                let error = refused.error;
                self.sender.refuse(&refused.id, error.clone());
                Some(Err(error))
            }
        }
    }

    /// Answers through the connection itself: see [`Sender::reply`].
    pub fn reply<T: Serialize>(&self, id: Id, answer: Result<T, RpcError>) {
        self.sender.reply(id, answer);
    }

    /// Tells through the connection itself: see [`Sender::notify`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn notify(&self, event: &EventView) -> Result<(), Gone> {
        self.sender.notify(event)
    }

    /// A handle that answers.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    async fn next_line(&mut self) -> Option<Vec<u8>> {
        // Reading waits while too many requests are under way.
        tokio::select! {
            permit = self.sender.pipeline.acquire() => drop(permit.ok()?),
            // No answer is written any more, so no place becomes free.
            () = self.sender.outbox.closed() => return None,
        }
        let line = tokio::select! {
            line = self.lines.next() => line,
            () = self.sender.outbox.closed() => return None,
        };
        match line {
            Ok(line) => line,
            Err(FrameError::TooLong(limit)) => {
                let message = format!("a request may have at most {limit} bytes");
                let error = RpcError::new(RpcError::PARSE, message);
                self.sender.refuse(&Id::Null, error);
                None
            }
            Err(FrameError::Cut | FrameError::Io(_)) => None,
        }
    }
}

/// Writes what the senders queue until they are gone. The permit counts the client until then.
async fn serve_outlet(outlet: Outlet, stream: Shared, permit: Option<OwnedSemaphorePermit>) {
    outlet.run(stream).await;
    drop(permit);
}

impl Sender {
    /// Answers request `id`, once. A client that is gone is no error: nobody waits.
    pub fn reply<T: Serialize>(&self, id: Id, answer: Result<T, RpcError>) {
        let line = Self::line(&id, &answer);
        // A client that is gone needs no answer.
        let _ = self.outbox.push_answer(line, Arc::clone(&self.pipeline));
    }

    /// Tells of an event.
    ///
    /// # Errors
    ///
    /// The client is gone; no further event needs to be told.
    pub fn notify(&self, event: &EventView) -> Result<(), Gone> {
        // A dropped connection is hung up too.
        if self.reading.has_changed().is_err() || !*self.reading.borrow() {
            return Err(Gone);
        }
        self.outbox.push(rpc::event_line(event))
    }

    /// Until no more requests will come: the time to stop telling events.
    pub async fn hung_up(&self) {
        let mut reading = self.reading.clone();
        // An error is a dropped connection: hung up as well.
        let _ = reading.wait_for(|reading| !reading).await;
    }

    /// Until all that was queued before is written, or the client is gone: for a daemon that is
    /// about to exit.
    pub async fn flushed(&self) {
        self.outbox.flushed().await;
    }

    /// The answer takes it back. There is always room: no line is read while there is none.
    fn count_request(&self) {
        if let Ok(permit) = self.pipeline.try_acquire() {
            permit.forget();
        }
    }

    fn refuse(&self, id: &Id, error: RpcError) {
        // As in `reply`.
        let _ = self.outbox.push(Self::line(id, &Err::<(), _>(error)));
    }

    fn line<T: Serialize>(id: &Id, answer: &Result<T, RpcError>) -> Vec<u8> {
        let mut line = rpc::answer_line(id, answer);
        if line.len() > MAX_RESPONSE {
            let message = format!("the answer has more than {MAX_RESPONSE} bytes");
            let error = RpcError::failed(message, Some("ask for fewer instances".into()));
            line = rpc::answer_line(id, &Err::<(), _>(error));
        }
        line
    }
}

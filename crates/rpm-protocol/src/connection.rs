//! One client on the daemon's side: [`Connection`] reads its requests, any number of [`Sender`]s
//! answer them.
//!
//! A client that does not read costs a bounded queue and is then disconnected; one that asks
//! without reading is not read further. What a request does is the daemon's matter.

use crate::{
    EventView, Request, RpcError,
    frame::{FrameError, LineReader, MAX_REQUEST, MAX_RESPONSE},
    outbox::{Outbox, Outlet},
    pipeline::{Pipeline, Place},
    rpc::{self, Id},
    stream::Shared,
};
use interprocess::os::unix::uds_local_socket::tokio::Stream;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// A client; dropping it makes its events end, and leaves its answers to the senders.
#[derive(Debug)]
pub struct Connection {
    lines: LineReader<Shared>,
    pipeline: Pipeline,
    sender: Sender,
    /// Whether requests may still come; dropped or false: the client hung up.
    reading: watch::Sender<bool>,
}

/// Answers a client, from any task.
#[derive(Clone, Debug)]
pub struct Sender {
    outbox: Outbox,
    reading: watch::Receiver<bool>,
}

/// A request that is under way: to be answered once. Dropped unanswered, it is under way no more.
#[derive(Debug)]
pub struct Asked {
    id: Id,
    place: Place,
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
        let sender = Sender { outbox, reading: receiver };
        let lines = LineReader::new(stream, MAX_REQUEST);
        Self { lines, pipeline: Pipeline::new(), sender, reading }
    }

    /// The next request; `None` when no more will come. An error was already sent to the client,
    /// and is returned for the daemon's log only. May be cancelled.
    pub async fn receive(&mut self) -> Option<Result<(Asked, Request), RpcError>> {
        let received = self.next_line().await;
        if received.is_none() {
            self.reading.send_replace(false);
        }
        let (place, line) = received?;
        match rpc::parse_request(&line) {
            Ok((id, request)) => {
                let place = place.cut_to(&request, line.len());
                Some(Ok((Asked { id, place }, request)))
            }
            Err(refused) => {
                let error = refused.error;
                self.sender.refuse(&refused.id, error.clone());
                Some(Err(error))
            }
        }
    }

    /// Answers through the connection itself: see [`Sender::reply`].
    pub fn reply<T: Serialize>(&self, asked: Asked, answer: Result<T, RpcError>) {
        self.sender.reply(asked, answer);
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

    /// A line, and a place for the largest request it can be.
    async fn next_line(&mut self) -> Option<(Place, Vec<u8>)> {
        // Reading waits while too much is under way.
        let place = tokio::select! {
            place = self.pipeline.place() => place?,
            // No answer is written any more, so no place becomes free.
            () = self.sender.outbox.closed() => return None,
        };
        let line = tokio::select! {
            line = self.lines.next() => line,
            () = self.sender.outbox.closed() => return None,
        };
        match line {
            Ok(line) => line.map(|line| (place, line)),
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
    /// Answers a request. A client that is gone is no error: nobody waits.
    pub fn reply<T: Serialize>(&self, asked: Asked, answer: Result<T, RpcError>) {
        let line = Self::line(&asked.id, &answer);
        // A client that is gone needs no answer.
        let _ = self.outbox.push_answer(line, asked.place);
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

//! [`Bus`]: what goes to everybody who is connected to `pub.sock`. Each has a bounded backlog; who
//! falls behind misses what came first, and nobody waits for him.

use crate::amp::{Argument, encode};
use serde_json::{Map, Value, json};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};

/// How many events a subscriber may be behind.
const BACKLOG: usize = 256;
/// How long a call waits for the bus of a client that has just subscribed.
const READY_LIMIT: Duration = Duration::from_secs(1);

/// A message as it goes over the wire, for all alike.
pub(crate) type Frame = Arc<[u8]>;

/// Sends to subscribers.
#[derive(Debug)]
pub(crate) struct Bus {
    frames: broadcast::Sender<Frame>,
    subscribers: watch::Sender<usize>,
    /// Whether what happens is being listened to.
    ready: watch::Sender<bool>,
}

/// One subscriber, until dropped.
#[derive(Debug)]
pub(crate) struct Subscription<'a> {
    bus: &'a Bus,
    pub(crate) frames: broadcast::Receiver<Frame>,
}

impl Bus {
    pub(crate) fn new() -> Self {
        Self {
            frames: broadcast::channel(BACKLOG).0,
            subscribers: watch::channel(0).0,
            ready: watch::channel(false).0,
        }
    }

    pub(crate) fn subscribe(&self) -> Subscription<'_> {
        self.subscribers.send_modify(|count| *count = count.saturating_add(1));
        Subscription { bus: self, frames: self.frames.subscribe() }
    }

    /// Until there is somebody to tell (`true`), or nobody any more.
    pub(crate) async fn wait_for(&self, somebody: bool) {
        let mut count = self.subscribers.subscribe();
        // Cannot fail: the bus holds the other end.
        let _ = count.wait_for(|count| (*count > 0) == somebody).await;
    }

    /// From now on subscribers are told all that happens, or not.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    /// Until what is done next is told to whoever subscribed before.
    pub(crate) async fn ready(&self) {
        if *self.subscribers.borrow() > 0 {
            let mut ready = self.ready.subscribe();
            let _in_time = timeout(READY_LIMIT, ready.wait_for(|ready| *ready)).await;
        }
    }

    /// Tells subscribers of `event`.
    pub(crate) fn say(&self, event: &str, payload: &Value) {
        if self.frames.receiver_count() > 0 {
            let arguments = [Argument::Text(event.into()), Argument::Json(payload.clone())];
            // It is no fault that nobody listens.
            let _ = self.frames.send(encode(&arguments).into());
        }
    }

    /// Tells of what happened to a process.
    pub(crate) fn process_event(
        &self,
        event: &str,
        manually: bool,
        process: &Map<String, Value>,
        at: u64,
    ) {
        let payload = json!({ "event": event, "manually": manually, "process": process, "at": at });
        self.say("process:event", &payload);
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        self.bus.subscribers.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

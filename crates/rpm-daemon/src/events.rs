//! The event stream: a bounded memory of what happened, and its subscribers.

use crate::clock;
use rpm_config::AppName;
use rpm_protocol::EventView;
use rpm_supervisor::{InstanceId, Notice};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::sync::broadcast;

/// How many past events a client can still ask for.
const REMEMBERED: usize = 1024;
/// How far a subscriber may fall behind before it is told that it missed some.
const BEHIND: usize = 1024;
/// The same of what apps say, which is as large as they like.
const MESSAGES_BEHIND: usize = 256;
/// The longest message of an app that is passed on; with [`MESSAGES_BEHIND`] it bounds what a slow
/// subscriber costs.
const MAX_MESSAGE_BYTES: usize = 32 << 10;

/// All events, in order, each with a cursor that never goes back.
pub(crate) struct EventLog {
    next: u64,
    past: VecDeque<EventView>,
    live: broadcast::Sender<EventView>,
    /// What apps say: apart, so that one that floods makes nobody miss what happens.
    messages: broadcast::Sender<EventView>,
}

impl EventLog {
    /// An empty log whose first event gets the cursor `next`.
    pub(crate) fn starting_at(next: u64) -> Self {
        Self {
            next,
            past: VecDeque::new(),
            live: broadcast::channel(BEHIND).0,
            messages: broadcast::channel(MESSAGES_BEHIND).0,
        }
    }

    /// The cursor of the next event: what a successor daemon starts at.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Records what the supervisor noticed and tells the subscribers.
    pub(crate) fn push(&mut self, notice: Notice) {
        let what = serde_json::to_value(&notice.kind).unwrap_or_default();
        self.tell(notice.app, notice.instance, what);
    }

    /// Records an event and tells the subscribers.
    pub(crate) fn tell(&mut self, app: AppName, instance: InstanceId, what: Value) {
        let event = event(self.next, app, instance, what);
        self.next += 1;
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(event.clone());
        // Nobody listening is the normal case.
        let _ = self.live.send(event);
    }

    /// Tells the subscribers what an app said. Not remembered: it is theirs who listen now.
    pub(crate) fn say(&self, app: AppName, instance: InstanceId, said: &Value) {
        if self.messages.receiver_count() == 0 {
            return;
        }
        let bytes = said.to_string().len();
        let what = if bytes <= MAX_MESSAGE_BYTES {
            json!({ "message": said })
        } else {
            json!({ "message_too_long": { "bytes": bytes } })
        };
        // It has no cursor of its own: who continues from it continues from what happened before.
        let _ = self.messages.send(event(self.next.saturating_sub(1), app, instance, what));
    }

    /// What apps will say.
    pub(crate) fn messages(&self) -> broadcast::Receiver<EventView> {
        self.messages.subscribe()
    }

    /// Whether anybody is told.
    pub(crate) fn is_watched(&self) -> bool {
        self.live.receiver_count() > 0
    }

    /// The remembered events after `since` (none when absent), and all that follow.
    pub(crate) fn subscribe(
        &self,
        since: Option<u64>,
    ) -> (Vec<EventView>, broadcast::Receiver<EventView>) {
        let after = |event: &&EventView| since.is_some_and(|cursor| event.cursor > cursor);
        (self.past.iter().filter(after).cloned().collect(), self.live.subscribe())
    }
}

fn event(cursor: u64, app: AppName, instance: InstanceId, event: Value) -> EventView {
    EventView { cursor, at: clock::epoch_millis(), app, instance: instance.0, event }
}

//! The event stream: a bounded memory of what happened, and its subscribers.

use crate::clock;
use rpm_protocol::EventView;
use rpm_supervisor::Notice;
use std::collections::VecDeque;
use tokio::sync::broadcast;

/// How many past events a client can still ask for.
const REMEMBERED: usize = 1024;
/// How far a subscriber may fall behind before it is told that it missed some.
const BEHIND: usize = 1024;

/// All events, in order, each with a cursor that never goes back.
pub(crate) struct EventLog {
    next: u64,
    past: VecDeque<EventView>,
    live: broadcast::Sender<EventView>,
}

impl EventLog {
    /// An empty log whose first event gets the cursor `next`.
    pub(crate) fn starting_at(next: u64) -> Self {
        Self { next, past: VecDeque::new(), live: broadcast::channel(BEHIND).0 }
    }

    /// The cursor of the next event: what a successor daemon starts at.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Records an event and tells the subscribers.
    pub(crate) fn push(&mut self, notice: Notice) {
        let event = EventView {
            cursor: self.next,
            at: clock::epoch_millis(),
            app: notice.app,
            instance: notice.instance.0,
            event: serde_json::to_value(&notice.kind).unwrap_or_default(),
        };
        self.next += 1;
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(event.clone());
        // Nobody listening is the normal case.
        let _ = self.live.send(event);
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

//! [`Triggers`]: actions that apps were asked to do, and their replies, until all are there.

use crate::{
    engine::Engine,
    inbox::{Message, Responder},
    replies::respond,
};
use rpm_protocol::{TRIGGER_PATIENCE, Triggered};
use rpm_supervisor::WorkerId;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is waited for.
#[derive(Default)]
pub(crate) struct Triggers {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
}

/// One request and its replies so far.
struct Waiting {
    action: String,
    replies: Vec<(WorkerId, Triggered)>,
    /// Who has not replied.
    missing: Vec<WorkerId>,
    to: Responder,
}

impl Waiting {
    fn answer(self) {
        let replies: Vec<Triggered> = self.replies.into_iter().map(|(_, reply)| reply).collect();
        respond(self.to, Ok(replies));
    }
}

impl Engine {
    /// Waits for the replies of workers that were asked; answered then, or when time is up.
    pub(crate) fn await_replies(
        &mut self,
        action: String,
        asked: Vec<(WorkerId, Triggered)>,
        to: Responder,
    ) {
        self.triggers.last += 1;
        let trigger = self.triggers.last;
        let missing = asked.iter().map(|(worker, _)| *worker).collect();
        let waiting = Waiting { action, replies: asked, missing, to };
        self.triggers.waiting.insert(trigger, waiting);
        let sender = self.inbox.sender();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(TRIGGER_PATIENCE).await;
            let _ = sender.send(Message::TriggerExpired { trigger }).await;
        });
    }

    /// A message that may be a reply: `{type: "axm:reply", data: {action_name, return}}`. It
    /// belongs to the oldest request for that action that still waits for this worker.
    pub(crate) fn on_reply(&mut self, worker: WorkerId, message: &Value) {
        if message.get("type").and_then(Value::as_str) != Some("axm:reply") {
            return;
        }
        let data = message.get("data").unwrap_or(&Value::Null);
        let name = data.get("action_name").and_then(Value::as_str);
        let waits =
            |one: &&mut Waiting| name == Some(one.action.as_str()) && one.missing.contains(&worker);
        let Some(waiting) = self.triggers.waiting.values_mut().find(waits) else { return };
        let reply = waiting.replies.iter_mut().find(|(asked, _)| *asked == worker);
        if let Some((_, reply)) = reply {
            reply.reply = Some(data.get("return").cloned().unwrap_or(Value::Null));
        }
        waiting.missing.retain(|asked| *asked != worker);
        self.answer_triggers();
    }

    /// A worker that ended replies to nothing any more.
    pub(crate) fn on_triggered_exit(&mut self, worker: WorkerId) {
        for waiting in self.triggers.waiting.values_mut() {
            waiting.missing.retain(|asked| *asked != worker);
        }
        self.answer_triggers();
    }

    /// Who has not replied by now is not waited for.
    pub(crate) fn on_trigger_expired(&mut self, trigger: u64) {
        if let Some(waiting) = self.triggers.waiting.remove(&trigger) {
            waiting.answer();
        }
    }

    fn answer_triggers(&mut self) {
        let done = self.triggers.waiting.extract_if(.., |_, one| one.missing.is_empty());
        done.for_each(|(_, waiting)| waiting.answer());
    }
}

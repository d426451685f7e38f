//! What apps say on their channels beside node:cluster's own talk: `ready`, what they offer,
//! replies to triggered actions, and anything else, which goes to who listens to the events.

use crate::{
    engine::Engine,
    offers::{self, Noted},
};
use rpm_config::Ready;
use rpm_supervisor::WorkerId;
use serde_json::Value;

impl Engine {
    /// An app sent a message of its own.
    pub(crate) fn on_app_message(&mut self, worker: WorkerId, message: Value) {
        if message == "ready" {
            return self.on_proof(worker, Ready::Message);
        }
        let Some(known) = self.workers.get_mut(worker) else { return };
        let (app, instance) = (known.label.app.clone(), known.label.instance);
        match offers::note(&mut known.record.offers, &message) {
            Noted::Other => {}
            // Figures come again by themselves: the next state that is written takes them along.
            Noted::Figures => return,
            Noted::Changed => {
                self.dirty.state = true;
                return;
            }
        }
        self.on_reply(worker, &message);
        self.events.say(app, instance, &message);
    }
}

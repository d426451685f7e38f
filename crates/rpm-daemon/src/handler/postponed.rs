//! Starts of apps that are being deleted: done when they are gone, as the last word of two people,
//! or of `delete` and `start` in two terminals, is the one that counts.

use crate::{engine::Engine, inbox::Responder, replies::respond};
use rpm_config::{AppName, AppSpec};
use rpm_protocol::{RpcError, StartOrigin};

/// So many may wait: all that one client can ask for at once, as when a whole file is started while
/// its apps are being deleted.
const MAX_POSTPONED: usize = rpm_protocol::MAX_STARTS;

/// A start, as it was asked for.
pub(crate) struct Postponed {
    pub(super) spec: AppSpec,
    pub(super) origin: StartOrigin,
    pub(super) wait_ms: Option<u64>,
    pub(super) to: Responder,
}

impl Engine {
    /// Starts an app, as soon as a former one of its name has gone.
    pub(super) fn start_when_gone(&mut self, start: Postponed) {
        if !self.is_going(&start.spec.name) {
            return self.start_app(start);
        }
        if self.postponed.len() < MAX_POSTPONED {
            return self.postponed.push(start);
        }
        let message = format!("{} is being deleted", start.spec.name);
        respond::<()>(start.to, Err(RpcError::failed(message, Some("try again".to_owned()))));
    }

    /// Does what was postponed and need not wait any more.
    pub(crate) fn start_postponed(&mut self) {
        for start in std::mem::take(&mut self.postponed) {
            self.start_when_gone(start);
        }
    }

    /// Whether nothing of the app is to stay.
    fn is_going(&self, name: &AppName) -> bool {
        let app = self.fleet.apps.get(name);
        app.is_some_and(|app| app.instances.values().all(rpm_supervisor::Instance::is_going))
    }
}

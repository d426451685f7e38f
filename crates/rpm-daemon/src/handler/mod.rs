//! One file per kind of request; this one tells them apart.

mod act;
mod answer;
mod fleet_file;
mod look;
mod postponed;
mod rename;
mod reopen;
mod say;
mod settings;
mod signal;
mod start;
mod trigger;

use crate::{
    engine::Engine,
    inbox::{Responder, Response, Telling},
    replies::respond,
    targets::{self, Unknown},
};
use rpm_protocol::{Request, RpcError, Targets, Welcome};
use rpm_supervisor::InstanceId;

pub(crate) use postponed::Postponed;

impl Engine {
    /// Takes one request of a client.
    pub(crate) fn on_request(&mut self, request: Request, to: Responder) {
        if self.ending && !matches!(request, Request::Hello { .. } | Request::Ping) {
            return respond::<()>(to, Err(RpcError::failed("the daemon is shutting down", None)));
        }
        match request {
            Request::Hello { .. } | Request::Ping => respond(to, Ok(welcome(self.safe))),
            Request::Start { app, origin, wait_ms } => {
                self.start_when_gone(Postponed { spec: *app, origin, wait_ms, to });
            }
            Request::Act { action, targets, environment } => {
                self.act(action, &targets, environment, to);
            }
            Request::Scale { app, to: count } => self.scale(app, &count, to),
            Request::Rename { app, to: name } => self.rename(&app, name, to),
            Request::List => self.list(to),
            Request::Describe { targets, secrets } => self.describe(&targets, secrets, to),
            Request::Logs { targets } => self.logs(&targets, to),
            Request::ReloadLogs => self.reopen_logs(Some(to)),
            Request::ReadSettings => respond(to, self.settings()),
            Request::Flush { targets } => respond(to, self.flush(&targets)),
            Request::Send { targets, text, way } => respond(to, self.say(&targets, &text, way)),
            Request::Trigger { targets, action, param } => {
                self.trigger(&targets, action, param, to);
            }
            Request::Signal { targets, signal } => respond(to, self.signal(&targets, signal)),
            Request::Save { force } => respond(to, self.save(force)),
            Request::Resurrect => self.resurrect(to),
            Request::Events { since, targets } => self.events_since(since, &targets, to),
            Request::Update { program } => self.begin_update(program, to),
            Request::Kill => self.kill(to),
        }
    }

    /// The instances of `targets`; no words mean all there are.
    fn resolve(&self, targets: &Targets) -> Result<Vec<InstanceId>, RpcError> {
        if targets.words.is_empty() {
            return Ok(targets::instances_of(&self.fleet, |_| true));
        }
        targets::resolve(targets, &self.fleet, &self.specs).map_err(|unknown| {
            let Unknown { message, hint } = unknown;
            RpcError::failed(message, Some(hint))
        })
    }

    fn events_since(&self, since: Option<u64>, targets: &Targets, to: Responder) {
        // A pattern or a namespace may come to mean more.
        let is_fixed = |word: &String| {
            self.specs.keys().any(|app| app.as_str() == word) || word.parse::<u32>().is_ok()
        };
        let fixed = !targets.words.is_empty() && targets.words.iter().all(is_fixed);
        let answer = self.resolve(targets).map(|instances| {
            let (past, live) = self.events.subscribe(since);
            let named = instances.iter().filter_map(|id| self.fleet.instance(*id));
            let only = fixed.then(|| named.map(|(app, _, _)| app.clone()).collect());
            Response::Events(Telling { past, live, messages: self.events.messages(), only })
        });
        let _ = to.send(answer);
    }
}

fn welcome(safe: bool) -> Welcome {
    Welcome {
        version: rpm_protocol::VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        pid: crate::tree::own_pid(),
        notice: safe.then(|| crate::safe_mode::NOTICE.to_owned()),
    }
}

//! `start`: a new app, or an existing one with a new description.

use crate::{
    clock, diagnose,
    engine::Engine,
    front,
    handler::postponed::Postponed,
    inbox::Message,
    launch,
    replies::{Fallback, Question, respond},
    sharing::is_fronted,
    stamp::Stamp,
    store,
};
use rpm_config::{AppName, AppSpec};
use rpm_keeper::Request;
use rpm_protocol::{RpcError, StartOrigin};
use rpm_supervisor::{Command, Event, InstanceId, Policy, State, Ticket};
use std::{sync::Arc, time::Duration};

impl Engine {
    /// Starts an app; answered when its instances settled.
    pub(super) fn start_app(&mut self, start: Postponed) {
        let Postponed { spec, origin, wait_ms, to } = start;
        if let Err(error) = self.check_launch(&spec, origin) {
            return respond::<()>(to, Err(error));
        }
        let restarted = self.fleet.apps.contains_key(&spec.name);
        let app = spec.name.clone();
        let former = self.specs.get(&app).cloned();
        if let Some(former) = &former {
            self.close_dropped(former, &spec);
        }
        self.keep_spec(spec.clone());
        let fallback = former
            .filter(|_| origin == StartOrigin::Reload)
            .zip(self.specs.get(&app).cloned())
            .map(|(former, tried)| Fallback { former, tried });
        let strict = wait_ms.is_some();
        let question = Question::Start { app: app.clone(), restarted, strict, fallback };
        let ticket = self.replies.add(question, to);
        if let Some(limit) = wait_ms {
            self.expire_after(ticket, Duration::from_millis(limit));
        }
        let command = if restarted {
            self.take_over(&spec, origin)
        } else {
            Command::Register {
                app,
                policy: Policy::from(&spec),
                instances: spec.instances,
                autostart: spec.autostart,
            }
        };
        self.renew_front(&spec.name);
        if origin == StartOrigin::Reload {
            self.renew_old_front(&spec.name);
        }
        self.step(Event::Command { ticket, command });
    }

    /// What can be refused before anything is touched.
    fn check_launch(&self, spec: &AppSpec, origin: StartOrigin) -> Result<(), RpcError> {
        let seat =
            launch::Seat { instance: InstanceId(0), slot: 0, worker: rpm_supervisor::WorkerId(0) };
        launch::spawn_spec(spec, &self.places, seat)
            .map(drop)
            .and_then(|()| {
                crate::log_files::courses(&self.home, spec, seat.instance, seat.slot).map(drop)
            })
            .map_err(|reason| RpcError::failed(format!("{}: {reason}", spec.name), None))?;
        let others = self.specs.values().map(AsRef::as_ref);
        let all = others.filter(|other| other.name != spec.name).chain([spec]);
        if let Some(cycle) = rpm_config::cycle(all) {
            let words = rpm_config::cycle_in_words(&cycle);
            let hint = "take one of them out of `depends_on`".to_owned();
            let message = format!("apps wait for each other: {words}");
            return Err(RpcError::failed(message, Some(hint)));
        }
        self.check_change(spec)?;
        if origin == StartOrigin::CommandLine && self.is_running(&spec.name) {
            let message = format!("{} is running already", spec.name);
            let hint = format!("rpm restart {0}, or start it under another --name", spec.name);
            return Err(RpcError::failed(message, Some(hint)));
        }
        Ok(())
    }

    /// What cannot become of an app while it runs: it would lose its clients.
    fn check_change(&self, spec: &AppSpec) -> Result<(), RpcError> {
        let former = self.specs.get(&spec.name).filter(|_| self.is_running(&spec.name));
        let Some(former) = former else { return Ok(()) };
        let name = &spec.name;
        if is_fronted(former) != is_fronted(spec) {
            let message =
                format!("{name}: `balance` can become or cease to be least_conn only at rest");
            let hint = format!("its workers have other sockets then: rpm stop {name}, and again");
            return Err(RpcError::failed(message, Some(hint)));
        }
        match front::taken_address(former, spec) {
            Some(trouble) => {
                let hint = "let `proxy` listen elsewhere; nothing was changed".to_owned();
                Err(RpcError::failed(format!("{name}: {trouble}"), Some(hint)))
            }
            None => Ok(()),
        }
    }

    fn is_running(&self, name: &AppName) -> bool {
        let at_rest = |state: &State| matches!(state, State::Stopped | State::Errored);
        self.fleet
            .apps
            .get(name)
            .is_some_and(|app| app.instances.values().any(|one| !at_rest(&one.state)))
    }

    /// Gives an existing app its new rules and size. The instances it had are restarted, as PM2
    /// does, or reloaded; those it gets start with the new description at once.
    fn take_over(&mut self, spec: &AppSpec, origin: StartOrigin) -> Command {
        let app = spec.name.clone();
        self.do_unattended(Command::Amend { app: app.clone(), policy: Policy::from(spec) });
        let present = self.instances_of(&app);
        let count = spec.instances as usize;
        if present.len() != count {
            self.do_unattended(Command::Scale { app: app.clone(), instances: spec.instances });
        }
        let all = self.instances_of(&app);
        match origin {
            StartOrigin::Reload => {
                let reloaded: Vec<_> = present.into_iter().take(count).collect();
                self.announce_outages(&reloaded);
                Command::Reload(reloaded)
            }
            StartOrigin::CommandLine => Command::Start(all),
            StartOrigin::File if present.len() >= count => Command::Restart(all),
            StartOrigin::File => {
                let former = present.into_iter().take(count).collect();
                self.do_unattended(Command::Restart(former));
                Command::Start(all)
            }
        }
    }

    fn do_unattended(&mut self, command: Command) {
        let ticket = self.replies.unattended();
        self.step(Event::Command { ticket, command });
    }

    /// A reload has failed: the workers that serve on are those of the former description, and so
    /// is every one that is started in their place. Not where another one came meanwhile.
    pub(super) fn fall_back(&mut self, fallback: Fallback) {
        let Fallback { former, tried } = fallback;
        let app = former.name.clone();
        let Some(present) = self.specs.get(&app).filter(|spec| Arc::ptr_eq(spec, &tried)) else {
            return;
        };
        let spec = AppSpec { instances: present.instances, ..AppSpec::clone(&former) };
        let policy = Policy::from(&spec);
        self.keep_spec(spec);
        self.renew_front(&app);
        let ticket = self.replies.unattended();
        // The supervisor is in the midst of a step.
        let command = Command::Amend { app, policy };
        self.queue.push_back(Event::Command { ticket, command });
    }

    /// An app's instances, by slot.
    fn instances_of(&self, app: &AppName) -> Vec<InstanceId> {
        crate::targets::instances_of(&self.fleet, |name| name == app)
    }

    /// Makes `spec` the description of its app, for this daemon and the next.
    pub(crate) fn keep_spec(&mut self, spec: AppSpec) {
        let name = store::spec_name(&spec.name);
        match store::seal(&spec) {
            Ok(fd) => self.keeper.send(Request::Hold { name, fd }),
            Err(error) => tracing::error!(app = %spec.name, "description not kept: {error}"),
        }
        let app = spec.name.clone();
        self.versions.forget(&app);
        self.stamps.insert(app.clone(), Stamp::of(&spec, &self.places));
        if let Some(former) = self.specs.insert(app.clone(), Arc::new(spec))
            && let Some(spec) = self.specs.get(&app)
        {
            self.move_pid_files(&former, spec);
        }
        self.ledger.touch_specs();
        self.tend();
    }

    /// Ends the wait for `ticket` after `limit`, if it still waits then.
    fn expire_after(&self, ticket: Ticket, limit: Duration) {
        let sender = self.inbox.sender();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(limit).await;
            let _ = sender.send(Message::Expired { ticket, after: limit }).await;
        });
    }

    /// The time limit of `--wait` has passed.
    pub(crate) fn on_expired(&mut self, ticket: Ticket, after: Duration) {
        let Some(waiting) = self.replies.take(ticket) else { return };
        let Question::Start { app, restarted, .. } = waiting.question else { return };
        let lagging = self.fleet.apps.get(&app).and_then(|app| {
            app.instances.values().find(|one| !matches!(one.state, State::Online { .. }))
        });
        let started = lagging.map(|one| {
            let mut failure = diagnose::not_ready(&app, one.id, after);
            failure.stderr = self.stderr_of(one.id, None);
            rpm_protocol::Started {
                app: app.clone(),
                restarted,
                instances: self.ids_of(&app),
                failure: Some(failure),
                warnings: self.unenforced_limits(&app).into_iter().collect(),
            }
        });
        tracing::debug!(at = clock::now().0, %app, "a wait expired");
        match started {
            Some(started) => respond(waiting.respond, Ok(started)),
            None => respond::<()>(
                waiting.respond,
                Err(RpcError::failed(format!("{app} is gone"), None)),
            ),
        }
    }

    /// The ids of an app's instances.
    pub(crate) fn ids_of(&self, app: &AppName) -> Vec<u32> {
        crate::targets::instances_of(&self.fleet, |name| name == app)
            .into_iter()
            .map(|id| id.0)
            .collect()
    }
}

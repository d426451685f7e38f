//! Commands on instances that exist, and `kill`.

use crate::{
    engine::Engine,
    inbox::Responder,
    replies::{Question, respond},
    targets,
};
use rpm_config::{AppName, AppSpec};
use rpm_protocol::{Action, RpcError, Targets};
use rpm_supervisor::{Command, Event, InstanceId, Notice, NoticeKind};
use std::collections::{BTreeMap, BTreeSet};

impl Engine {
    /// Does `action`; answered when the instances settled.
    pub(super) fn act(
        &mut self,
        action: Action,
        targets: &Targets,
        environment: Option<BTreeMap<String, String>>,
        to: Responder,
    ) {
        let instances = match self.resolve(targets) {
            Ok(instances) => instances,
            Err(error) => return respond::<()>(to, Err(error)),
        };
        if let Some(environment) = environment {
            self.renew_environment(&instances, &environment);
        }
        if action == Action::Reload {
            self.announce_outages(&instances);
            self.renew_fronts(&instances);
        }
        let command = match action {
            Action::Start => Command::Start(instances),
            Action::Stop => Command::Stop(instances),
            Action::Restart => Command::Restart(instances),
            Action::Reload => Command::Reload(instances),
            Action::Delete => Command::Delete(instances),
            Action::Reset => Command::Reset(instances),
        };
        self.ask(command, to);
    }

    /// Says of which apps a reload is a restart that clients notice, before it begins.
    pub(super) fn announce_outages(&mut self, instances: &[InstanceId]) {
        let mut said = BTreeSet::new();
        for id in instances {
            let Some((app, _, instance)) = self.fleet.instance(*id) else { continue };
            let overlaps = self.fleet.apps.get(app).is_none_or(|app| {
                // Behind a front clients wait, or others serve them.
                app.policy.overlap || app.policy.proxied
            });
            let Some(worker) = instance.current().filter(|_| !overlaps) else { continue };
            if !said.insert(app.clone()) {
                continue;
            }
            let listening = rpm_unix::procfd::listening(&crate::tree::pids(&self.tree_of(worker)));
            if !listening.is_empty() {
                let listening = listening.iter().map(ToString::to_string).collect();
                let kind = NoticeKind::Outage { listening };
                self.events.push(Notice { app: app.clone(), instance: *id, kind });
            }
        }
    }

    /// Fronts of another rpm are replaced with the workers behind them.
    fn renew_fronts(&mut self, instances: &[InstanceId]) {
        let found = instances.iter().filter_map(|id| self.fleet.instance(*id));
        let apps: BTreeSet<AppName> = found.map(|found| found.0.clone()).collect();
        apps.iter().for_each(|app| self.renew_old_front(app));
    }

    /// Puts a command to the supervisor and remembers who waits for its answer.
    pub(super) fn ask(&mut self, command: Command, to: Responder) {
        let names = self.fleet.instances().map(|(app, _, one)| (one.id, app.clone())).collect();
        let ticket = self.replies.add(Question::Act(names), to);
        self.step(Event::Command { ticket, command });
    }

    /// `--update-env`: the caller's environment becomes what the apps inherit.
    fn renew_environment(
        &mut self,
        instances: &[InstanceId],
        environment: &BTreeMap<String, String>,
    ) {
        let apps: BTreeSet<AppName> = instances
            .iter()
            .filter_map(|id| self.fleet.instance(*id).map(|found| found.0.clone()))
            .collect();
        for app in apps {
            let Some(spec) = self.specs.get(&app) else { continue };
            let inherited_env = environment.clone();
            self.keep_spec(AppSpec { inherited_env, ..AppSpec::clone(spec) });
        }
    }

    /// Changes an app's size.
    pub(super) fn scale(&mut self, app: AppName, count: &str, to: Responder) {
        let Some(present) = self.fleet.apps.get(&app).map(|app| app.instances.len()) else {
            let words = vec![app.to_string()];
            let unknown = self.resolve(&Targets { words, cwd: "/".into() }).err();
            let hint = unknown.and_then(|error| error.hint);
            let error = RpcError::failed(format!("there is no app named {app}"), hint);
            return respond::<()>(to, Err(error));
        };
        match scaled(present, count) {
            Ok(instances) => {
                let refused = self
                    .specs
                    .get(&app)
                    .and_then(|spec| crate::activation::refused_scale(spec, instances));
                if let Some(error) = refused {
                    return respond::<()>(to, Err(error));
                }
                if let Some(spec) = self.specs.get(&app) {
                    self.keep_spec(AppSpec { instances, ..AppSpec::clone(spec) });
                }
                self.ask(Command::Scale { app, instances }, to);
            }
            Err(reason) => respond::<()>(to, Err(reason)),
        }
    }

    /// Stops and forgets everything; answered when nothing is left, then the daemon ends.
    pub(super) fn kill(&mut self, to: Responder) {
        self.ending = true;
        let all = targets::instances_of(&self.fleet, |_| true);
        self.ask(Command::Delete(all), to);
    }

    /// SIGTERM: as `kill`, but the list is saved first, as PM2 does, so that it can come back.
    pub(crate) fn terminate(&mut self) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        if let Err(error) = self.save(false) {
            tracing::warn!("the list is not saved: {error}");
        }
        let all = targets::instances_of(&self.fleet, |_| true);
        let ticket = self.replies.unattended();
        self.step(Event::Command { ticket, command: Command::Delete(all) });
    }
}

/// What `5`, `+2` or `-1` makes of `present` instances.
fn scaled(present: usize, count: &str) -> Result<u32, RpcError> {
    let wrong = || {
        let hint = "a number, or a change like +2 or -1".to_owned();
        RpcError::failed(format!("{count:?} is no number of instances"), Some(hint))
    };
    let number: i64 = count.trim_start_matches('+').parse().map_err(|_| wrong())?;
    let relative = count.starts_with(['+', '-']);
    let base = if relative { i64::try_from(present).map_err(|_| wrong())? } else { 0 };
    let wanted = base.saturating_add(number);
    if wanted < 1 {
        let hint = "rpm delete removes an app, rpm stop keeps it".to_owned();
        return Err(RpcError::failed("an app has at least one instance", Some(hint)));
    }
    u32::try_from(wanted).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn scale_counts() {
        let ok = |present, count| scaled(present, count).ok();
        assert_eq!(ok(4, "2"), Some(2));
        assert_eq!(ok(4, "+2"), Some(6));
        assert_eq!(ok(4, "-1"), Some(3));
        assert_eq!(ok(1, "-1"), None);
        assert_eq!(ok(1, "0"), None);
        assert_eq!(ok(1, "banana"), None);
        assert_eq!(ok(1, "99999999999999999999"), None);
    }
}

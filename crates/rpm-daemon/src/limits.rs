//! `limits` by control groups: which of them a worker really has, why not, and who was killed by
//! one. The groups are made by the keeper; here they are only looked at.

use crate::{engine::Engine, launch};
use rpm_config::AppName;
use rpm_protocol::UnenforcedView;
use rpm_supervisor::{InstanceId, WorkerId};
use rpm_unix::cgroup::{Controller, Groups, Standing};

impl Engine {
    /// Looks whether a worker that was just started has the limits it was to have.
    pub(crate) fn check_limits(&mut self, worker: WorkerId) {
        let Some(spec) = self.spec_of(worker) else { return };
        let wanted = launch::group_limits(&spec);
        let Some(process) = self.workers.process(worker) else { return };
        let lacking = process.leader.group.lacks(&wanted);
        let Some(first) = lacking.first() else { return };
        let why = why(&self.groups, *first);
        let limits: Vec<String> = lacking.iter().map(|one| one.name().to_owned()).collect();
        tracing::warn!(app = %spec.name, "no limit of {}: {why}", limits.join(", "));
        if let Some(known) = self.workers.get_mut(worker) {
            known.record.unenforced = Some(UnenforcedView { limits, why });
            self.dirty.state = true;
        }
    }

    /// What a person is to be told who starts an app, if its limits are not enforced.
    pub(crate) fn unenforced_limits(&self, app: &AppName) -> Option<String> {
        let instances = self.fleet.apps.get(app)?.instances.values();
        let mut records =
            instances.filter_map(|one| Some(&self.workers.get(one.current()?)?.record));
        let UnenforcedView { limits, why } = records.find_map(|one| one.unenforced.as_ref())?;
        Some(format!("app {app}: `limits` are not enforced for {}: {why}", limits.join(", ")))
    }

    /// How many processes of an instance's last dead worker the kernel had killed for memory.
    pub(crate) fn last_oom_kills(&self, instance: InstanceId) -> u64 {
        let last = self.exits.get(&instance).and_then(|exits| exits.first());
        last.map_or(0, |exit| exit.oom_kills)
    }

    /// What to do about a worker that died of its limit.
    pub(crate) fn limit_hint(&self, instance: InstanceId) -> Option<String> {
        let killed = self.last_oom_kills(instance) > 0;
        killed.then(|| "the kernel killed it at its `limits.memory` (cgroup OOM): raise it".into())
    }
}

fn why(groups: &Groups, controller: Controller) -> String {
    let name = controller.name();
    match groups.standing_of(controller) {
        Standing::Absent => {
            format!("no control group with `{name}` is there for rpm (rpm doctor tells more)")
        }
        Standing::NotOurs(group) => format!(
            "the control group {} is not ours; run rpm as a service (rpm startup)",
            group.display()
        ),
        Standing::Crowded(group) => format!(
            "processes of others are in the control group {}; run rpm as a service (rpm startup)",
            group.display()
        ),
        Standing::Ours(group) => {
            format!("the kernel refused it below {}, see rpm.log", group.display())
        }
    }
}

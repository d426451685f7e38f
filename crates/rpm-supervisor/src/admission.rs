//! Accept or deny: every check a request must pass before anything changes for it.

use crate::{Denied, Fleet, Instance, InstanceId, MAX_INSTANCES, MAX_WAITING, turn::Target};
use rpm_config::AppName;
use std::collections::BTreeSet;

impl Fleet {
    /// The instances with these ids, in the order of their ids.
    pub(crate) fn targets(&self, ids: &[InstanceId]) -> Result<Vec<Target>, Denied> {
        let mut missing: BTreeSet<_> = ids.iter().copied().collect();
        let mut found = Vec::with_capacity(missing.len());
        for (app, slot, instance) in self.seated() {
            if missing.remove(&instance.id) {
                found.push(Target { app: app.clone(), slot, id: instance.id });
            }
        }
        if let Some(id) = missing.first() {
            return Err(Denied::NoInstance(*id));
        }
        found.sort_by_key(|target| target.id);
        self.check_waiting(&found)?;
        Ok(found)
    }

    /// As [`Fleet::targets`], without those that are being removed: they are as good as gone.
    pub(crate) fn staying(&self, ids: &[InstanceId]) -> Result<Vec<Target>, Denied> {
        let all = self.targets(ids)?;
        let first = all.first().map(|target| target.id);
        let staying: Vec<_> = all.into_iter().filter(|target| !self.is_going(target)).collect();
        match first {
            Some(id) if staying.is_empty() => Err(Denied::NoInstance(id)),
            Some(_) | None => Ok(staying),
        }
    }

    /// None of `targets` has too many requests waiting for it already.
    pub(crate) fn check_waiting(&self, targets: &[Target]) -> Result<(), Denied> {
        match targets.iter().find(|target| self.waiting_for(target.id) >= MAX_WAITING) {
            Some(target) => Err(Denied::TooMany(target.app.clone())),
            None => Ok(()),
        }
    }

    /// An app may have so many instances.
    pub(crate) fn check_count(app: &AppName, instances: u32) -> Result<(), Denied> {
        let fits = (1..=MAX_INSTANCES).contains(&instances);
        if fits { Ok(()) } else { Err(Denied::OutOfRange(app.clone(), instances)) }
    }

    fn is_going(&self, target: &Target) -> bool {
        let app = self.apps.get(&target.app);
        let going = |one: &Instance| one.is_going() || self.will_go(one.id);
        app.and_then(|app| app.instances.get(&target.slot)).is_some_and(going)
    }
}

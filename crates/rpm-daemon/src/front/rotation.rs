//! Which instances a front passes connections to. It follows from the fleet's state, so it is
//! computed anew after every turn and told when it differs from what was told last.
//!
//! An instance leaves the rotation before its worker is told to stop: `Stop` and `Drain` wait until
//! the front has confirmed that nothing new comes.

use super::{Front, Said, link, link::Stats};
use crate::engine::Engine;
use rpm_config::{AppName, AppSpec};
use rpm_front::{Address, UpstreamSpec, Wish};
use rpm_keeper::ChildId;
use rpm_supervisor::{App, Event, State, WorkerId};
use std::collections::BTreeMap;

/// What a front was told, and what waits for it.
#[derive(Default)]
pub(crate) struct Rotation {
    told: Option<Vec<UpstreamSpec>>,
    /// The number of the last command.
    last: u64,
    /// The number of the last one that was obeyed.
    obeyed: u64,
    steps: Vec<(u64, WorkerId, Step)>,
    /// Workers that drain and cannot say themselves when they have, by slot.
    draining: BTreeMap<u32, WorkerId>,
    pub(super) stats: Option<Stats>,
}

/// What a worker does once nothing new comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Of a worker without another beside it.
    Drain,
    /// Of one whose place another one takes, or nobody.
    DrainBeside,
    Stop,
}

/// The upstreams of an app: who is ready, and who drains.
fn upstreams(spec: &AppSpec, app: &App) -> Vec<UpstreamSpec> {
    let upstream = |slot: u32, state: Wish| {
        let address = Address::Local(rpm_config::instance_port(spec, slot)?);
        Some(UpstreamSpec { id: slot, address, weight: 1, state, listener: None })
    };
    app.instances
        .iter()
        .filter_map(|(slot, instance)| match &instance.state {
            State::Online { .. } => upstream(*slot, Wish::Up),
            State::Draining { .. } => upstream(*slot, Wish::Draining),
            State::Stopped
            | State::Launching { .. }
            | State::Stopping { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored
            | State::Removing => None,
        })
        .collect()
}

impl Engine {
    /// Tells all fronts what has changed for them.
    pub(crate) fn rotate_all(&mut self) {
        self.follow_addresses();
        if self.fronts.is_empty() {
            return;
        }
        let apps: Vec<AppName> = self.fronts.all.keys().cloned().collect();
        apps.iter().for_each(|app| self.rotate(app));
    }

    /// Tells a front its upstreams, if they are not what it was told.
    pub(super) fn rotate(&mut self, app: &AppName) {
        let (Some(spec), Some(fleet)) = (self.specs.get(app), self.fleet.apps.get(app)) else {
            return;
        };
        let Some(front) = self.fronts.all.get_mut(app) else { return };
        let wanted = match spec.proxy {
            Some(_) => upstreams(spec, fleet),
            None => super::addresses::upstreams(&front.proxy, fleet, &self.workers),
        };
        let Front { phase: super::Phase::Serving(running), rotation, .. } = front else { return };
        if rotation.told.as_ref() == Some(&wanted) {
            return;
        }
        let id = rotation.last + 1;
        let line = serde_json::json!({ "id": id, "upstreams": wanted }).to_string();
        // A front that does not read is told again after a later turn.
        if running.link.say(line) {
            rotation.last = id;
            rotation.told = Some(wanted);
        }
    }

    /// Whether a worker's stop waits for its front; it comes when the front has taken it out.
    pub(crate) fn leaves_rotation_before_stop(&mut self, worker: WorkerId) -> bool {
        self.leave_rotation(worker, Step::Stop)
    }

    /// The same for a drain. With `proxy` only of a current worker: a former one has the address of
    /// its successor.
    pub(crate) fn leaves_rotation_before_drain(&mut self, worker: WorkerId) -> bool {
        if self.workers.get(worker).is_some_and(|known| !known.record.private.is_empty()) {
            return self.leave_rotation(worker, Step::DrainBeside);
        }
        let drains = self.fleet.worker(worker).is_some_and(|place| {
            let found = self.fleet.instance(place.instance);
            found.is_some_and(|(_, _, one)| matches!(one.state, State::Draining { .. }))
        });
        drains && self.leave_rotation(worker, Step::Drain)
    }

    fn leave_rotation(&mut self, worker: WorkerId, step: Step) -> bool {
        let Some(app) = self.workers.get(worker).map(|known| known.label.app.clone()) else {
            return false;
        };
        if self.fronts.all.get(&app).and_then(Front::running).is_none() {
            return false;
        }
        self.rotate(&app);
        let Some(front) = self.fronts.all.get_mut(&app) else { return false };
        let rotation = &mut front.rotation;
        rotation.steps.push((rotation.last, worker, step));
        self.take_steps(&app);
        true
    }

    /// A front said something.
    pub(crate) fn on_front(&mut self, child: ChildId, said: Said) {
        let Some(app) = self.fronts.app_of(child) else { return };
        if let Some(error) = said.error {
            link::complain(&app, &error);
        }
        let Some(front) = self.fronts.all.get_mut(&app) else { return };
        let rotation = &mut front.rotation;
        rotation.obeyed = rotation.obeyed.max(said.id.unwrap_or(0).min(rotation.last));
        let stands = said.stats.is_some();
        if stands {
            rotation.stats = said.stats;
        }
        let idle = said.idle.unwrap_or_default();
        let drained: Vec<WorkerId> =
            idle.iter().filter_map(|slot| rotation.draining.remove(slot)).collect();
        for worker in drained {
            self.step(Event::Drained { worker });
        }
        self.take_steps(&app);
        if stands {
            self.front_answered(child);
        }
    }

    /// Does what waited for what the front has confirmed.
    fn take_steps(&mut self, app: &AppName) {
        let Some(front) = self.fronts.all.get_mut(app) else { return };
        let Rotation { steps, obeyed, .. } = &mut front.rotation;
        let due: Vec<_> = steps.extract_if(.., |(id, ..)| *id <= *obeyed).collect();
        for (_, worker, step) in due {
            match step {
                Step::Stop => self.stop_beside(worker),
                Step::Drain => self.drain_behind_front(app, worker),
                Step::DrainBeside => self.drain_beside(worker),
            }
        }
    }

    /// Nothing new comes to this worker. One that can be asked says when it has finished; of others
    /// the front knows.
    fn drain_behind_front(&mut self, app: &AppName, worker: WorkerId) {
        if self.ask_to_drain(worker) {
            return;
        }
        let slot = self.workers.get(worker).map(|known| known.label.slot);
        let (Some(slot), Some(front)) = (slot, self.fronts.all.get_mut(app)) else { return };
        front.rotation.draining.insert(slot, worker);
        // It says so once; what it said before this was known is said again.
        front.rotation.told = None;
        self.rotate(app);
    }

    /// A front is gone, and with it every connection: who waited for it need not any more.
    pub(super) fn go_on_without(&mut self, rotation: Rotation) {
        for (_, worker, step) in rotation.steps {
            match step {
                Step::Stop => self.stop_beside(worker),
                Step::Drain => self.drain_now(worker),
                Step::DrainBeside => self.drain_beside(worker),
            }
        }
        for worker in rotation.draining.into_values() {
            self.queue.push_back(Event::Drained { worker });
        }
    }
}

//! Apps that wait for others (`depends_on`): who may start, who is started for their sake, and who
//! is stopped only after those that need it.

use crate::{
    App, Cause, Exit, Failure, Fleet, Goal, Halting, Instance, InstanceId, State, Then,
    turn::{News, NewsKind, Target, Turn},
};
use rpm_config::{AppName, Requirement};
use std::collections::BTreeSet;

impl Fleet {
    /// The apps that `app` waits for and that are not as they must be.
    pub fn awaited_by(&self, app: &AppName) -> Vec<AppName> {
        let wanted = self.apps.get(app).map(|app| app.policy.depends_on.iter());
        let unmet = wanted.into_iter().flatten().filter(|(name, how)| !self.meets(name, **how));
        unmet.map(|(name, _)| name.clone()).collect()
    }

    fn meets(&self, name: &AppName, requirement: Requirement) -> bool {
        self.apps.get(name).is_some_and(|app| app.meets(requirement))
    }

    /// Starts what `targets` wait for and what rests, and what that waits for.
    pub(crate) fn start_awaited(&mut self, targets: &[Target], turn: &mut Turn) {
        let mut apps: Vec<AppName> = targets.iter().map(|target| target.app.clone()).collect();
        let mut seen: BTreeSet<AppName> = apps.iter().cloned().collect();
        while let Some(app) = apps.pop() {
            for name in self.awaited_by(&app) {
                if !seen.insert(name.clone()) {
                    continue;
                }
                for target in self.resting(&name) {
                    self.act(&target, turn, Instance::start);
                }
                apps.push(name);
            }
        }
    }

    /// All instances of an app, if all of them rest.
    fn resting(&self, name: &AppName) -> Vec<Target> {
        let Some(app) = self.apps.get(name).filter(|app| app.rests()) else { return Vec::new() };
        let target =
            |(slot, one): (&u32, &Instance)| Target { app: name.clone(), slot: *slot, id: one.id };
        app.instances.iter().map(target).collect()
    }

    /// Starts who waits no longer, and tells of those who wait in vain.
    pub(crate) fn start_awaiting(&mut self, turn: &mut Turn) {
        // One that is started may be all that another waits for.
        while let Some(target) = self.awaiting().into_iter().find(|one| self.may_start(one)) {
            self.act(&target, turn, Instance::launch);
        }
        for target in self.awaiting() {
            let mut awaited = self.awaited_by(&target.app).into_iter();
            let vain = awaited.find(|name| self.is_down(name));
            if let Some(vain) = vain.filter(|_| self.is_waited_for(&target)) {
                self.tell_vain(target, vain, turn);
            }
        }
    }

    fn awaiting(&self) -> Vec<Target> {
        self.targets_where(|one| one.state == State::Awaiting)
    }

    fn may_start(&self, target: &Target) -> bool {
        self.awaited_by(&target.app).is_empty()
    }

    /// It is not there, or rests, so that nothing brings it up but a request.
    fn is_down(&self, name: &AppName) -> bool {
        self.apps.get(name).is_none_or(App::rests)
    }

    /// A request or a roll waits until it is up.
    fn is_waited_for(&self, target: &Target) -> bool {
        let roll = self.apps.get(&target.app).and_then(|app| app.roll.as_ref());
        roll.is_some_and(|roll| roll.active.contains(&target.slot))
            || self
                .pending
                .iter()
                .any(|one| one.goal == Goal::Up && one.waiting.contains(&target.id))
    }

    fn tell_vain(&mut self, target: Target, awaited: AppName, turn: &mut Turn) {
        let exists = self.apps.contains_key(&awaited);
        let cause = Cause::Awaits { app: awaited, exists };
        let failure = Failure { instance: target.id, worker: None, cause };
        turn.news.push(News { target, kind: NewsKind::Failed(failure) });
    }

    /// Parts `targets` in those that can be halted now and those that others of them need.
    pub(crate) fn in_turn(&self, targets: &[Target], then: Then) -> (Vec<Target>, Vec<Halting>) {
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for target in targets {
            let needs = |one: &&Target| {
                let app = self.apps.get(&one.app);
                app.is_some_and(|app| app.policy.depends_on.contains_key(&target.app))
            };
            let running = targets.iter().filter(|one| self.has_process(one.id));
            let after: BTreeSet<InstanceId> = running.filter(needs).map(|one| one.id).collect();
            if after.is_empty() || !self.has_process(target.id) {
                now.push(target.clone());
            } else {
                later.push(Halting { instance: target.id, then, after });
            }
        }
        (now, later)
    }

    fn has_process(&self, id: InstanceId) -> bool {
        self.instance(id).is_some_and(|(_, _, one)| one.workers().next().is_some())
    }

    /// Halts who is needed no longer. One that others wait for keeps its turn.
    pub(crate) fn halt_in_turn(&mut self, turn: &mut Turn) {
        while !self.halting.is_empty() {
            let due = self.take_due();
            if due.is_empty() {
                return;
            }
            for Halting { instance, then, .. } in due {
                if let Some(target) = self.target_of(instance) {
                    self.supersede(Goal::Up, &target);
                    self.leave_rolls(&target);
                    self.act(&target, turn, |instance, seat, turn| instance.halt(then, seat, turn));
                }
            }
            self.remove_gone(turn);
        }
    }

    fn take_due(&mut self) -> Vec<Halting> {
        let mut halting = std::mem::take(&mut self.halting);
        let planned: BTreeSet<InstanceId> = halting.iter().map(|one| one.instance).collect();
        for one in &mut halting {
            one.after.retain(|id| planned.contains(id) || self.is_ending(*id));
        }
        // Those that wait for nobody but each other would wait for ever.
        let stuck = halting.iter().all(|one| one.after.iter().all(|id| planned.contains(id)));
        let free = |one: &mut Halting| stuck && !one.after.is_empty() || one.after.is_empty();
        let mut due: Vec<Halting> = halting.extract_if(.., |one| one.after.is_empty()).collect();
        if due.is_empty() {
            due.extend(halting.extract_if(.., free));
        }
        self.halting = halting;
        due
    }

    fn is_ending(&self, id: InstanceId) -> bool {
        self.instance(id).is_some_and(|(_, _, one)| {
            let ends = matches!(
                one.state,
                State::Draining { .. } | State::Stopping { .. } | State::Removing
            );
            ends || !one.leaving.is_empty()
        })
    }

    fn target_of(&self, id: InstanceId) -> Option<Target> {
        let (app, slot, _) = self.instance(id)?;
        Some(Target { app: app.clone(), slot, id })
    }

    /// Whether it is still to be halted.
    pub(crate) fn will_halt(&self, id: InstanceId) -> bool {
        self.halting.iter().any(|one| one.instance == id)
    }

    /// Whether it is still to be removed.
    pub(crate) fn will_go(&self, id: InstanceId) -> bool {
        self.halting.iter().any(|one| one.instance == id && one.then == Then::Remove)
    }

    /// Another request wants them up.
    pub(crate) fn call_off_halts(&mut self, targets: &[Target]) {
        self.halting.retain(|one| targets.iter().all(|target| target.id != one.instance));
    }
}

impl App {
    fn rests(&self) -> bool {
        self.instances.values().all(|one| matches!(one.state, State::Stopped | State::Errored))
    }

    fn meets(&self, requirement: Requirement) -> bool {
        let mut all = self.instances.values();
        let serves =
            |one: &Instance| matches!(one.state, State::Online { .. } | State::Draining { .. });
        match requirement {
            Requirement::Ready => all.any(serves),
            Requirement::Started => {
                all.any(|one| serves(one) || matches!(one.state, State::Launching { .. }))
            }
            Requirement::Done => all.all(|one| {
                let well = matches!(one.last_exit, Some((Exit::Code(0), _)));
                one.state == State::Stopped && well
            }),
        }
    }
}

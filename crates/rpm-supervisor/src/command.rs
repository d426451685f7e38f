//! Requests. Each is checked as a whole (`admission.rs`), carried out at once as far as that goes,
//! and answered when its instances have settled (`pending.rs`).

use crate::{
    Answer, App, Command, Denied, Fleet, Goal, Instance, InstanceId, Policy, State, Then, Ticket,
    turn::{Seat, Target, Turn},
};
use rpm_config::AppName;
use std::collections::{BTreeMap, VecDeque};

impl Fleet {
    pub(crate) fn command(&mut self, ticket: Ticket, command: Command, turn: &mut Turn) {
        let accepted = match command {
            Command::Register { app, policy, instances, autostart } => {
                self.register(app, policy, instances, turn).map(|targets| {
                    if autostart {
                        self.start_awaited(&targets, turn);
                        self.act_on_all(&targets, turn, Instance::start);
                    }
                    self.await_goal(ticket, Goal::Up, &targets, turn);
                })
            }
            Command::Start(ids) => self.staying(&ids).map(|targets| {
                self.call_off_halts(&targets);
                self.start_awaited(&targets, turn);
                self.act_on_all(&targets, turn, Instance::start);
                self.await_goal(ticket, Goal::Up, &targets, turn);
            }),
            Command::Stop(ids) => self.targets(&ids).map(|targets| {
                self.halt(&targets, Then::Stop, turn);
                self.await_goal(ticket, Goal::Down, &targets, turn);
            }),
            Command::Restart(ids) => self.staying(&ids).map(|targets| {
                self.restart(&targets, turn);
                self.await_goal(ticket, Goal::Up, &targets, turn);
            }),
            Command::Reload(ids) => self.reload(ticket, &ids, turn),
            Command::Delete(ids) => self.targets(&ids).map(|targets| {
                self.halt(&targets, Then::Remove, turn);
                self.await_goal(ticket, Goal::Removed, &targets, turn);
            }),
            Command::Scale { app, instances } => self.scale(ticket, &app, instances, turn),
            Command::Reset(ids) => self.reset(ticket, &ids, turn),
            Command::Amend { app, policy } => self.amend(ticket, &app, policy, turn),
            Command::Rename { app, to } => self.rename(ticket, &app, to, turn),
        };
        if let Err(denied) = accepted {
            turn.answer(ticket, Answer::Denied(denied));
        }
    }

    /// Adds a stopped instance.
    pub(crate) fn add(&mut self, app: &AppName, slot: u32, turn: &Turn) -> Option<Target> {
        let id = InstanceId(self.next_instance);
        let instances = &mut self.apps.get_mut(app)?.instances;
        instances.insert(slot, Instance::new(id, turn.now));
        self.next_instance = self.next_instance.saturating_add(1);
        Some(Target { app: app.clone(), slot, id })
    }

    fn act_on_all(
        &mut self,
        targets: &[Target],
        turn: &mut Turn,
        act: impl Fn(&mut Instance, &Seat<'_>, &mut Turn),
    ) {
        for target in targets {
            self.act(target, turn, &act);
        }
    }

    fn register(
        &mut self,
        app: AppName,
        policy: Policy,
        instances: u32,
        turn: &Turn,
    ) -> Result<Vec<Target>, Denied> {
        Self::check_count(&app, instances)?;
        if self.apps.contains_key(&app) {
            return Err(Denied::Exists(app));
        }
        let new = App {
            policy,
            instances: BTreeMap::new(),
            listens: false,
            roll: None,
            queued: VecDeque::new(),
        };
        self.apps.insert(app.clone(), new);
        Ok((0..instances).filter_map(|slot| self.add(&app, slot, turn)).collect())
    }

    /// Stops or removes; whoever waited for these instances to come up waits in vain.
    fn halt(&mut self, targets: &[Target], then: Then, turn: &mut Turn) {
        for target in targets {
            self.supersede(Goal::Up, target);
            self.leave_rolls(target);
        }
        // What is to be removed already is not kept by a mere stop.
        let targets: Vec<_> =
            targets.iter().filter(|target| !self.will_go(target.id)).cloned().collect();
        self.call_off_halts(&targets);
        let (targets, later) = self.in_turn(&targets, then);
        self.halting.extend(later);
        self.act_on_all(&targets, turn, |instance, seat, turn| instance.halt(then, seat, turn));
    }

    fn restart(&mut self, targets: &[Target], turn: &mut Turn) {
        self.call_off_halts(targets);
        self.start_awaited(targets, turn);
        for target in targets {
            self.leave_rolls(target);
        }
        self.act_on_all(targets, turn, |instance, seat, turn| {
            instance.forgive(turn.now);
            instance.halt(Then::Start { delay_ms: 0 }, seat, turn);
        });
    }

    fn reload(
        &mut self,
        ticket: Ticket,
        ids: &[InstanceId],
        turn: &mut Turn,
    ) -> Result<(), Denied> {
        let targets = self.staying(ids)?;
        let by_app: Vec<_> = by_app(&targets);
        for (app, targets) in &by_app {
            let slots: Vec<_> = targets.iter().map(|target| target.slot).collect();
            if !self.has_roll_room(app, &slots) {
                return Err(Denied::TooMany(app.clone()));
            }
        }
        self.call_off_halts(&targets);
        self.start_awaited(&targets, turn);
        self.await_goal(ticket, Goal::Reloaded, &targets, turn);
        for (app, targets) in &by_app {
            self.enqueue_roll(app, Some(ticket), targets);
        }
        Ok(())
    }

    fn reset(&mut self, ticket: Ticket, ids: &[InstanceId], turn: &mut Turn) -> Result<(), Denied> {
        let targets = self.targets(ids)?;
        self.act_on_all(&targets, turn, |instance, _, turn| {
            instance.forgive(turn.now);
            instance.restarts = 0;
        });
        turn.answer(ticket, Answer::Done(targets.iter().map(|target| target.id).collect()));
        Ok(())
    }

    fn amend(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        policy: Policy,
        turn: &mut Turn,
    ) -> Result<(), Denied> {
        let app = self.apps.get_mut(name).ok_or_else(|| Denied::NoApp(name.clone()))?;
        app.policy = policy;
        let ids = app.instances.values().map(|instance| instance.id).collect();
        turn.answer(ticket, Answer::Done(ids));
        Ok(())
    }
}

impl Fleet {
    /// Only what is at rest: sockets, labels and files of workers carry their app's name.
    fn rename(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        to: AppName,
        turn: &mut Turn,
    ) -> Result<(), Denied> {
        if self.apps.contains_key(&to) {
            return Err(Denied::Exists(to));
        }
        let app = self.apps.get(name).ok_or_else(|| Denied::NoApp(name.clone()))?;
        let rests = |one: &Instance| {
            matches!(one.state, State::Stopped | State::Errored) && one.leaving.is_empty()
        };
        if !app.instances.values().all(rests) {
            return Err(Denied::Busy(name.clone()));
        }
        if let Some(app) = self.apps.remove(name) {
            let ids = app.instances.values().map(|instance| instance.id).collect();
            for other in self.apps.values_mut() {
                rpm_config::rename_in(&mut other.policy.depends_on, name, &to);
            }
            self.apps.insert(to, app);
            turn.answer(ticket, Answer::Done(ids));
        }
        Ok(())
    }
}

/// Slots of one app in ascending order, for each app of `targets`.
fn by_app(targets: &[Target]) -> Vec<(AppName, Vec<Target>)> {
    let mut apps: BTreeMap<AppName, Vec<Target>> = BTreeMap::new();
    for target in targets {
        apps.entry(target.app.clone()).or_default().push(target.clone());
    }
    for targets in apps.values_mut() {
        targets.sort_by_key(|target| target.slot);
    }
    apps.into_iter().collect()
}

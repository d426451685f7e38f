//! More or fewer instances of an app. Slots stay 0..N-1: up fills the lowest, down empties the
//! highest.

use crate::{
    App, Denied, Fleet, Goal, Instance, Ticket,
    turn::{Target, Turn},
};
use rpm_config::AppName;

impl Fleet {
    pub(crate) fn scale(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        count: u32,
        turn: &mut Turn,
    ) -> Result<(), Denied> {
        Self::check_count(name, count)?;
        let app = self.apps.get(name).ok_or_else(|| Denied::NoApp(name.clone()))?;
        let staying = app.staying(name);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if staying.is_empty() {
            // All of it is being deleted; it is as good as gone.
            return Err(Denied::NoApp(name.clone()));
        }
        if staying.len() == count {
            return Err(Denied::SameScale(name.clone()));
        }
        match staying.get(count..) {
            Some(surplus) => self.scale_down(ticket, surplus, turn),
            None => self.scale_up(ticket, name, count - staying.len(), turn),
        }
    }

    fn scale_down(
        &mut self,
        ticket: Ticket,
        surplus: &[Target],
        turn: &mut Turn,
    ) -> Result<(), Denied> {
        self.check_waiting(surplus)?;
        for target in surplus {
            self.supersede(Goal::Up, target);
            self.leave_rolls(target);
            self.act(target, turn, Instance::retire);
        }
        self.await_goal(ticket, Goal::Removed, surplus, turn);
        Ok(())
    }

    /// A slot that is still being removed counts as free: its instance is called back, since two
    /// on one slot must not be, and a gap in the numbers neither.
    fn scale_up(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        missing: usize,
        turn: &mut Turn,
    ) -> Result<(), Denied> {
        let Some(app) = self.apps.get(name) else { return Err(Denied::NoApp(name.clone())) };
        let going = |slot: &u32| app.instances.get(slot).is_none_or(Instance::is_going);
        let slots: Vec<u32> = (0..).filter(going).take(missing).collect();
        let called_back: Vec<_> = slots.iter().filter_map(|slot| app.at(name, *slot)).collect();
        self.check_waiting(&called_back)?;
        for target in &called_back {
            self.supersede(Goal::Removed, target);
            self.act(target, turn, Instance::revive);
        }
        let mut targets = called_back;
        for slot in slots {
            if targets.iter().all(|target| target.slot != slot)
                && let Some(target) = self.add(name, slot, turn)
            {
                self.act(&target, turn, Instance::start);
                targets.push(target);
            }
        }
        self.await_goal(ticket, Goal::Up, &targets, turn);
        Ok(())
    }
}

impl App {
    fn at(&self, name: &AppName, slot: u32) -> Option<Target> {
        let id = self.instances.get(&slot)?.id;
        Some(Target { app: name.clone(), slot, id })
    }

    /// Its instances that nobody is removing, by slot.
    fn staying(&self, name: &AppName) -> Vec<Target> {
        let staying = self.instances.iter().filter(|(_, instance)| !instance.is_going());
        let target = |(slot, _): (&u32, &Instance)| self.at(name, *slot);
        staying.filter_map(target).collect()
    }
}

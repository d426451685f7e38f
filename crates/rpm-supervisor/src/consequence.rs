//! What a turn means beyond the instance it was about: rolls end or go on, the removed leave the
//! fleet, and those who waited are answered.

use crate::{
    Effect, Fleet, Goal, Instance, NoticeKind, State,
    turn::{NewsKind, Target, Turn},
};

impl Fleet {
    /// Settles all consequences of a turn.
    pub(crate) fn finish(&mut self, mut turn: Turn) -> Vec<Effect> {
        self.digest(&mut turn);
        self.answer_settled(&mut turn);
        self.next_worker = turn.next_worker();
        turn.effects
    }

    /// Tells rolls and requests of failures, removes what is gone, and lets rolls advance.
    pub(crate) fn digest(&mut self, turn: &mut Turn) {
        for news in std::mem::take(&mut turn.news) {
            let target = &news.target;
            match news.kind {
                NewsKind::Failed(failure) => {
                    self.fail_goal(Goal::Up, &failure);
                    self.fail_roll(target, failure, turn);
                }
                NewsKind::Finished => {
                    self.settle_goal(Goal::Up, target.id);
                    self.roll_past(target);
                }
                NewsKind::ReplacementFailed(failure) => self.fail_roll(target, failure, turn),
            }
        }
        let touched: Vec<_> = turn.touched.iter().cloned().collect();
        for target in &touched {
            self.remove_if_gone(target, turn);
        }
        let mut apps: Vec<_> = touched.into_iter().map(|target| target.app).collect();
        apps.dedup();
        for app in &apps {
            self.advance(app, turn);
        }
    }

    /// Takes a removed instance out of the fleet once its last worker is gone, and its app with it
    /// if that was the last.
    fn remove_if_gone(&mut self, target: &Target, turn: &mut Turn) {
        let Some(app) = self.apps.get_mut(&target.app) else { return };
        let gone = |found: &Instance| {
            found.id == target.id && found.state == State::Removing && found.leaving.is_empty()
        };
        if !app.instances.get(&target.slot).is_some_and(gone) {
            return;
        }
        app.instances.remove(&target.slot);
        turn.push(Effect::Release { app: target.app.clone(), slot: target.slot });
        turn.notice(&target.app, target.id, NoticeKind::Deleted);
        if app.instances.is_empty() {
            self.apps.remove(&target.app);
            turn.push(Effect::Forget { app: target.app.clone() });
        }
        if self.apps.is_empty() {
            self.next_instance = 0;
        }
    }
}

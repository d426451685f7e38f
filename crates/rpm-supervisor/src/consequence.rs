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

    /// Tells rolls and requests of failures, removes what is gone, halts and starts those whose
    /// turn it is, and lets rolls advance, until nothing more follows.
    pub(crate) fn digest(&mut self, turn: &mut Turn) {
        loop {
            self.tell_news(turn);
            self.remove_gone(turn);
            self.halt_in_turn(turn);
            self.start_awaiting(turn);
            self.tell_news(turn);
            let touched = turn.touched.iter();
            let mut apps: Vec<_> = touched.map(|target| target.app.clone()).collect();
            apps.dedup();
            for app in &apps {
                self.advance(app, turn);
            }
            // A roll may have begun with one that waits in vain, which ends it.
            self.start_awaiting(turn);
            if turn.news.is_empty() {
                return;
            }
        }
    }

    /// Tells rolls and requests of failures.
    fn tell_news(&mut self, turn: &mut Turn) {
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
    }

    /// Takes what is gone of the touched out of the fleet.
    pub(crate) fn remove_gone(&mut self, turn: &mut Turn) {
        let touched: Vec<_> = turn.touched.iter().cloned().collect();
        for target in &touched {
            self.remove_if_gone(target, turn);
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

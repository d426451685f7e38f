//! The worker that a reload starts beside the current one. Which slots get one, and what its
//! failure means for the others, is decided in `roll.rs`.

use crate::{
    Cause, Exit, Failure, Instance, NoticeKind, Replacement, State,
    ready::Verdict,
    turn::{News, NewsKind, Seat, Turn},
};

impl Instance {
    /// It proved itself: it is the current worker now, and the old one drains.
    pub(crate) fn replacement_ready(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        let Some(Replacement { worker, since, .. }) = self.replacement.take() else { return };
        let old = self.current();
        self.state = State::Online { worker, since };
        self.restarts = self.restarts.saturating_add(1);
        turn.notice(seat.app, self.id, NoticeKind::Online);
        if let Some(old) = old {
            self.drain(old, seat, turn);
        }
    }

    /// Its leader exited before it was ready; its tree is swept.
    pub(crate) fn replacement_exited(&mut self, exit: Exit, seat: &Seat<'_>, turn: &mut Turn) {
        self.last_exit = Some((exit, turn.now));
        turn.notice(seat.app, self.id, NoticeKind::Exited { exit, asked: false });
        self.reject(Cause::Exited(exit), seat, turn);
    }

    /// It could not be executed.
    pub(crate) fn replacement_not_spawned(
        &mut self,
        reason: String,
        seat: &Seat<'_>,
        turn: &mut Turn,
    ) {
        let kind = NoticeKind::SpawnFailed { reason: reason.clone() };
        turn.notice(seat.app, self.id, kind);
        if let Some(replacement) = self.replacement.take() {
            self.blame(replacement, Cause::NotSpawned(reason), seat, turn);
        }
    }

    /// Its deadline passed.
    pub(crate) fn replacement_due(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        let Some(replacement) = &mut self.replacement else { return };
        if replacement.deadline > turn.now {
            return;
        }
        match seat.verdict(replacement.since, turn.now) {
            Verdict::Wait(until) => replacement.deadline = until,
            Verdict::Ready => self.replacement_ready(seat, turn),
            Verdict::Late(patience) => self.give_up_on(Cause::NotReady(patience), seat, turn),
        }
    }

    /// It lives but never proved itself. It may hold connections nevertheless: it listens on the
    /// slot's socket beside the old one, so it drains as any other that leaves.
    fn give_up_on(&mut self, cause: Cause, seat: &Seat<'_>, turn: &mut Turn) {
        let Some(replacement) = self.replacement.take() else { return };
        self.drain(replacement.worker, seat, turn);
        self.blame(replacement, cause, seat, turn);
    }

    /// Nobody wants it any more.
    pub(crate) fn dismiss_replacement(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        if let Some(replacement) = self.replacement.take() {
            self.dismiss(replacement.worker, seat, turn);
        }
    }

    /// The current worker is lost; whether there was one to take its place, as it is.
    pub(crate) fn promote_replacement(&mut self) -> bool {
        let Some(Replacement { worker, since, deadline }) = self.replacement.take() else {
            return false;
        };
        self.state = State::Launching { worker, since, deadline };
        true
    }

    fn reject(&mut self, cause: Cause, seat: &Seat<'_>, turn: &mut Turn) {
        let Some(replacement) = self.replacement.take() else { return };
        self.dismiss(replacement.worker, seat, turn);
        self.blame(replacement, cause, seat, turn);
    }

    fn blame(&self, failed: Replacement, cause: Cause, seat: &Seat<'_>, turn: &mut Turn) {
        let failure = Failure { instance: self.id, worker: Some(failed.worker), cause };
        let kind = NewsKind::ReplacementFailed(failure);
        turn.news.push(News { target: seat.target(self), kind });
    }
}

//! What the current worker of an instance does: become ready, exit, be gone, miss its deadline.

use crate::{
    Cause, Effect, Exit, Failure, Instance, NoticeKind, State, Then, WorkerId,
    exit::{self, End, Record},
    ready::Verdict,
    turn::{News, NewsKind, Seat, Turn},
};
use rpm_config::Ready;
use std::time::Duration;

/// A worker that ended, or must, although nobody had asked for it.
struct Lost {
    worker: WorkerId,
    uptime: Duration,
    end: End,
    cause: Cause,
}

impl Instance {
    /// It proved itself.
    pub(crate) fn current_ready(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        if let State::Launching { worker, since, .. } = self.state {
            self.state = State::Online { worker, since };
            turn.notice(seat.app, self.id, NoticeKind::Online);
        }
    }

    /// Its leader exited. If that was asked for, the rest of its tree decides when it is done.
    pub(crate) fn current_exited(&mut self, exit: Exit, seat: &Seat<'_>, turn: &mut Turn) {
        self.last_exit = Some((exit, turn.now));
        let asked = self.uptime(turn).is_none();
        turn.notice(seat.app, self.id, NoticeKind::Exited { exit, asked });
        if let Some((worker, uptime)) = self.uptime(turn) {
            let (end, cause) = (End::Exited(exit), Cause::Exited(exit));
            self.failed(Lost { worker, uptime, end, cause }, seat, turn);
        }
    }

    /// It could not be executed, so there is no process that could be stopped.
    pub(crate) fn current_not_spawned(&mut self, reason: String, seat: &Seat<'_>, turn: &mut Turn) {
        let kind = NoticeKind::SpawnFailed { reason: reason.clone() };
        turn.notice(seat.app, self.id, kind);
        if let Some((worker, uptime)) = self.uptime(turn) {
            let (end, cause) = (End::NotSpawned, Cause::NotSpawned(reason));
            self.failed(Lost { worker, uptime, end, cause }, seat, turn);
        } else {
            self.current_gone(seat, turn);
        }
    }

    /// It has finished its last connection.
    pub(crate) fn current_drained(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        if let State::Draining { worker, then, .. } = self.state {
            self.stop_current(worker, then, seat, turn);
        }
    }

    /// Its last process is gone.
    pub(crate) fn current_gone(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        if let Some((worker, _)) = self.uptime(turn) {
            // The engine promises `Exited` first; an instance without processes is worse than an
            // exit that nobody can name.
            self.current_exited(Exit::Unknown, seat, turn);
            self.leaving.retain(|leaving| leaving.worker != worker);
        }
        if let State::Stopping { then, .. } | State::Draining { then, .. } = self.state {
            self.rest(then, seat, turn);
        }
    }

    /// Its deadline passed, or the delay before it.
    pub(crate) fn current_due(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        match &mut self.state {
            State::Launching { worker, since, deadline } if *deadline <= turn.now => {
                let (worker, since) = (*worker, *since);
                match seat.verdict(since, turn.now) {
                    Verdict::Wait(until) => *deadline = until,
                    Verdict::Ready => self.current_ready(seat, turn),
                    Verdict::Late(patience) => {
                        let uptime = turn.now.since(since);
                        let (end, cause) = (End::NotReady, Cause::NotReady(patience));
                        self.failed(Lost { worker, uptime, end, cause }, seat, turn);
                    }
                }
            }
            State::Stopping { worker, deadline, .. }
                if deadline.is_some_and(|at| at <= turn.now) =>
            {
                *deadline = None;
                turn.push(Effect::Kill { worker: *worker });
            }
            State::Draining { worker, until, then } if *until <= turn.now => {
                let (worker, then) = (*worker, *then);
                self.stop_current(worker, then, seat, turn);
            }
            State::Waiting { until } if *until <= turn.now => self.launch_again(seat, turn),
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored
            | State::Removing => {}
        }
    }

    /// The current worker and how long it lived, unless it was told to stop.
    fn uptime(&self, turn: &Turn) -> Option<(WorkerId, Duration)> {
        Some((self.current()?, turn.now.since(self.up_since()?)))
    }

    /// The current worker failed by itself: its replacement takes its place, or policy decides.
    fn failed(&mut self, lost: Lost, seat: &Seat<'_>, turn: &mut Turn) {
        let Lost { worker, uptime, end, cause } = lost;
        if self.promote_replacement() {
            if end != End::NotSpawned {
                self.dismiss(worker, seat, turn);
            }
            return;
        }
        self.report(worker, cause, seat, turn);
        let then = self.decide(end, uptime, seat);
        if end == End::NotSpawned {
            self.rest(then, seat, turn);
        } else {
            self.stop_current(worker, then, seat, turn);
        }
    }

    fn decide(&mut self, end: End, uptime: Duration, seat: &Seat<'_>) -> Then {
        let Self { unstable, previous_delay_ms, .. } = *self;
        let record = Record { unstable, previous_delay_ms };
        let (then, record) = exit::after_exit(&seat.policy.restart, record, end, uptime);
        (self.unstable, self.previous_delay_ms) = (record.unstable, record.previous_delay_ms);
        then
    }

    fn report(&self, worker: WorkerId, cause: Cause, seat: &Seat<'_>, turn: &mut Turn) {
        let launching = matches!(self.state, State::Launching { .. });
        let may_end = seat.policy.ready == Ready::Listening && !seat.listens;
        let kind = if launching && may_end && cause == Cause::Exited(Exit::Code(0)) {
            NewsKind::Finished
        } else {
            NewsKind::Failed(Failure { instance: self.id, worker: Some(worker), cause })
        };
        turn.news.push(News { target: seat.target(self), kind });
    }
}

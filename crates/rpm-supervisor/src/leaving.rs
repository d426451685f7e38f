//! Workers that are no longer current and still finishing: drain, stop, kill, gone.

use crate::{
    Effect, Exit, Instance, Leaving, LeavingPhase, NoticeKind, WorkerId,
    turn::{Seat, Turn},
};

/// So many former workers of one instance may linger; beyond that the oldest are killed. Reached
/// only by reload after reload of an app that ignores its stop signal.
pub(crate) const MAX_LEAVING: usize = 4;

impl Instance {
    /// `worker` finishes its connections.
    pub(crate) fn drain(&mut self, worker: WorkerId, seat: &Seat<'_>, turn: &mut Turn) {
        let until = turn.now.plus(seat.policy.stop.drain_timeout);
        self.leaving.push(Leaving { worker, phase: LeavingPhase::Draining { until } });
        turn.push(Effect::Drain { worker });
        let left_ms = until.since(turn.now).as_millis();
        let left_ms = u64::try_from(left_ms).unwrap_or(u64::MAX);
        turn.notice(seat.app, self.id, NoticeKind::Draining { connections: None, left_ms });
        self.crowd_out(turn);
    }

    /// `worker` stops, or what its dead leader left behind does.
    pub(crate) fn dismiss(&mut self, worker: WorkerId, seat: &Seat<'_>, turn: &mut Turn) {
        let deadline = turn.now.plus(seat.policy.stop.kill_timeout);
        self.leaving.push(Leaving { worker, phase: LeavingPhase::Stopping { deadline } });
        turn.push(Effect::Stop { worker });
        self.crowd_out(turn);
    }

    /// It has finished its last connection.
    pub(crate) fn leaving_drained(&mut self, worker: WorkerId, seat: &Seat<'_>, turn: &mut Turn) {
        for leaving in self.leaving.iter_mut().filter(|leaving| leaving.worker == worker) {
            if matches!(leaving.phase, LeavingPhase::Draining { .. }) {
                leaving.stop(seat, turn);
            }
        }
    }

    /// Its leader exited. Behind a wrapper the server itself may still be draining.
    pub(crate) fn leaving_exited(&mut self, exit: Exit, seat: &Seat<'_>, turn: &mut Turn) {
        self.last_exit = Some((exit, turn.now));
        turn.notice(seat.app, self.id, NoticeKind::Exited { exit, asked: true });
    }

    /// Its last process is gone, or there never was one.
    pub(crate) fn leaving_gone(&mut self, worker: WorkerId, seat: &Seat<'_>, turn: &mut Turn) {
        self.leaving.retain(|leaving| leaving.worker != worker);
        self.vacate(seat, turn);
    }

    /// Their deadlines passed.
    pub(crate) fn leaving_due(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        for leaving in &mut self.leaving {
            match leaving.phase {
                LeavingPhase::Draining { until } if until <= turn.now => leaving.stop(seat, turn),
                LeavingPhase::Stopping { deadline } if deadline <= turn.now => leaving.kill(turn),
                LeavingPhase::Draining { .. }
                | LeavingPhase::Stopping { .. }
                | LeavingPhase::Killed => {}
            }
        }
    }

    fn crowd_out(&mut self, turn: &mut Turn) {
        let too_many = self.leaving.len().saturating_sub(MAX_LEAVING);
        for leaving in self.leaving.iter_mut().take(too_many) {
            if leaving.phase != LeavingPhase::Killed {
                leaving.kill(turn);
            }
        }
    }
}

impl Leaving {
    pub(crate) fn stop(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        let deadline = turn.now.plus(seat.policy.stop.kill_timeout);
        self.phase = LeavingPhase::Stopping { deadline };
        turn.push(Effect::Stop { worker: self.worker });
    }

    fn kill(&mut self, turn: &mut Turn) {
        self.phase = LeavingPhase::Killed;
        turn.push(Effect::Kill { worker: self.worker });
    }
}

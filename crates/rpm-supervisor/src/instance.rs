//! What requests and rolls do to one instance: start, halt, reload, retire. What its workers do by
//! themselves is in `current.rs`, `replacement.rs` and `leaving.rs`.

use crate::{
    Effect, Instance, InstanceId, LeavingPhase, Moment, NoticeKind, Replacement, State, Then,
    WorkerId,
    turn::{Seat, Turn},
};

impl Instance {
    /// A stopped one.
    pub(crate) fn new(id: InstanceId, created: Moment) -> Self {
        Self {
            id,
            state: State::Stopped,
            replacement: None,
            leaving: Vec::new(),
            restarts: 0,
            unstable: 0,
            previous_delay_ms: 0,
            created,
            last_exit: None,
        }
    }

    /// Starts it unless it runs; a worker that is stopping has a successor then.
    pub(crate) fn start(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        match &mut self.state {
            State::Stopped | State::Errored => self.launch(seat, turn),
            State::Waiting { .. } => self.launch_again(seat, turn),
            State::Draining { then, .. } | State::Stopping { then, .. } => {
                *then = redirected(*then, Then::Start { delay_ms: 0 });
            }
            State::Launching { .. } | State::Online { .. } | State::Awaiting | State::Removing => {}
        }
    }

    /// Stops whatever runs, and then does `then`.
    pub(crate) fn halt(&mut self, then: Then, seat: &Seat<'_>, turn: &mut Turn) {
        self.dismiss_replacement(seat, turn);
        self.cut_drains(seat, turn);
        match &mut self.state {
            State::Launching { worker, .. } | State::Online { worker, .. } => {
                let worker = *worker;
                self.stop_current(worker, then, seat, turn);
            }
            State::Draining { worker, then: planned, .. } => {
                let (worker, then) = (*worker, redirected(*planned, then));
                self.stop_current(worker, then, seat, turn);
            }
            State::Stopping { then: planned, .. } => *planned = redirected(*planned, then),
            State::Waiting { .. } => self.rest(then, seat, turn),
            State::Stopped | State::Errored | State::Awaiting => self.rest_on(then, seat, turn),
            State::Removing => {}
        }
    }

    /// Begins its part of a roll: a replacement where two can run side by side, else a restart.
    pub(crate) fn reload(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        self.forgive(turn.now);
        match &self.state {
            State::Launching { .. } | State::Online { .. } if seat.policy.overlap => {
                let (worker, since) = (turn.spawn(seat, self.id), turn.now);
                let deadline = seat.ready_by(since);
                self.replacement = Some(Replacement { worker, since, deadline });
            }
            State::Online { worker, .. } if seat.policy.proxied => {
                self.drain_current(*worker, Then::Start { delay_ms: 0 }, seat, turn);
            }
            State::Launching { .. } | State::Online { .. } => {
                self.halt(Then::Start { delay_ms: 0 }, seat, turn);
            }
            State::Stopped
            | State::Errored
            | State::Awaiting
            | State::Waiting { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Removing => self.start(seat, turn),
        }
    }

    /// Takes it out of the fleet as gently as it can: an online worker may finish its connections,
    /// where another slot takes the new ones.
    pub(crate) fn retire(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        match &self.state {
            State::Online { worker, .. } if seat.policy.overlap => {
                let worker = *worker;
                self.dismiss_replacement(seat, turn);
                self.state = State::Removing;
                self.drain(worker, seat, turn);
            }
            State::Online { worker, .. } if seat.policy.proxied => {
                self.drain_current(*worker, Then::Remove, seat, turn);
            }
            State::Online { .. }
            | State::Launching { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Stopped
            | State::Errored
            | State::Removing => self.halt(Then::Remove, seat, turn),
        }
    }

    /// Calls a removal off: the instance starts again, beside its leaving workers if it has some.
    pub(crate) fn revive(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        match &mut self.state {
            State::Removing => self.launch_again(seat, turn),
            State::Draining { then, .. } | State::Stopping { then, .. } => {
                *then = Then::Start { delay_ms: 0 };
            }
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored => {}
        }
    }

    /// Zeroes what counts against it: PM2's reset of a restart by hand.
    pub(crate) fn forgive(&mut self, now: Moment) {
        (self.unstable, self.previous_delay_ms, self.created) = (0, 0, now);
    }

    /// It is on its way out of the fleet.
    pub fn is_going(&self) -> bool {
        match &self.state {
            State::Removing => true,
            State::Draining { then, .. } | State::Stopping { then, .. } => *then == Then::Remove,
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored => false,
        }
    }

    /// A first worker, or one after a rest that somebody had asked for; not before what its app
    /// depends on is up.
    pub(crate) fn launch(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        if !seat.awaited.is_empty() {
            self.state = State::Awaiting;
            let apps = seat.awaited.to_vec();
            return turn.notice(seat.app, self.id, NoticeKind::Awaiting { apps });
        }
        let (worker, since) = (turn.spawn(seat, self.id), turn.now);
        self.state = State::Launching { worker, since, deadline: seat.ready_by(since) };
    }

    /// The next worker of an instance that was up.
    pub(crate) fn launch_again(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        self.restarts = self.restarts.saturating_add(1);
        self.launch(seat, turn);
    }

    /// Tells the current worker, or what its dead leader left behind, to stop.
    pub(crate) fn stop_current(
        &mut self,
        worker: WorkerId,
        then: Then,
        seat: &Seat<'_>,
        turn: &mut Turn,
    ) {
        let deadline = Some(turn.now.plus(seat.policy.stop.kill_timeout));
        self.state = State::Stopping { worker, deadline, then };
        turn.push(Effect::Stop { worker });
    }

    /// Has the current worker finish, then stop: its successor cannot run beside it.
    fn drain_current(&mut self, worker: WorkerId, then: Then, seat: &Seat<'_>, turn: &mut Turn) {
        let until = turn.now.plus(seat.policy.stop.drain_timeout);
        self.state = State::Draining { worker, until, then };
        turn.push(Effect::Drain { worker });
        let left_ms = u64::try_from(until.since(turn.now).as_millis()).unwrap_or(u64::MAX);
        turn.notice(seat.app, self.id, NoticeKind::Draining { connections: None, left_ms });
    }

    /// Does `then`: the last process of the current worker is gone.
    pub(crate) fn rest(&mut self, then: Then, seat: &Seat<'_>, turn: &mut Turn) {
        match then {
            Then::Stop => self.come_to_rest(State::Stopped, NoticeKind::Stopped, seat, turn),
            Then::Error => self.come_to_rest(State::Errored, NoticeKind::Errored, seat, turn),
            Then::Start { delay_ms: 0 } => self.launch_again(seat, turn),
            Then::Start { delay_ms } => {
                let until = Moment(turn.now.0.saturating_add(delay_ms));
                self.state = State::Waiting { until };
                turn.notice(seat.app, self.id, NoticeKind::Waiting { delay_ms });
            }
            Then::Remove => self.state = State::Removing,
        }
    }

    /// The slot's sockets can go if this was its last worker. Not for one that is removed: the
    /// fleet sees to that.
    pub(crate) fn vacate(&self, seat: &Seat<'_>, turn: &mut Turn) {
        let at_rest = matches!(self.state, State::Stopped | State::Errored);
        if at_rest && self.leaving.is_empty() {
            turn.push(Effect::Release { app: seat.app.clone(), slot: seat.slot });
        }
    }

    /// [`Instance::rest`] for one that rests already.
    fn rest_on(&mut self, then: Then, seat: &Seat<'_>, turn: &mut Turn) {
        match then {
            Then::Start { .. } => self.launch(seat, turn),
            Then::Stop if self.state == State::Stopped => {}
            Then::Stop | Then::Error | Then::Remove => self.rest(then, seat, turn),
        }
    }

    fn come_to_rest(&mut self, state: State, kind: NoticeKind, seat: &Seat<'_>, turn: &mut Turn) {
        self.state = state;
        turn.notice(seat.app, self.id, kind);
        self.vacate(seat, turn);
    }

    /// A drain is a courtesy of reloads; a stop does not wait for it.
    fn cut_drains(&mut self, seat: &Seat<'_>, turn: &mut Turn) {
        for leaving in &mut self.leaving {
            if matches!(leaving.phase, LeavingPhase::Draining { .. }) {
                leaving.stop(seat, turn);
            }
        }
    }
}

/// A request's wish wins over the plan so far, but what is being removed is not called back by it.
fn redirected(planned: Then, wish: Then) -> Then {
    if planned == Then::Remove { planned } else { wish }
}

//! A bind: gather the facts, decide, do it.

use super::{
    Ports,
    attempt::{Attempt, Standing},
    hold::Hold,
    lease::Censuses,
    schedule::Schedule,
    source::{Caller, Claim, wanted_name},
    verdict::{Verdict, verdict},
};
use crate::message::{Address, ChildId, Event};
use rpm_unix::{seccomp::Notification, socket};
use std::time::Instant;

impl Ports {
    /// Answers a bind, or lets it wait. `waited`: it was seen before.
    pub(super) fn bind(
        &mut self,
        child: ChildId,
        note: Notification,
        waited: Option<Schedule>,
    ) -> Vec<Event> {
        let Some(source) = self.sources.get(&child) else { return Vec::new() };
        let name = wanted_name(&note);
        let looked = match &name {
            Ok(Some(_)) => source.caller(child, note),
            Ok(None) | Err(_) => Ok(None),
        };
        // Only now it is certain that what was read was the caller's.
        if !source.is_valid(&note) {
            return Vec::new();
        }
        match (name, looked) {
            (Err(error), _) | (_, Err(error)) => self.blind(child, &note, &error),
            (Ok(Some(name)), Ok(Some(caller))) => match caller.claim(name) {
                Some(claim) => self.decide(claim, waited),
                None => self.pass(child, &note),
            },
            (Ok(None), _) | (_, Ok(None)) => self.pass(child, &note),
        }
    }

    fn decide(&mut self, mut claim: Claim, waited: Option<Schedule>) -> Vec<Event> {
        let mut censuses = Censuses::default();
        if let Some(wanted) = self.forget_former(&claim.caller) {
            claim.wants = wanted;
        }
        let mut events = self.finish_thread(&claim.caller);
        events.extend(self.look_at_attempts(Instant::now()));
        // A UDP socket that was closed has nothing to live on for but stale datagrams.
        let spared = (!claim.key.is_udp()).then_some(&claim.key);
        self.expire(claim.caller.child, spared, &mut censuses);
        self.drop_useless(&claim);
        // The program's own bind may need the address at once.
        self.bury();
        let patient = waited.is_none_or(|schedule| !schedule.is_over());
        let facts = self.facts(&claim, patient, &mut censuses);
        let private = self.is_private(&claim.caller.owner.app, &claim.key);
        events.extend(match verdict(&facts) {
            Verdict::Pass => self.pass(claim.caller.child, &claim.caller.note),
            Verdict::Done => self.done(&claim),
            Verdict::Refuse(holder) => self.refuse(claim, holder),
            Verdict::Wait => self.wait(&claim.caller, waited),
            Verdict::Give(hold) => self.give(claim, hold, &mut censuses),
            Verdict::Join | Verdict::First if private => self.give_private(claim, &mut censuses),
            Verdict::Join => self.join(claim),
            Verdict::First => self.first(claim),
        });
        events
    }

    /// The same socket's former attempt, whose answer a signal lost or whose bind failed: it starts
    /// anew, but SO_REUSEPORT may be of our doing, so what it was before is handed on.
    fn forget_former(&mut self, caller: &Caller) -> Option<bool> {
        let attempts = &mut self.table.attempts;
        let at = attempts.iter().position(|attempt| attempt.cookie == caller.cookie)?;
        Some(attempts.swap_remove(at).wants)
    }

    /// A thread that calls again has finished its former bind: if that socket is not bound now, it
    /// never was.
    pub(super) fn finish_thread(&mut self, caller: &Caller) -> Vec<Event> {
        let same = |attempt: &Attempt| {
            attempt.thread == caller.note.thread
                && attempt.cookie != caller.cookie
                && !attempt.bound
        };
        let (former, others) = std::mem::take(&mut self.table.attempts).into_iter().partition(same);
        self.table.attempts = others;
        let mut events = Vec::new();
        for mut attempt in former {
            match attempt.standing() {
                Standing::Bound(socket) => {
                    attempt.bound = true;
                    events.extend(self.was_bound(attempt, socket));
                }
                Standing::InFlight | Standing::Failed => events.extend(self.failed(&attempt)),
            }
        }
        events
    }

    /// Sockets that are of no use to this caller: those at a path that names another file by now,
    /// or none, because the program unlinked it; and UDP sockets that the program has connected.
    fn drop_useless(&mut self, claim: &Claim) {
        let Claim { caller, key, .. } = claim;
        let file = caller.file(key);
        let useless = |hold: &Hold| match key.address {
            Address::Unix(_) => hold.file != file,
            Address::Udp(_) => socket::has_peer(&hold.socket),
            Address::Tcp(_) => false,
        };
        let app = &caller.owner.app;
        let same = |hold: &Hold| hold.owner.app == *app && hold.key == *key;
        self.table.holds.retain(|_, hold| !same(hold) || !useless(hold));
    }
}

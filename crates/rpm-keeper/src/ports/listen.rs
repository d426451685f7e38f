//! A listen: what was bound becomes held. The kernel does the call in every case; on a socket that
//! listens already it succeeds and sets the backlog. It is told when the socket does listen, so
//! that whoever is told can connect: at once, or a millisecond later.

use super::{
    Ports, SETTLES_AFTER,
    attempt::Attempt,
    hold::{Hold, HoldId, Phase},
    lease::Censuses,
    schedule::Schedule,
    source::Caller,
};
use crate::message::{ChildId, Event};
use rpm_unix::{seccomp::Notification, socket};
use std::time::Instant;

impl Ports {
    /// Notes a listen and lets it through.
    pub(super) fn listen_seen(
        &mut self,
        child: ChildId,
        note: Notification,
        backlog: i32,
    ) -> Vec<Event> {
        let Some(source) = self.sources.get(&child) else { return Vec::new() };
        let looked = source.caller(child, note);
        if !source.is_valid(&note) {
            return Vec::new();
        }
        let mut events = Vec::new();
        if let Ok(Some(caller)) = looked {
            events.extend(self.finish_thread(&caller));
            self.expire(child, None, &mut Censuses::default());
            // Nothing to note: its socket is not one of ours.
            let _ = self.serve(caller, backlog);
        }
        self.pass(child, &note);
        events.extend(self.look_at_holds(Instant::now()));
        events
    }

    fn serve(&mut self, caller: Caller, backlog: i32) -> Option<()> {
        let now = Instant::now();
        let (child, place) = (caller.child, caller.place);
        let id = match self.take_attempt(&caller) {
            // The program could have changed the address in its memory after we read it; what the
            // kernel took is what counts, and a socket bound elsewhere is not ours to hold.
            Some(attempt) if is_bound_to(&caller, &attempt) => self.hold(caller, attempt, now)?,
            Some(_) => return None,
            None => self.table.find_socket(&caller.owner, caller.cookie)?,
        };
        self.table.mark(id);
        let hold = self.table.holds.get_mut(&id)?;
        hold.used_by(child, place);
        hold.served_by([child]);
        if !hold.key.is_udp() && !hold.key.is_unix() {
            // Done for the program, which then does it again, so that it is known in which order
            // the sockets of a group joined it (traps B2). A refusal is the program's, too.
            hold.backlog = backlog;
            let _ = hold.listen();
        }
        hold.announced(child, backlog, now);
        if let Some(source) = self.sources.get_mut(&child)
            && !source.settled
        {
            source.settles = Some(now + SETTLES_AFTER);
        }
        Some(())
    }

    fn take_attempt(&mut self, caller: &Caller) -> Option<Attempt> {
        let same = |attempt: &Attempt| {
            attempt.cookie == caller.cookie && attempt.owner.app == caller.owner.app
        };
        let at = self.table.attempts.iter().position(same)?;
        Some(self.table.attempts.swap_remove(at))
    }

    fn hold(&mut self, caller: Caller, attempt: Attempt, now: Instant) -> Option<HoldId> {
        let file = caller.file(&attempt.key);
        let phase = Phase::Announced(Schedule::from(now));
        let mut hold = Hold::new(attempt.owner, attempt.key, caller.socket, phase).ok()?;
        (hold.file, hold.nonblocking) = (file, attempt.nonblocking);
        if attempt.veiled {
            hold.veil(now);
        }
        Some(self.table.insert(hold))
    }
}

fn is_bound_to(caller: &Caller, attempt: &Attempt) -> bool {
    socket::local_name(&caller.socket).is_ok_and(|name| name == attempt.name)
}

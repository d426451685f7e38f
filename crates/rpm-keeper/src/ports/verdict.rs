//! What to answer to a bind, as a pure function of what is known. The table is in the module's
//! documentation; here is its code.

use super::hold::HoldId;
use crate::message::Owner;

/// What is known when a bind is seen. All of it is about sockets that are bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The socket is a held one already: an answer was lost to a signal.
    pub(super) given: bool,
    /// Another app has an overlapping address.
    pub(super) foreign: Option<Owner>,
    /// An overlapping bind was let through and is not known to have succeeded or failed.
    pub(super) in_flight: bool,
    /// What is held for this slot at this very address.
    pub(super) hold: Option<Held>,
    /// The caller's own tree has another socket open at an overlapping address.
    pub(super) own: bool,
    /// Others of the app have sockets at overlapping addresses.
    pub(super) others: bool,
    /// The program set SO_REUSEPORT.
    pub(super) wants: bool,
    /// There is room for one more.
    pub(super) room: bool,
}

/// What matters of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) id: HoldId,
    /// Another child is using it and would suffer: it shuts listeners down, or the two differ in
    /// O_NONBLOCK, which they would share, or it is to be left alone when this one is ready.
    pub(super) unshareable: bool,
}

/// What to do about a bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is changed and nothing remembered: the kernel decides, as it would without us.
    Pass,
    /// It is done already.
    Done,
    /// EADDRINUSE.
    Refuse(Owner),
    /// Decide later.
    Wait,
    /// Put the held socket in its place.
    Give(HoldId),
    /// Its own bind, beside others of the app: SO_REUSEPORT on all of them.
    Join,
    /// Its own bind, without SO_REUSEPORT.
    First,
}

pub(super) fn verdict(facts: &Facts) -> Verdict {
    // In one program a second bind of an address it serves fails, and programs count on that when
    // they look for a free port; unless it asked for SO_REUSEPORT.
    let own = facts.own && !facts.wants;
    match facts {
        Facts { given: true, .. } => Verdict::Done,
        Facts { foreign: Some(owner), .. } => Verdict::Refuse(owner.clone()),
        Facts { in_flight: true, .. } => Verdict::Wait,
        _ if own => Verdict::Pass,
        Facts { hold: Some(Held { id, unshareable: false }), .. } => Verdict::Give(*id),
        Facts { room: false, .. } => Verdict::Pass,
        Facts { hold: Some(Held { unshareable: true, .. }), .. } => Verdict::Join,
        Facts { hold: None, others, own, .. } if *others || *own => Verdict::Join,
        Facts { hold: None, .. } => Verdict::First,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Facts = Facts {
        given: false,
        foreign: None,
        in_flight: false,
        hold: None,
        own: false,
        others: false,
        wants: false,
        room: true,
    };

    #[test]
    fn the_table() {
        let holder = Owner { app: "b".to_owned(), slot: 0 };
        let good = Some(Held { id: HoldId(7), unshareable: false });
        let bad = Some(Held { id: HoldId(7), unshareable: true });
        let table = [
            (NOTHING, Verdict::First),
            (Facts { wants: true, ..NOTHING }, Verdict::First),
            (Facts { others: true, ..NOTHING }, Verdict::Join),
            (Facts { own: true, others: true, ..NOTHING }, Verdict::Pass),
            (Facts { own: true, wants: true, ..NOTHING }, Verdict::Join),
            (Facts { hold: good, ..NOTHING }, Verdict::Give(HoldId(7))),
            (Facts { hold: good, others: true, ..NOTHING }, Verdict::Give(HoldId(7))),
            (Facts { hold: good, own: true, ..NOTHING }, Verdict::Pass),
            (Facts { hold: good, own: true, wants: true, ..NOTHING }, Verdict::Give(HoldId(7))),
            (Facts { hold: bad, ..NOTHING }, Verdict::Join),
            (Facts { in_flight: true, others: true, ..NOTHING }, Verdict::Wait),
            (Facts { foreign: Some(holder.clone()), ..NOTHING }, Verdict::Refuse(holder.clone())),
            (
                Facts { foreign: Some(holder.clone()), in_flight: true, ..NOTHING },
                Verdict::Refuse(holder),
            ),
            (Facts { given: true, hold: good, own: true, ..NOTHING }, Verdict::Done),
            (Facts { room: false, ..NOTHING }, Verdict::Pass),
            (Facts { room: false, others: true, ..NOTHING }, Verdict::Pass),
            (Facts { room: false, hold: good, ..NOTHING }, Verdict::Give(HoldId(7))),
        ];
        for (facts, expected) in table {
            assert_eq!(verdict(&facts), expected, "{facts:?}");
        }
    }
}

//! How instances share their ports: what the keeper says of it, and workers that may not stop
//! before nothing new comes to them.

use crate::{engine::Engine, launch};
use rpm_config::{AppName, AppSpec};
use rpm_keeper::{Balance, ChildId, Fallback, Owner, Request, Slot, Standing};
use rpm_supervisor::{Notice, NoticeKind, State, Then, WorkerId};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};
use tokio::sync::watch;

/// EPERM.
const NOT_PERMITTED: i32 = 1;
/// As long as the keeper takes at most to retire a slot. A worker with less time between its stop
/// signal and SIGKILL is signalled at once.
const RETIRES_WITHIN: Duration = Duration::from_secs(1);

/// What the keeper said, and what it was asked.
#[derive(Default)]
pub(crate) struct Sharing {
    slots: BTreeMap<Owner, Slot>,
    arriving: BTreeMap<Owner, Slot>,
    fallbacks: BTreeMap<String, Fallback>,
    /// Apps whose binds cannot be answered, and why.
    unfiltered: BTreeMap<String, i32>,
    /// The question about slots that is not answered.
    asked: Option<u64>,
    next: u64,
    /// Slots whose workers accept nothing. Probes look: no connection of theirs comes there.
    blocked: watch::Sender<BTreeSet<Owner>>,
    /// Workers whose slots are being retired, and what they wait for.
    retiring: BTreeMap<WorkerId, (Owner, Step)>,
    /// Workers that have accepted what is theirs once the keeper says so. Each keeper says it.
    relieving: BTreeSet<WorkerId>,
}

/// What a worker does once its slot is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Drain,
    Stop,
}

impl Sharing {
    /// How many connections wait for a slot.
    pub(crate) fn waiting(&self, owner: &Owner) -> Option<u32> {
        self.slots.get(owner).map(|slot| slot.waiting)
    }

    /// How a slot stands, in a word.
    pub(crate) fn standing(&self, owner: &Owner) -> Option<&'static str> {
        Some(match self.slots.get(owner)?.standing {
            Standing::Serving => "serving",
            Standing::Unserved => "unserved",
            Standing::Blocked => "blocked",
            Standing::Retiring => "retiring",
        })
    }

    /// The slots whose workers accept nothing.
    pub(crate) fn blocked(&self) -> watch::Receiver<BTreeSet<Owner>> {
        self.blocked.subscribe()
    }

    /// A slot's worker accepts nothing, or does again: who looks next sees what was told, however
    /// fresh the last answer about slots is.
    fn note_blocked(&mut self, owner: &Owner, blocked: bool, waiting: u32) {
        self.blocked.send_modify(|all| {
            _ = if blocked { all.insert(owner.clone()) } else { all.remove(owner) };
        });
        let standing = if blocked { Standing::Blocked } else { Standing::Serving };
        for known in [&mut self.slots, &mut self.arriving] {
            if let Some(slot) = known.get_mut(owner) {
                *slot = Slot { waiting, standing, ..*slot };
            }
        }
    }

    /// Whether an answer about slots is to come.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// An app's binds cannot be answered; true the first time.
    pub(crate) fn note_unfiltered(&mut self, app: &AppName, errno: i32) -> bool {
        self.unfiltered.insert(app.to_string(), errno).is_none()
    }

    /// An app's binds are answered, after all: by a keeper that may look into it.
    pub(crate) fn note_heard(&mut self, app: &AppName) {
        self.unfiltered.remove(app.as_str());
    }

    /// A worker is gone.
    pub(crate) fn forget_worker(&mut self, worker: WorkerId) {
        self.relieving.remove(&worker);
    }

    /// An app is gone.
    pub(crate) fn forget(&mut self, app: &AppName) {
        self.unfiltered.remove(app.as_str());
        self.fallbacks.remove(app.as_str());
        self.slots.retain(|owner, _| owner.app != app.as_str());
        self.blocked.send_modify(|all| all.retain(|owner| owner.app != app.as_str()));
    }

    /// What is in force for an app, in words.
    pub(crate) fn balance(&self, spec: &AppSpec) -> Option<String> {
        if !launch::shares_ports(spec) {
            return None;
        }
        if spec.balance == rpm_config::Balance::LeastConn && !is_fronted(spec) {
            return Some("shared (least_conn cannot pass on what `listen` hands over)".to_owned());
        }
        let fallback = self.fallbacks.get(spec.name.as_str());
        if let Some(errno) = self.unfiltered.get(spec.name.as_str()) {
            let error = io::Error::from_raw_os_error(*errno);
            return Some(format!(
                "{} (Node's own servers only: no bind filter, {error})",
                spec.balance
            ));
        }
        Some(match fallback {
            Some(fallback) => format!("even ({})", reason(spec, *fallback)),
            None => spec.balance.to_string(),
        })
    }
}

/// Whether a front passes connections to the app's slots, without `proxy`.
pub(crate) fn is_fronted(spec: &AppSpec) -> bool {
    spec.balance == rpm_config::Balance::LeastConn
        && launch::shares_ports(spec)
        && spec.proxy.is_none()
        && spec.listen.is_empty()
}

/// What the keeper is asked for on behalf of an app.
pub(crate) fn balance(spec: &AppSpec) -> Balance {
    match spec.balance {
        rpm_config::Balance::Even => Balance::Even,
        rpm_config::Balance::LeastConn if is_fronted(spec) => Balance::Private,
        rpm_config::Balance::Shared | rpm_config::Balance::LeastConn => Balance::Shared,
        rpm_config::Balance::Random => Balance::Random,
        rpm_config::Balance::IpHash => Balance::IpHash,
        rpm_config::Balance::RoundRobin => Balance::RoundRobin,
    }
}

fn reason(spec: &AppSpec, fallback: Fallback) -> String {
    match fallback.errno {
        NOT_PERMITTED => format!("{} needs CAP_BPF and CAP_NET_ADMIN", spec.balance),
        errno => format!("{}: {}", spec.balance, io::Error::from_raw_os_error(errno)),
    }
}

impl Engine {
    /// Asks how full the slots' queues are, unless that is asked already.
    pub(crate) fn ask_for_slots(&mut self) {
        let shares = self.specs.values().any(|spec| launch::shares_ports(spec));
        if shares && !self.sharing.is_asking() {
            self.sharing.next += 1;
            self.sharing.asked = Some(self.sharing.next);
            self.keeper.send(Request::Slots { request: self.sharing.next });
        }
    }

    /// A part of the answer.
    pub(crate) fn on_slots(&mut self, app: &str, fallback: Option<Fallback>, slots: Vec<Slot>) {
        match fallback {
            Some(fallback) => drop(self.sharing.fallbacks.insert(app.to_owned(), fallback)),
            None => drop(self.sharing.fallbacks.remove(app)),
        }
        let owner = |slot: &Slot| Owner { app: app.to_owned(), slot: slot.slot };
        self.sharing.arriving.extend(slots.into_iter().map(|slot| (owner(&slot), slot)));
    }

    /// Its end.
    pub(crate) fn on_slots_end(&mut self, request: u64) {
        self.sharing.slots = std::mem::take(&mut self.sharing.arriving);
        if self.sharing.asked == Some(request) {
            self.sharing.asked = None;
            self.answer_looks();
        }
    }

    /// The balance an app asked for is not possible here.
    pub(crate) fn on_unbalanced(&mut self, app: String, fallback: Fallback) {
        if let Some(spec) = self.specs.values().find(|spec| spec.name.as_str() == app) {
            let reason = reason(spec, fallback);
            tracing::warn!(%app, "connections are shared evenly instead: {reason}");
        }
        self.sharing.fallbacks.insert(app, fallback);
    }

    /// A slot's worker accepts nothing, or does again.
    pub(crate) fn on_blocked(&mut self, owner: &Owner, blocked: bool, waiting: u32) {
        self.sharing.note_blocked(owner, blocked, waiting);
        let found = self.fleet.apps.iter().find(|(app, _)| app.as_str() == owner.app);
        let Some((app, found)) = found else { return };
        let Some(instance) = found.instances.get(&owner.slot) else { return };
        let kind = if blocked { NoticeKind::Blocked { waiting } } else { NoticeKind::Unblocked };
        tracing::info!(%app, id = %instance.id, "{kind:?}");
        let notice = Notice { app: app.clone(), instance: instance.id, kind };
        self.events.push(notice);
        self.dirty.state = true;
    }

    /// Has the slot of a worker that drains and leaves the fleet retired first; false: it need not.
    pub(crate) fn retires_before_drain(&mut self, worker: WorkerId) -> bool {
        let leaves = self.fleet.worker(worker).is_some_and(|place| {
            let instance = self.fleet.instance(place.instance).map(|found| found.2);
            instance.is_some_and(|instance| instance.state == State::Removing)
        });
        leaves && self.retire(worker, Step::Drain)
    }

    /// Has the slot of a worker that stops while others of its app go on retired first.
    pub(crate) fn retires_before_stop(&mut self, worker: WorkerId) -> bool {
        let Some(place) = self.fleet.worker(worker) else { return false };
        let Some(app) = self.fleet.apps.get(place.app) else { return false };
        let stops = app.instances.values().any(|one| match &one.state {
            State::Stopping { worker: stopping, then: Then::Stop | Then::Remove, .. } => {
                *stopping == worker
            }
            _ => false,
        });
        let stays = |state: &State| matches!(state, State::Online { .. });
        let others = app.instances.values().any(|one| stays(&one.state));
        let patient = app.policy.stop.kill_timeout > RETIRES_WITHIN;
        stops && others && patient && self.retire(worker, Step::Stop)
    }

    /// Has the replacement of a worker get what is new from now on, and the worker accept what it
    /// has; [`Self::on_relieved`] goes on. How long that may take is the drain's deadline.
    pub(crate) fn relieves_before_drain(&mut self, worker: WorkerId) -> bool {
        let shares = self.spec_of(worker).is_some_and(|spec| launch::shares_ports(&spec));
        if shares {
            self.sharing.relieving.insert(worker);
            self.keeper.send(Request::Relieve { child: ChildId(worker.0) });
        }
        shares
    }

    /// A replaced worker has accepted all that was meant for it.
    pub(crate) fn on_relieved(&mut self, worker: WorkerId) {
        if self.sharing.relieving.remove(&worker) {
            self.drain_now(worker);
        }
    }

    fn retire(&mut self, worker: WorkerId, step: Step) -> bool {
        let Some(spec) = self.spec_of(worker).filter(|spec| launch::shares_ports(spec)) else {
            return false;
        };
        let Some(slot) = self.workers.get(worker).map(|known| known.label.slot) else {
            return false;
        };
        let owner = launch::owner(&spec, slot);
        self.sharing.retiring.insert(worker, (owner.clone(), step));
        self.keeper.send(Request::Retire { owner });
        true
    }

    /// Nothing new comes to a slot: its workers go on with what they waited for.
    pub(crate) fn on_retired(&mut self, owner: &Owner) {
        let retiring = &mut self.sharing.retiring;
        let due: Vec<_> = retiring.extract_if(.., |_, (waits, _)| waits == owner).collect();
        for (worker, (_, step)) in due {
            match step {
                Step::Drain => self.drain_now(worker),
                Step::Stop => self.stop_now(worker),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list that was asked for because a worker accepts again still called it blocked, when the
    /// one before was young.
    #[test]
    fn what_was_told_of_a_slot_is_seen_by_the_next_look() {
        let (owner, standing) = (Owner { app: "web".to_owned(), slot: 1 }, Standing::Serving);
        let mut sharing = Sharing::default();
        sharing.slots.insert(owner.clone(), Slot { slot: 1, waiting: 0, standing });
        let seen = |sharing: &Sharing| (sharing.standing(&owner), sharing.waiting(&owner));
        sharing.note_blocked(&owner, true, 7);
        assert_eq!(seen(&sharing), (Some("blocked"), Some(7)));
        sharing.note_blocked(&owner, false, 0);
        assert_eq!(seen(&sharing), (Some("serving"), Some(0)));
        // Of one that nobody asked about there is nothing to show.
        let other = Owner { slot: 2, ..owner.clone() };
        sharing.note_blocked(&other, true, 7);
        assert_eq!(sharing.standing(&other), None);
    }
}

//! Questions about the fleet: who is where, in which state, and until when. Nothing here changes
//! anything.

use crate::{App, Fleet, Instance, InstanceId, LeavingPhase, Moment, State, WorkerId};
use rpm_config::AppName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An instance's state in one word, PM2's where PM2 has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its worker is not ready yet, or what it depends on is not.
    Launching,
    /// Its worker is ready.
    Online,
    /// Processes of it are on their way out, and no current worker runs.
    Stopping,
    /// Nothing runs.
    Stopped,
    /// It failed too often and stays down.
    Errored,
    /// It will be started again after a delay.
    #[serde(rename = "waiting restart")]
    Waiting,
}

/// Which of an instance's workers one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one its state speaks of.
    Current,
    /// A reload's new one.
    Replacement,
    /// A former one.
    Leaving,
}

/// Where a worker belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its app.
    pub app: &'a AppName,
    /// Its instance's slot.
    pub slot: u32,
    /// Its instance.
    pub instance: InstanceId,
    /// What it is there.
    pub role: Role,
}

impl Fleet {
    /// The instance with this id, its app and slot.
    pub fn instance(&self, id: InstanceId) -> Option<(&AppName, u32, &Instance)> {
        self.seated().find(|(_, _, instance)| instance.id == id)
    }

    /// All instances in the order of their ids.
    pub fn instances(&self) -> impl Iterator<Item = (&AppName, u32, &Instance)> {
        let mut all: Vec<_> = self.seated().collect();
        all.sort_by_key(|(_, _, instance)| instance.id);
        all.into_iter()
    }

    /// Where a worker belongs; `None` once its last process is gone.
    pub fn worker(&self, worker: WorkerId) -> Option<Place<'_>> {
        self.seated().find_map(|(app, slot, instance)| {
            let role = instance.role(worker)?;
            Some(Place { app, slot, instance: instance.id, role })
        })
    }

    /// When the next `Event::Tick` is due; it may be now or past.
    pub fn deadline(&self) -> Option<Moment> {
        self.seated().filter_map(|(_, _, instance)| instance.deadline()).min()
    }

    pub(crate) fn seated(&self) -> impl Iterator<Item = (&AppName, u32, &Instance)> {
        self.apps.iter().flat_map(|(app, App { instances, .. })| {
            instances.iter().map(move |(slot, instance)| (app, *slot, instance))
        })
    }
}

impl Instance {
    /// Its state in one word.
    pub fn status(&self) -> Status {
        match &self.state {
            State::Launching { .. } | State::Awaiting => Status::Launching,
            State::Online { .. } => Status::Online,
            State::Draining { .. } | State::Stopping { .. } | State::Removing => Status::Stopping,
            State::Stopped if !self.leaving.is_empty() => Status::Stopping,
            State::Stopped => Status::Stopped,
            State::Waiting { .. } => Status::Waiting,
            State::Errored => Status::Errored,
        }
    }

    /// The worker its state speaks of.
    pub fn current(&self) -> Option<WorkerId> {
        match &self.state {
            State::Launching { worker, .. }
            | State::Online { worker, .. }
            | State::Draining { worker, .. }
            | State::Stopping { worker, .. } => Some(*worker),
            State::Stopped
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored
            | State::Removing => None,
        }
    }

    /// All its workers, the current one first.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, Role)> {
        let current = self.current().map(|worker| (worker, Role::Current));
        let replacement = self.replacement.as_ref().map(|new| (new.worker, Role::Replacement));
        let leaving = self.leaving.iter().map(|old| (old.worker, Role::Leaving));
        current.into_iter().chain(replacement).chain(leaving)
    }

    /// The current worker and until when it may finish its connections, if it does.
    pub fn draining(&self) -> Option<(Moment, WorkerId)> {
        match &self.state {
            State::Draining { worker, until, .. } => Some((*until, *worker)),
            State::Stopped
            | State::Launching { .. }
            | State::Online { .. }
            | State::Stopping { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored
            | State::Removing => None,
        }
    }

    /// When the current worker was spawned, if it has not been told to stop.
    pub fn up_since(&self) -> Option<Moment> {
        match &self.state {
            State::Launching { since, .. } | State::Online { since, .. } => Some(*since),
            State::Stopped
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored
            | State::Removing => None,
        }
    }

    /// The earliest moment at which it must act by itself.
    pub fn deadline(&self) -> Option<Moment> {
        let current = match &self.state {
            State::Launching { deadline, .. } => Some(*deadline),
            State::Stopping { deadline, .. } => *deadline,
            State::Draining { until, .. } | State::Waiting { until } => Some(*until),
            State::Stopped
            | State::Online { .. }
            | State::Awaiting
            | State::Errored
            | State::Removing => None,
        };
        let replacement = self.replacement.as_ref().map(|new| new.deadline);
        let leaving = self.leaving.iter().filter_map(|old| match old.phase {
            LeavingPhase::Draining { until } => Some(until),
            LeavingPhase::Stopping { deadline } => Some(deadline),
            LeavingPhase::Killed => None,
        });
        current.into_iter().chain(replacement).chain(leaving).min()
    }

    fn role(&self, worker: WorkerId) -> Option<Role> {
        self.workers().find(|(one, _)| *one == worker).map(|(_, role)| role)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Launching => "launching",
            Self::Online => "online",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Errored => "errored",
            Self::Waiting => "waiting restart",
        })
    }
}

//! [`Stamp`]: what a worker was started with, as numbers that a later daemon can compare with what
//! it would start a worker with now. Where they differ, the instance *needs a roll*: a reload
//! makes it what its description says. What else leaves a worker behind is here too.

use crate::{
    engine::Engine,
    launch::{self, Places, Seat},
    worker::Worker,
};
use rpm_cluster::preload::PRELOAD;
use rpm_config::{AppName, AppSpec, Limits};
use rpm_supervisor::{Instance, InstanceId, WorkerId};
use rpm_unix::{caller, fnv, procfs};
use serde::{Deserialize, Serialize};
use std::io;

/// What a worker was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Command line, directory, environment, user and limits, as rpm makes them of the description.
    launch: u64,
    /// The preload, where it has one.
    preload: Option<u64>,
}

/// What a worker cannot do any more since a keeper died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lost {
    /// Both managers died: nobody has its calls, so bind(2) and listen(2) fail with ENOSYS (A5).
    Binds,
    /// The present keeper may not look into it (Yama, A6): what it binds is its own.
    Sharing,
}

/// A hash of several texts.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(fnv::BASIS)
    }

    /// Takes a text and its end in.
    fn add(&mut self, bytes: &[u8]) {
        self.0 = fnv::add(fnv::add(self.0, bytes), &[0xff]);
    }

    fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::new();
        hash.add(bytes);
        hash.0
    }
}

impl Stamp {
    /// What a worker of this description is started with by this rpm.
    pub(crate) fn of(spec: &AppSpec, places: &Places) -> Self {
        let preload = launch::wants_preload(spec).then(|| Hash::of(PRELOAD.as_bytes()));
        Self { launch: launch_of(spec, places), preload }
    }
}

/// Made of what is executed rather than of the description, which later versions may write
/// otherwise. What differs between instances is that of the first.
fn launch_of(spec: &AppSpec, places: &Places) -> u64 {
    let seat = Seat { instance: InstanceId(0), slot: 0, worker: WorkerId(0) };
    let mut hash = Hash::new();
    for argument in launch::arguments(spec, 0).unwrap_or_default() {
        hash.add(argument.as_bytes());
    }
    for (name, value) in launch::environment(spec, places, seat) {
        hash.add(name.as_bytes());
        hash.add(value.as_bytes());
    }
    let user = spec.user.as_ref();
    let user = user.map(|user| [user.user.clone(), user.group.clone()]).unwrap_or_default();
    for part in user {
        hash.add(part.unwrap_or_default().as_bytes());
    }
    let files = spec.env_files.iter().chain([&spec.cwd]);
    files.for_each(|path| hash.add(path.as_os_str().as_encoded_bytes()));
    let sockets = crate::activation::texts(spec);
    sockets.iter().for_each(|socket| hash.add(socket.as_bytes()));
    let Limits { memory, cpu, pids, nofile, nice } = spec.limits;
    hash.add(format!("{memory:?} {cpu:?} {pids:?} {nofile:?} {nice:?}").as_bytes());
    hash.add(&[u8::from(launch::shares_ports(spec))]);
    hash.0
}

impl Engine {
    /// Why an instance that runs should be rolled; `None`: it need not.
    pub(crate) fn needs_roll(&self, app: &AppName, instance: &Instance) -> Option<String> {
        // One that was told to stop is dealt with already.
        let worker = instance.up_since().and(instance.current())?;
        // A roll under way is about to deal with it.
        let rolls = self.fleet.apps.get(app).is_some_and(|app| app.roll.is_some());
        let known = self.workers.get(worker).filter(|known| !rolls && known.process.is_some())?;
        let reason = self.lag(app, known).or_else(|| self.front_lag(app))?;
        Some(reason.to_owned())
    }

    fn lag(&self, app: &AppName, known: &Worker) -> Option<&'static str> {
        let now = self.stamps.get(app)?;
        let started = known.record.stamp;
        match known.record.lost {
            Some(Lost::Binds) => Some(
                "keeper and daemon died together: every socket that it binds from now on fails",
            ),
            Some(Lost::Sharing) => Some(
                "the present keeper may not look into it (kernel.yama.ptrace_scope): sockets that \
                 it binds from now on are not held",
            ),
            None if started.is_none() => Some("it was started by an older version of rpm"),
            None if started.is_some_and(|started| started.launch != now.launch) => {
                Some("its description or environment is not the one that it was started with")
            }
            None if started.is_some_and(|started| started.preload != now.preload) => {
                Some("it runs with the preload of another version of rpm")
            }
            None => None,
        }
    }

    fn front_lag(&self, app: &AppName) -> Option<&'static str> {
        self.fronts.is_of_another_program(app).then_some("its front is of another version of rpm")
    }

    /// Another keeper has taken over: which workers may it not look into? It is no ancestor of
    /// theirs, and neither are we, so what we may not it may not.
    pub(crate) fn note_lost_sharing(&mut self) {
        let lost = self.workers.iter().filter(may_not_look).map(|one| one.0);
        let lost: Vec<WorkerId> = lost.collect();
        for worker in lost {
            let shares = self.spec_of(worker).is_some_and(|spec| launch::shares_ports(&spec));
            if let Some(known) = self.workers.get_mut(worker).filter(|_| shares) {
                let app = &known.label.app;
                tracing::warn!(%app, "the new keeper may not look into it: it needs a roll");
                known.record.lost.get_or_insert(Lost::Sharing);
                self.dirty.state = true;
            }
        }
    }
}

fn may_not_look((_, known): &(WorkerId, &Worker)) -> bool {
    let pid = known.process.as_ref().filter(|process| !process.exited).map(|one| one.leader.pid);
    // Any descriptor would do; a leader has its standard output, as a rule.
    let refused = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    pid.is_some_and(|pid| caller::take_fd(pid, 1).err().is_some_and(refused))
}

/// What a survivor of both managers' death cannot do any more: without a filter all is as before.
pub(crate) fn lost_by_survivor(pid: i32) -> Option<Lost> {
    procfs::is_filtered(pid).then_some(Lost::Binds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, places};

    fn of(change: impl Fn(&mut AppSpec)) -> Stamp {
        let mut spec = fixture::spec("api");
        change(&mut spec);
        Stamp::of(&spec, &places())
    }

    #[test]
    fn what_is_executed_counts_and_nothing_else() {
        let same = of(|_| {});
        let changes: [fn(&mut AppSpec); 7] = [
            |spec| spec.launch.args.push("x".into()),
            |spec| drop(spec.env.insert("A".into(), "1".into())),
            |spec| drop(spec.inherited_env.insert("A".into(), "1".into())),
            |spec| spec.cwd = "/elsewhere".into(),
            |spec| spec.limits.nofile = Some(7),
            |spec| spec.env_files.push("/.env".into()),
            |spec| spec.mode = rpm_config::ExecMode::Fork,
        ];
        for (number, change) in changes.iter().enumerate() {
            assert_ne!(of(change), same, "{number}");
        }
        // Rules of rpm's own take effect as they change.
        let rules: [fn(&mut AppSpec); 4] = [
            |spec| spec.instances = 9,
            |spec| spec.restart.max_restarts = 1,
            |spec| spec.max_surge = 3,
            |spec| spec.stop.signal = 15,
        ];
        for (number, change) in rules.iter().enumerate() {
            assert_eq!(of(change), same, "{number}");
        }
    }

    #[test]
    fn it_is_the_same_for_every_build() {
        assert_eq!(Hash::of(b""), 0xaf64_724c_8602_eb6e);
        assert_eq!(Hash::of(b"foobar"), 0x3452_4ba7_168a_2c15);
    }

    #[test]
    fn a_program_without_preload_has_none_that_could_be_old() {
        let other = of(|spec| {
            spec.launch.runtime = rpm_config::Runtime::Other;
            spec.mode = rpm_config::ExecMode::Fork;
            spec.share_ports = false;
        });
        assert_eq!(other.preload, None);
        assert!(of(|_| {}).preload.is_some());
    }
}

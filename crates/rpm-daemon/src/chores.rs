//! What happens to an app by itself: restarts by the clock (`cron_restart`) and by changed files
//! (`watch`). A task an app waits and tells the engine, which restarts here. Both follow from specs
//! alone, so that a new daemon has them again at once.

use crate::{
    clock,
    engine::Engine,
    inbox::Message,
    log_files,
    targets::Specs,
    watch::{self, Breaker},
};
use rpm_config::{AppName, AppSpec};
use rpm_supervisor::{Command, Event, InstanceId, Moment, Notice, NoticeKind, Status};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::AbortHandle};

/// The longest single wait for the clock: a clock that is set meanwhile counts from then on.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The tasks of all apps.
#[derive(Default)]
pub(crate) struct Chores {
    apps: BTreeMap<AppName, Chore>,
    /// Where times begin to count for the apps of a predecessor: it may have missed one.
    since: Option<u64>,
}

/// The tasks of one app, ended with it.
struct Chore {
    spec: Arc<AppSpec>,
    tasks: Vec<AbortHandle>,
    breaker: Breaker,
}

impl Drop for Chore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Chores {
    /// For the successor of a daemon that last wrote its state at `since`, in epoch milliseconds.
    pub(crate) fn since(since: Option<u64>) -> Self {
        Self { apps: BTreeMap::new(), since }
    }

    /// Ends the tasks of apps that are gone; says which apps need new ones.
    fn stale(&mut self, specs: &Specs) -> Vec<Arc<AppSpec>> {
        self.apps
            .retain(|name, chore| specs.get(name).is_some_and(|spec| is_same(spec, &chore.spec)));
        let wanted = |spec: &&Arc<AppSpec>| spec.cron_restart.is_some() || spec.watch.is_some();
        let missing = specs.values().filter(wanted);
        missing.filter(|spec| !self.apps.contains_key(&spec.name)).cloned().collect()
    }
}

/// Whether the tasks of one serve the other.
fn is_same(one: &AppSpec, other: &AppSpec) -> bool {
    let of = |spec: &AppSpec| (spec.cron_restart.clone(), spec.watch.clone(), spec.cwd.clone());
    of(one) == of(other)
}

impl Engine {
    /// Brings the tasks in line with the specs: after each change of one.
    pub(crate) fn tend(&mut self) {
        let after = self.chores.since.take().unwrap_or_else(clock::epoch_millis);
        for spec in self.chores.stale(&self.specs) {
            let mut tasks = Vec::new();
            if let Some(pattern) = spec.cron_restart.clone() {
                let task = by_the_clock(spec.name.clone(), pattern, after, self.inbox.sender());
                tasks.push(tokio::task::spawn_local(task).abort_handle());
            }
            if spec.watch.is_some() {
                let task = watch::run(spec.clone(), self.own_files(&spec), self.inbox.sender());
                tasks.push(tokio::task::spawn_local(task).abort_handle());
            }
            let chore = Chore { spec: spec.clone(), tasks, breaker: Breaker::default() };
            self.chores.apps.insert(spec.name.clone(), chore);
        }
    }

    /// What an app writes through rpm, which must not restart it.
    fn own_files(&self, spec: &AppSpec) -> Vec<PathBuf> {
        let slots = 0..spec.instances;
        let paths = slots.map(|slot| log_files::paths(&self.home, spec, InstanceId(slot), slot));
        let own = paths.flat_map(|(out, error)| [out, error]).flatten();
        // The home may lie below what is watched.
        own.chain([self.home.root().to_owned()]).collect()
    }

    /// A moment of its `cron_restart` has come: it is restarted, or started.
    pub(crate) fn on_due(&mut self, app: &AppName) {
        let all = self.instances_not(app, &[]);
        self.restart_for(app, all, NoticeKind::Scheduled);
    }

    /// A file it watches has changed. Stopped by hand, it stays so.
    pub(crate) fn on_changed(&mut self, app: &AppName, path: PathBuf, at: Moment) {
        let Some(chore) = self.chores.apps.get_mut(app) else { return };
        let shown = path.display().to_string();
        match chore.breaker.judge(&path, clock::now()) {
            watch::Verdict::Counts => {}
            watch::Verdict::Breaks => {
                tracing::warn!(%app, "{shown} changes at each restart: ignored until it is quiet");
                let ids = self.instances_not(app, &[]);
                return self.tell(app, ids.first().copied(), NoticeKind::WatchLoop { path: shown });
            }
            watch::Verdict::Broken => return,
        }
        let mut ids = self.instances_not(app, &[Status::Stopped, Status::Stopping]);
        ids.retain(|id| {
            let since = self.fleet.instance(*id).and_then(|(_, _, instance)| instance.up_since());
            since.is_none_or(|since| since <= at)
        });
        if !ids.is_empty() {
            tracing::info!(%app, "change detected on {shown}, restarting");
            self.restart_for(app, ids, NoticeKind::Changed { path: shown });
        }
    }

    fn instances_not(&self, app: &AppName, out: &[Status]) -> Vec<InstanceId> {
        let of_app = self.fleet.instances().filter(|(name, _, _)| *name == app);
        let wanted = of_app.filter(|(_, _, instance)| !out.contains(&instance.status()));
        wanted.map(|(_, _, instance)| instance.id).collect()
    }

    /// Where old and new can run beside each other nobody is refused; elsewhere it is a restart.
    fn restart_for(&mut self, app: &AppName, ids: Vec<InstanceId>, why: NoticeKind) {
        let overlaps = self.fleet.apps.get(app).is_some_and(|app| app.policy.overlap);
        self.tell(app, ids.first().copied(), why);
        let command = if overlaps { Command::Reload(ids) } else { Command::Restart(ids) };
        let ticket = self.replies.unattended();
        self.step(Event::Command { ticket, command });
    }

    fn tell(&mut self, app: &AppName, instance: Option<InstanceId>, kind: NoticeKind) {
        if let Some(instance) = instance {
            self.events.push(Notice { app: app.clone(), instance, kind });
        }
    }
}

/// Tells the engine each time that `pattern` means, from `after` on; one that lies in the past was
/// missed, and is told at once.
async fn by_the_clock(
    app: AppName,
    pattern: String,
    mut after: u64,
    engine: mpsc::Sender<Message>,
) {
    while let Some(next) = rpm_config::next_occurrence(&pattern, after) {
        loop {
            let left = Duration::from_millis(next.saturating_sub(clock::epoch_millis()));
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(LONGEST_WAIT)).await;
        }
        if engine.send(Message::Due { app: app.clone() }).await.is_err() {
            return;
        }
        // Of several that were missed, one counts.
        after = clock::epoch_millis().max(next);
    }
}

//! What the keeper tells the engine, turned into events for the supervisor.

use crate::{
    diagnose,
    engine::Engine,
    front::is_front,
    log_files, store,
    tree::{self, Leader},
    worker::Process,
};
use rpm_config::Ready;
use rpm_keeper::{Address, Child, ChildId, ExitStatus, Owner, Request};
use rpm_protocol::ExitView;
use rpm_supervisor::{Event, Exit, WorkerId};
use rpm_unix::procfd;
use std::path::Path;

/// How many ends of workers are remembered for each instance.
const EXITS_KEPT: usize = 5;
/// How many addresses of a worker are remembered.
const MAX_LISTENING: usize = 32;
/// How many lines of standard error are kept of each.
pub(crate) const STDERR_LINES: usize = 50;

impl Engine {
    /// Takes one event of the keeper.
    pub(crate) async fn on_keeper(&mut self, event: rpm_keeper::Event) {
        use rpm_keeper::Event as News;
        match event {
            News::Spawned(child) if is_front(child.child) => self.on_front_spawned(child),
            News::SpawnFailed { child, stage, errno } if is_front(child) => {
                self.on_front_not_spawned(child, stage, errno);
            }
            News::Exited { child, status } if is_front(child) => {
                self.on_front_exited(child, status);
            }
            News::Refused { child, address, errno, holder } if is_front(child) => {
                let trouble = diagnose::refused(&address, errno, holder.as_ref());
                self.troubles.note(worker_of(child), trouble);
            }
            // Its addresses were bound before it ran.
            News::Listening { child, .. } if is_front(child) => {}
            News::Spawned(child) => self.on_spawned(child),
            News::SpawnFailed { child, stage, errno } => self.on_spawn_failed(child, stage, errno),
            News::Exited { child, status } => self.on_exited(worker_of(child), status).await,
            News::Listening { child, address } => self.on_listening(worker_of(child), &address),
            News::Refused { child, address, errno, holder } => {
                self.on_refused(worker_of(child), &address, errno, holder.as_ref());
            }
            News::Listener { request, fd } => self.on_listener(request, Ok(fd)),
            News::ListenFailed { request, errno, holder } => {
                self.on_listener(request, Err((errno, holder)));
            }
            News::Retired { owner } => self.on_retired(&owner),
            News::Relieved { child } => self.on_relieved(worker_of(child)),
            News::Blocked { owner, blocked, waiting } => self.on_blocked(&owner, blocked, waiting),
            News::Unbalanced { app, fallback } => self.on_unbalanced(app, fallback),
            News::Slots { app, fallback, slots, .. } => self.on_slots(&app, fallback, slots),
            News::SlotsEnd { request } => self.on_slots_end(request),
            News::Unfiltered { child, errno } => self.on_unfiltered(worker_of(child), errno),
            News::Snapshot { file } => self.on_snapshot(file),
            News::NotUpgraded { errno } => self.on_not_upgraded(errno),
            News::Released => self.replies.let_go(),
            News::Error { text } => tracing::error!("the keeper refused a request: {text}"),
            // The link keeps them.
            News::Shared { .. } | News::Unshared { .. } => self.ledger.touch(),
            // Answers to questions that only a starting daemon asks, which `recover` took.
            News::Welcome { .. } | News::Known { .. } | News::Held { .. } | News::InventoryEnd => {}
        }
    }

    fn on_spawned(&mut self, child: Child) {
        let worker = worker_of(child.child);
        self.attach(child);
        // Only now: looking for it shall not delay the start.
        let spec = self.spec_of(worker);
        let version = spec.and_then(|spec| self.versions.read(&spec.name, &spec.launch.script));
        if let Some(known) = self.workers.get_mut(worker) {
            known.record.version = version;
        }
        self.check_limits(worker);
        self.step(Event::Spawned { worker });
    }

    /// Takes over a running child's descriptors: just spawned, or found after a daemon restart.
    pub(crate) fn attach(&mut self, child: Child) {
        let worker = worker_of(child.child);
        let Some(spec) = self.spec_of(worker) else { return };
        let Some(known) = self.workers.get(worker) else { return };
        let label = known.label.clone();
        let pipes = [&child.stdout, &child.stderr].map(|pipe| procfd::inode(pipe).unwrap_or(0));
        let output = self.start_output(worker, &label, &spec, [child.stdout, child.stderr]);
        let sender = self.inbox.sender();
        let channel = child.channel.and_then(|fd| crate::channel::start(worker, fd, sender).ok());
        let token = crate::launch::token(&self.places, worker);
        let group = self.groups.find(worker.0, child.pid);
        let leader = Leader { pid: child.pid, start_time: child.start_time, token, pipes, group };
        self.write_pid_file(&label, child.pid);
        self.succession.note_leader(child.pid);
        if let Some(known) = self.workers.get_mut(worker) {
            known.process = Some(Process { leader, exited: false, output, channel });
        }
    }

    fn on_spawn_failed(&mut self, child: ChildId, stage: rpm_keeper::SpawnStage, errno: i32) {
        let worker = worker_of(child);
        // Only an address it was to inherit can have been refused before it ran.
        let refused = self.troubles.of(worker).filter(|_| stage == rpm_keeper::SpawnStage::Listen);
        let reason = match self.spec_of(worker).filter(|_| refused.is_none()) {
            Some(spec) => diagnose::spawn_failure(&spec, stage, errno),
            None => refused.unwrap_or_else(|| diagnose::system(errno)),
        };
        self.workers.remove(worker);
        self.step(Event::SpawnFailed { worker, reason });
    }

    /// A leader ended: what its pipes hold now belongs to it, then the supervisor decides.
    pub(crate) async fn on_exited(&mut self, worker: WorkerId, status: ExitStatus) {
        let process = self.workers.get_mut(worker).and_then(|known| known.process.as_mut());
        let Some(process) = process.filter(|process| !process.exited) else {
            // Repeated, or of a worker nobody knows: only the keeper has to be told.
            return self.acknowledge(worker);
        };
        process.exited = true;
        let said = self.drain_output(worker).await;
        self.record_exit(worker, status, said);
        self.on_triggered_exit(worker);
        self.step(Event::Exited { worker, exit: exit_of(status) });
        self.check_tree(worker);
    }

    /// Looks whether anything of a dead leader's tree still lives; if not, the worker is over.
    pub(crate) fn check_tree(&mut self, worker: WorkerId) {
        if self.workers.process(worker).is_none_or(|process| !process.exited) {
            return;
        }
        let left = self.to_end(worker);
        if left.is_empty() {
            self.finish(worker);
        } else {
            tree::watch(worker, &left, self.inbox.sender());
        }
    }

    fn finish(&mut self, worker: WorkerId) {
        let known = self.workers.get(worker);
        let pid_file = known.and_then(|known| self.pid_file_of(&known.label));
        self.step(Event::TreeGone { worker });
        self.listeners.forget_worker(worker);
        self.sharing.forget_worker(worker);
        match self.workers.remove(worker).map(|gone| gone.process) {
            Some(Some(process)) => {
                if let Some(path) = pid_file {
                    crate::pid_file::remove(&path, process.leader.pid);
                }
                // Acknowledged when all it said is written.
                self.finish_output(worker, process.output);
            }
            Some(None) | None => self.acknowledge(worker),
        }
    }

    /// Tells the keeper that an exit is recorded; sent after the state that records it.
    fn acknowledge(&mut self, worker: WorkerId) {
        self.keeper.send(Request::Acknowledge { child: ChildId(worker.0) });
    }

    fn record_exit(&mut self, worker: WorkerId, status: ExitStatus, said: Option<Vec<String>>) {
        let stderr = said.unwrap_or_else(|| self.last_stderr(worker));
        let Some(known) = self.workers.get(worker) else { return };
        let oom_kills = known.process.as_ref().map_or(0, |one| one.leader.group.oom_kills());
        let exits = self.exits.entry(known.label.instance).or_default();
        exits.insert(0, ExitView { oom_kills, ..exit_view(status, stderr) });
        exits.truncate(EXITS_KEPT);
        self.dirty.exits = true;
    }

    /// The last lines a worker wrote to its standard error, as far as its file has them.
    pub(crate) fn last_stderr(&self, worker: WorkerId) -> Vec<String> {
        let (Some(known), Some(spec)) = (self.workers.get(worker), self.spec_of(worker)) else {
            return Vec::new();
        };
        let label = &known.label;
        let (_, path) = log_files::paths(&self.home, &spec, label.instance, label.slot);
        let store::WorkerRecord { error_mark, started_at, .. } = known.record;
        let lines = path.and_then(|path| {
            crate::disk::look(move || error_mark.lines_since(&path, started_at, STDERR_LINES))
        });
        lines.unwrap_or_default()
    }

    fn on_listening(&mut self, worker: WorkerId, address: &Address) {
        // Only a path needs the look into /proc.
        if let Address::Unix(path) = address
            && is_private(path, &tree::pids(&self.tree_of(worker)))
        {
            return;
        }
        if let Some(known) = self.workers.get(worker) {
            self.sharing.note_heard(&known.label.app);
        }
        self.note_listening(worker, crate::listeners::text(address));
        self.ask_for_private(worker, address);
        if !self.is_for_preload(worker, address) {
            self.on_proof(worker, Ready::Listening);
        }
    }

    /// Whether the preload will say what this listener is worth: that of a server of Node's own.
    fn is_for_preload(&self, worker: WorkerId, address: &Address) -> bool {
        let asked = self
            .workers
            .get(worker)
            .is_some_and(|known| known.record.asked.contains(&crate::listeners::text(address)));
        asked && self.spec_of(worker).is_some_and(|spec| crate::launch::wants_preload(&spec))
    }

    /// Remembers where a worker listens, for people.
    pub(crate) fn note_listening(&mut self, worker: WorkerId, address: String) {
        let Some(known) = self.workers.get_mut(worker) else { return };
        let listening = &mut known.record.listening;
        if listening.len() < MAX_LISTENING && !listening.contains(&address) {
            listening.push(address);
            self.dirty.state = true;
        }
    }

    /// A worker runs without the filter that lets it share ports (traps B6), or its calls cannot be
    /// answered because the keeper may not look into it (A6).
    fn on_unfiltered(&mut self, worker: WorkerId, errno: i32) {
        let Some(known) = self.workers.get(worker) else { return };
        let app = known.label.app.clone();
        let trouble = diagnose::unfiltered(errno);
        if self.sharing.note_unfiltered(&app, errno) {
            tracing::warn!(%app, "{trouble}");
        }
        self.troubles.note(worker, trouble);
    }

    /// A worker was refused an address: remembered, because it will hardly live without it.
    pub(crate) fn on_refused(
        &mut self,
        worker: WorkerId,
        address: &Address,
        errno: i32,
        holder: Option<&Owner>,
    ) {
        let trouble = diagnose::refused(address, errno, holder);
        let Some(known) = self.workers.get(worker) else { return };
        tracing::warn!(app = %known.label.app, "{trouble}");
        self.troubles.note(worker, trouble);
    }
}

/// Whether a path is for talk among a program's own processes, because its name has the number of
/// one of them in it, as tsx's `/tmp/tsx-0/4711.pipe` and Java's `/tmp/.java_pid4711`. It says
/// nothing about the server that the program is started for.
fn is_private(path: &Path, pids: &[i32]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut numbers = name.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    numbers.any(|number: i32| pids.contains(&number))
}

/// The worker a child is.
pub(crate) fn worker_of(child: ChildId) -> WorkerId {
    WorkerId(child.0)
}

fn exit_of(status: ExitStatus) -> Exit {
    match status {
        ExitStatus::Code(code) => Exit::Code(code),
        ExitStatus::Signal(signal) => Exit::Signal(signal),
        ExitStatus::Unknown => Exit::Unknown,
    }
}

fn exit_view(status: ExitStatus, stderr: Vec<String>) -> ExitView {
    let (code, signal) = match status {
        ExitStatus::Code(code) => (Some(code), None),
        ExitStatus::Signal(signal) => (None, Some(diagnose::signal_name(signal))),
        ExitStatus::Unknown => (None, None),
    };
    ExitView { code, signal, at: crate::clock::epoch_millis(), stderr, oom_kills: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_the_number_of_a_process_of_the_tree_is_private() {
        let private = |path: &str| is_private(Path::new(path), &[12, 4711]);
        assert!(private("/tmp/tsx-0/4711.pipe"));
        assert!(private("/tmp/.java_pid4711"));
        assert!(private("ctl-12-4"));
        for public in ["/run/web.sock", "/run/web-4712.sock", "/run/471.sock", "/run/12/web.sock"] {
            assert!(!private(public), "{public}");
        }
    }
}

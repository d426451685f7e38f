//! One app on a bench: asks, lets things happen, and writes effects as short lines to compare.

use crate::*;
use rpm_config::AppName;
use std::time::Duration;

/// A fleet, a clock, and the number of the last request.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) fleet: Fleet,
    pub(super) now: Moment,
    pub(super) tickets: u64,
}

pub(super) fn name(text: &str) -> AppName {
    AppName::new(text).unwrap()
}

pub(super) fn ids(ids: &[u32]) -> Vec<InstanceId> {
    ids.iter().copied().map(InstanceId).collect()
}

/// Fork mode with PM2's defaults.
pub(super) fn fork() -> Policy {
    crate::fixture::policy()
}

/// Cluster mode with PM2's defaults.
pub(super) fn cluster() -> Policy {
    Policy { overlap: true, ..fork() }
}

impl Bench {
    /// App `a` with workers 0..n launching in slots 0..n; the request is number 1.
    pub(super) fn launching(policy: Policy, instances: u32) -> Self {
        let mut bench = Self { fleet: Fleet::default(), now: Moment(1000), tickets: 0 };
        bench.ask(Command::Register { app: name("a"), policy, instances, autostart: true });
        bench
    }

    /// As [`Bench::launching`], and all of them are ready, having listened in cluster mode.
    pub(super) fn online(policy: Policy, instances: u32) -> Self {
        let listening = policy.overlap;
        let mut bench = Self::launching(policy, instances);
        for worker in 0..u64::from(instances) {
            bench.on(Event::Ready { worker: WorkerId(worker), listening });
        }
        bench
    }

    /// What an event makes happen. How far a reload is, is told by [`Bench::told`] alone: it would
    /// stand between all else.
    pub(super) fn on(&mut self, event: Event) -> Vec<String> {
        let effects = self.fleet.step(event, self.now);
        effects.iter().filter(|effect| !is_progress(effect)).map(show).collect()
    }

    /// As [`Bench::on`], with the progress of reloads and nothing else.
    pub(super) fn told(&mut self, event: Event) -> Vec<String> {
        let effects = self.fleet.step(event, self.now);
        effects.iter().filter(|effect| is_progress(effect)).map(show).collect()
    }

    pub(super) fn ask(&mut self, command: Command) -> Vec<String> {
        self.tickets += 1;
        self.on(Event::Command { ticket: Ticket(self.tickets), command })
    }

    /// Lets time pass, then ticks.
    pub(super) fn pass(&mut self, ms: u64) -> Vec<String> {
        self.now = self.now.plus(Duration::from_millis(ms));
        self.on(Event::Tick)
    }

    pub(super) fn ready(&mut self, worker: u64) -> Vec<String> {
        let listening = self.fleet.apps[&name("a")].policy.overlap;
        self.on(Event::Ready { worker: WorkerId(worker), listening })
    }

    pub(super) fn exited(&mut self, worker: u64, exit: Exit) -> Vec<String> {
        self.on(Event::Exited { worker: WorkerId(worker), exit })
    }

    pub(super) fn gone(&mut self, worker: u64) -> Vec<String> {
        self.on(Event::TreeGone { worker: WorkerId(worker) })
    }

    /// Exit and end of the tree, back to back.
    pub(super) fn dies(&mut self, worker: u64, code: i32) -> Vec<String> {
        let mut effects = self.exited(worker, Exit::Code(code));
        effects.extend(self.gone(worker));
        effects
    }

    pub(super) fn drained(&mut self, worker: u64) -> Vec<String> {
        self.on(Event::Drained { worker: WorkerId(worker) })
    }

    pub(super) fn not_spawned(&mut self, worker: u64) -> Vec<String> {
        let reason = "no such file".into();
        self.on(Event::SpawnFailed { worker: WorkerId(worker), reason })
    }

    pub(super) fn app(&self) -> &App {
        &self.fleet.apps[&name("a")]
    }

    pub(super) fn slot(&self, slot: u32) -> &Instance {
        &self.app().instances[&slot]
    }

    /// `slot:status` of all instances, separated by blanks.
    pub(super) fn statuses(&self) -> String {
        let word = |(slot, instance): (&u32, &Instance)| format!("{slot}:{}", instance.status());
        self.app().instances.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Whether an effect tells how far a reload is.
pub(super) fn is_progress(effect: &Effect) -> bool {
    let Effect::Notice(Notice { kind, .. }) = effect else { return false };
    matches!(kind, NoticeKind::Reloading { .. } | NoticeKind::Reloaded)
}

/// One effect as a short line.
pub(super) fn show(effect: &Effect) -> String {
    match effect {
        Effect::Spawn { worker, slot, .. } => format!("spawn {worker} in slot {slot}"),
        Effect::Drain { worker } => format!("drain {worker}"),
        Effect::Stop { worker } => format!("stop {worker}"),
        Effect::Kill { worker } => format!("kill {worker}"),
        Effect::Release { slot, .. } => format!("release slot {slot}"),
        Effect::Forget { app } => format!("forget {app}"),
        Effect::Answer { ticket: Ticket(ticket), answer } => {
            format!("answer {ticket}: {}", show_answer(answer))
        }
        Effect::Notice(Notice { instance, kind, .. }) => {
            format!("notice {instance} {}", show_kind(kind))
        }
    }
}

fn show_answer(answer: &Answer) -> String {
    match answer {
        Answer::Done(ids) => format!("done {:?}", ids.iter().map(|id| id.0).collect::<Vec<_>>()),
        Answer::Denied(denied) => format!("denied, {denied}"),
        Answer::Failed(Failure { instance, worker, cause }) => {
            let worker = worker.map_or("no worker".into(), |worker| format!("worker {worker}"));
            format!("failed, instance {instance}, {worker}, {cause:?}")
        }
    }
}

fn show_kind(kind: &NoticeKind) -> String {
    match kind {
        NoticeKind::Starting => "starting".into(),
        NoticeKind::Online => "online".into(),
        NoticeKind::Exited { exit, asked } => {
            format!("exited {exit:?}{}", if *asked { " as asked" } else { "" })
        }
        NoticeKind::SpawnFailed { reason } => format!("not spawned: {reason}"),
        NoticeKind::Awaiting { apps } => {
            let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
            format!("awaiting {}", names.join(" "))
        }
        NoticeKind::Waiting { delay_ms } => format!("waiting {delay_ms} ms"),
        NoticeKind::Errored => "errored".into(),
        NoticeKind::Draining { .. } => "draining".into(),
        NoticeKind::Stopped => "stopped".into(),
        NoticeKind::Deleted => "deleted".into(),
        NoticeKind::MemoryExceeded { bytes } => format!("uses {bytes} bytes"),
        NoticeKind::Unhealthy { reason } => format!("ill: {reason}"),
        NoticeKind::Blocked { waiting } => format!("blocked, {waiting} wait"),
        NoticeKind::Unblocked => "unblocked".into(),
        NoticeKind::Reloading { nth, of, overlap: true } => format!("reloading, {nth} of {of}"),
        NoticeKind::Reloading { nth, of, overlap: false } => {
            format!("reloading by a restart, {nth} of {of}")
        }
        NoticeKind::Outage { listening } => format!("outage of {}", listening.join(" ")),
        NoticeKind::Reloaded => "reloaded".into(),
        NoticeKind::Scheduled => "scheduled".into(),
        NoticeKind::Changed { path } => format!("{path} changed"),
        NoticeKind::WatchLoop { path } => format!("{path} changes in a loop"),
        NoticeKind::ReloadFailed => "reload failed".into(),
    }
}

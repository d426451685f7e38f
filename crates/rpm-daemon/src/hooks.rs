//! `on`: tells a URL or a command of an app's troubles. At most once a minute for each app and kind
//! of trouble; what was left out meanwhile is counted in the next.

mod post;

use crate::{
    clock, diagnose,
    engine::Engine,
    launch::Seat,
    shell::{self, Extra, Tools},
    tree::SIGKILL,
};
use rpm_config::{AppName, Trouble, is_webhook};
use rpm_supervisor::{Exit, InstanceId, Moment, Notice, NoticeKind, WorkerId};
use serde_json::{Value, json};
use std::{collections::BTreeMap, rc::Rc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_local, time::timeout};

/// How many lines of standard error are told.
const STDERR_LINES: usize = 20;
/// How often the same trouble of an app is told.
const EVERY: Duration = Duration::from_secs(60);
/// How long telling may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many are told at the same time; the others wait.
const MAX_AT_ONCE: usize = 8;

/// What was told, and what was not.
pub(crate) struct Hooks {
    told: BTreeMap<(AppName, Trouble), Told>,
    at_once: Rc<Semaphore>,
    /// How many processes the kernel had killed for memory when it was last looked.
    oom_kills: u64,
}

#[derive(Clone, Copy)]
struct Told {
    at: Moment,
    left_out: u32,
}

impl Default for Hooks {
    fn default() -> Self {
        let at_once = Rc::new(Semaphore::new(MAX_AT_ONCE));
        Self { told: BTreeMap::new(), at_once, oom_kills: oom_kills() }
    }
}

impl Hooks {
    /// How often it was left out, if it is to be told now.
    fn admit(&mut self, app: &AppName, trouble: Trouble, now: Moment) -> Option<u32> {
        let told = self.told.entry((app.clone(), trouble)).or_insert(Told { at: now, left_out: 0 });
        if told.at != now && now.since(told.at) < EVERY {
            told.left_out = told.left_out.saturating_add(1);
            return None;
        }
        Some(std::mem::replace(told, Told { at: now, left_out: 0 }).left_out)
    }

    /// Apps that are gone are told of no more.
    pub(crate) fn forget(&mut self, app: &AppName) {
        self.told.retain(|(name, _), _| name != app);
    }

    /// Whether the kernel has killed for memory since it was last looked.
    fn saw_oom_kill(&mut self) -> bool {
        let now = oom_kills();
        std::mem::replace(&mut self.oom_kills, now) < now
    }
}

/// The kernel's count of such kills (`oom_kill` of /proc/vmstat, proc(5)).
fn oom_kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

impl Engine {
    /// Tells who wants to know of it, where it is a trouble.
    pub(crate) fn tell_hooks(&mut self, notice: &Notice) {
        let Some(spec) = self.specs.get(&notice.app).filter(|spec| !spec.on.is_empty()).cloned()
        else {
            return;
        };
        let codes = &spec.restart.stop_exit_codes;
        let Some((trouble, reason)) = self.trouble(notice, codes) else { return };
        let Some(hook) = spec.on.get(&trouble).cloned() else { return };
        let Some(left_out) = self.hooks.admit(&notice.app, trouble, clock::now()) else { return };
        let slot = self.fleet.instance(notice.instance).map_or(0, |(_, slot, _)| slot);
        let body = json!({
            "event": trouble, "app": notice.app, "instance": notice.instance.0, "slot": slot,
            "reason": reason, "at": clock::epoch_millis(), "left_out": left_out,
            "stderr": self.last_words(notice.instance),
        });
        let seat = Seat { instance: notice.instance, slot, worker: WorkerId(0) };
        let tools = Tools { spec, places: self.places.clone(), seat };
        let at_once = self.hooks.at_once.clone();
        let app = notice.app.clone();
        spawn_local(async move {
            // Never closed.
            let _turn = at_once.acquire().await;
            let told = timeout(PATIENCE, tell(&hook, &tools, &body)).await;
            let late = || Err(format!("it took more than {} s", PATIENCE.as_secs()));
            if let Err(why) = told.unwrap_or_else(|_| late()) {
                tracing::warn!(%app, "nobody was told of {trouble} by {hook}: {why}");
            }
        });
    }

    /// The last lines of standard error of what ended last.
    fn last_words(&self, instance: InstanceId) -> Vec<String> {
        let mut lines = self.stderr_of(instance, None);
        lines.split_off(lines.len().saturating_sub(STDERR_LINES))
    }

    /// What kind of trouble it is, and how it came.
    fn trouble(&mut self, notice: &Notice, fine: &[i32]) -> Option<(Trouble, String)> {
        match &notice.kind {
            NoticeKind::Exited { asked: false, exit: Exit::Code(code) }
                if *code == 0 || fine.contains(code) =>
            {
                None
            }
            NoticeKind::Exited { asked: false, exit }
                if self.last_oom_kills(notice.instance) > 0 =>
            {
                let ended = diagnose::ended(*exit);
                Some((Trouble::Oom, format!("it {ended}: at its `limits.memory` (cgroup OOM)")))
            }
            NoticeKind::Exited { asked: false, exit: Exit::Signal(SIGKILL) }
                if self.hooks.saw_oom_kill() =>
            {
                Some((Trouble::Oom, "the kernel killed it, memory was short".to_owned()))
            }
            NoticeKind::Exited { asked: false, exit } => {
                Some((Trouble::Crash, diagnose::ended(*exit)))
            }
            NoticeKind::Errored => {
                let reason = "it crashed too often or cannot be executed, and stays down";
                Some((Trouble::Errored, reason.to_owned()))
            }
            NoticeKind::ReloadFailed => {
                let reason = "its replacement failed, the former worker goes on";
                Some((Trouble::ReloadFailed, reason.to_owned()))
            }
            NoticeKind::MemoryExceeded { bytes } => {
                Some((Trouble::Oom, format!("it uses {bytes} bytes, more than it may")))
            }
            NoticeKind::Exited { asked: true, .. }
            | NoticeKind::Starting
            | NoticeKind::Online
            | NoticeKind::SpawnFailed { .. }
            | NoticeKind::Awaiting { .. }
            | NoticeKind::Waiting { .. }
            | NoticeKind::Draining { .. }
            | NoticeKind::Stopped
            | NoticeKind::Deleted
            | NoticeKind::Unhealthy { .. }
            | NoticeKind::Blocked { .. }
            | NoticeKind::Unblocked
            | NoticeKind::Reloading { .. }
            | NoticeKind::Outage { .. }
            | NoticeKind::Reloaded
            | NoticeKind::Scheduled
            | NoticeKind::Changed { .. }
            | NoticeKind::WatchLoop { .. } => None,
        }
    }
}

async fn tell(hook: &str, tools: &Tools, body: &Value) -> Result<(), String> {
    let input = format!("{body}\n");
    if hook.starts_with("http://") {
        return post::post(hook, input).await;
    }
    let extra = Extra { variables: variables(body), input };
    if is_webhook(hook) {
        // Certificates and proxies are as the machine has them, and none of ours to keep.
        let words = ["curl", "--silent", "--fail", "--header", post::JSON, "--data-binary", "@-"];
        let words: Vec<&str> = words.into_iter().chain(["--", hook]).collect();
        return shell::run(&words, tools, &extra).await;
    }
    shell::run(&["/bin/sh", "-c", hook], tools, &extra).await
}

/// `RPM_INSTANCE` also keeps the command from counting as a process of the app.
fn variables(body: &Value) -> Vec<(&'static str, String)> {
    let text = |key: &str| match body.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let names = [
        ("RPM_EVENT", "event"),
        ("RPM_APP", "app"),
        ("RPM_INSTANCE", "instance"),
        ("RPM_REASON", "reason"),
    ];
    names.map(|(name, key)| (name, text(key))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_a_minute_and_counted_meanwhile() {
        let mut hooks = Hooks::default();
        let (a, b) = (AppName::new("a").unwrap(), AppName::new("b").unwrap());
        let mut admit = |app: &AppName, trouble, ms| hooks.admit(app, trouble, Moment(ms));
        assert_eq!(admit(&a, Trouble::Crash, 1000), Some(0));
        assert_eq!(admit(&a, Trouble::Crash, 1001), None);
        assert_eq!(admit(&a, Trouble::Crash, 60_999), None);
        assert_eq!(admit(&a, Trouble::Errored, 1002), Some(0));
        assert_eq!(admit(&b, Trouble::Crash, 1003), Some(0));
        assert_eq!(admit(&a, Trouble::Crash, 61_000), Some(2));
        assert_eq!(admit(&a, Trouble::Crash, 61_001), None);
    }
}

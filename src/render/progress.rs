//! How far a reload is, from the daemon's events: which workers are being replaced, what each does,
//! and for how long. In one line, to be rewritten.

use super::{grid::cut, leaving};
use rpm_config::AppName;
use rpm_protocol::EventView;
use serde_json::Value;
use std::{collections::BTreeMap, time::Instant};

/// The instances a reload has come to and not left.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    active: BTreeMap<(AppName, u32), Step>,
}

/// Where one of them is.
#[derive(Debug)]
struct Step {
    /// Which of how many.
    nth: u64,
    of: u64,
    since: Instant,
    doing: String,
}

impl Progress {
    /// Takes an event; whether it changes anything.
    pub(crate) fn on_event(&mut self, event: &EventView, now: Instant) -> bool {
        let key = (event.app.clone(), event.instance);
        let (word, data) = parts(&event.event);
        let number = |name: &str| data.get(name).and_then(Value::as_u64);
        if word == "reloading" {
            let (nth, of) = (number("nth").unwrap_or(0), number("of").unwrap_or(0));
            self.active.insert(key, Step { nth, of, since: now, doing: "starting".into() });
            return true;
        }
        if ["reloaded", "reload_failed"].contains(&word) {
            return self.active.remove(&key).is_some();
        }
        let Some(step) = self.active.get_mut(&key) else { return false };
        let connections = number("connections").and_then(|count| u32::try_from(count).ok());
        step.doing = match word {
            "online" => "ready".into(),
            "draining" => leaving::doing("draining", connections, number("left_ms")),
            "exited" => "stopping".into(),
            _ => return false,
        };
        true
    }

    /// `web: worker 2 of 4 starting, 3 s`, of all that are under way, at most `width` wide; empty
    /// where none is.
    pub(crate) fn line(&self, width: usize, now: Instant) -> String {
        let told = self.active.iter().map(|((app, _), step)| {
            let Step { nth, of, since, doing } = step;
            let seconds = now.saturating_duration_since(*since).as_secs();
            format!("{app}: worker {nth} of {of} {doing}, {seconds} s")
        });
        // The last column stays free: some terminals begin a new line there.
        cut(&told.collect::<Vec<_>>().join("; "), width.saturating_sub(1))
    }
}

/// Of an event that announces an outage, what to warn of.
pub(crate) fn outage(event: &EventView) -> Option<String> {
    let listening = event.event.get("outage")?.get("listening")?.as_array()?;
    let places: Vec<&str> = listening.iter().filter_map(Value::as_str).collect();
    let app = &event.app;
    Some(format!(
        "{app} listens on {} itself, in fork mode: its reload is a restart, and nobody answers \
         there meanwhile; with share_ports rpm holds its ports",
        places.join(" ")
    ))
}

/// An event's word and its data, if it has some.
fn parts(event: &Value) -> (&str, &Value) {
    const NOTHING: &Value = &Value::Null;
    match event {
        Value::String(word) => (word, NOTHING),
        Value::Object(object) => object.iter().next().map_or(("", NOTHING), |(k, v)| (k, v)),
        _ => ("", NOTHING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn event(instance: u32, event: Value) -> EventView {
        EventView { cursor: 1, at: 0, app: AppName::new("web").unwrap(), instance, event }
    }

    #[test]
    fn a_worker_from_its_start_to_its_end() {
        let (mut progress, start) = (Progress::default(), Instant::now());
        let later = start + Duration::from_millis(3900);
        let reloading = json!({ "reloading": { "nth": 2, "of": 4, "overlap": true } });
        let drains =
            |connections| json!({ "draining": { "connections": connections, "left_ms": 11_400 } });
        let table = [
            (json!("online"), false, ""),
            (reloading, true, "web: worker 2 of 4 starting, 3 s"),
            (json!("starting"), false, "web: worker 2 of 4 starting, 3 s"),
            (json!("online"), true, "web: worker 2 of 4 ready, 3 s"),
            (drains(None), true, "web: worker 2 of 4 draining (12 s left), 3 s"),
            (drains(Some(3)), true, "web: worker 2 of 4 draining (3 connections, 12 s left), 3 s"),
            (json!({ "exited": {} }), true, "web: worker 2 of 4 stopping, 3 s"),
            (json!("reloaded"), true, ""),
        ];
        for (what, changes, line) in table {
            assert_eq!(progress.on_event(&event(1, what.clone()), start), changes, "{what}");
            assert_eq!(progress.line(80, later), line, "{what}");
        }
    }

    #[test]
    fn several_at_once_are_cut_at_the_edge() {
        let (mut progress, now) = (Progress::default(), Instant::now());
        for (id, nth) in [(0, 1), (1, 2)] {
            let reloading = json!({ "reloading": { "nth": nth, "of": 2, "overlap": true } });
            progress.on_event(&event(id, reloading), now);
        }
        let whole = "web: worker 1 of 2 starting, 0 s; web: worker 2 of 2 starting, 0 s";
        assert_eq!(progress.line(80, now), whole);
        assert_eq!(progress.line(20, now), "web: worker 1 of 2…");
    }

    #[test]
    fn an_outage_is_told_with_the_way_out() {
        let told = outage(&event(0, json!({ "outage": { "listening": ["0.0.0.0:80"] } })));
        let want = "web listens on 0.0.0.0:80 itself, in fork mode: its reload is a restart, and \
                    nobody answers there meanwhile; with share_ports rpm holds its ports";
        assert_eq!(told.as_deref(), Some(want));
        assert_eq!(outage(&event(0, json!("online"))), None);
    }
}

//! The keys of ecosystem files that PM2 does not have, as `jlist` shows them: in the words of a
//! file, and only where they are not as by default.

use rpm_config::{AppSpec, ExecMode, ListenAddress, LogRules, Ready, WhenFull};
use serde_json::{Value, json};
use std::time::Duration;

/// Default of `drain_timeout`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Default of `stop_signal`.
const STOP_SIGNAL: &str = "SIGINT";

/// Those of readiness, sharing and ending.
pub(crate) fn of_app(spec: &AppSpec) -> Value {
    let shares = spec.mode == ExecMode::Cluster || !spec.listen.is_empty();
    let signal = rpm_unix::signal::name(spec.stop.signal).unwrap_or_default();
    let watch = spec.watch.as_ref().or(spec.unwatched.as_ref());
    let follows = watch.is_some_and(|watch| watch.follow_links);
    let listen = spec.listen.iter().map(|one| address(&one.address));
    json!({
        "share_ports": (spec.share_ports != shares).then_some(spec.share_ports),
        "listen": filled(listen.collect()),
        "proxy": spec.proxy,
        "ready": match &spec.ready {
            Ready::Listening => Value::Null,
            Ready::Message => json!("message"),
            Ready::Notify => json!("notify"),
            Ready::Probe(probe) => json!(probe),
        },
        "health": spec.health,
        "limits": (spec.limits != Default::default()).then_some(&spec.limits),
        "depends_on": (!spec.depends_on.is_empty()).then_some(&spec.depends_on),
        "on": (!spec.on.is_empty()).then_some(&spec.on),
        "drain_timeout": (spec.stop.drain_timeout != DRAIN_TIMEOUT)
            .then_some(spec.stop.drain_timeout.as_millis()),
        "stop_signal": Some(signal).filter(|signal| *signal != STOP_SIGNAL),
        "max_surge": Some(spec.max_surge).filter(|count| *count != 1),
        "post_update": filled(spec.post_update.clone()),
        "watch_options": follows.then(|| json!({ "followSymlinks": true })),
    })
}

/// Those of log files.
pub(crate) fn of_logs(rules: &LogRules) -> Value {
    let default = LogRules::default();
    json!({
        "log_full": match rules.when_full {
            WhenFull::Drop => None,
            WhenFull::Block => Some("block"),
        },
        "log_mode": (rules.mode != default.mode).then(|| format!("{:04o}", rules.mode)),
        "log_group": rules.group,
        "log_ship": filled(rules.ship.clone()),
    })
}

fn filled(list: Vec<String>) -> Option<Vec<String>> {
    Some(list).filter(|list| !list.is_empty())
}

/// As it may be written in a file.
fn address(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Udp(address) => format!("udp:{address}"),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn all(spec: &AppSpec) -> Vec<(String, Value)> {
        let parts = [of_app(spec), of_logs(&spec.logs.rules)];
        let parts = parts.into_iter().flat_map(|part| part.as_object().cloned().unwrap());
        parts.filter(|(_, value)| !value.is_null()).collect()
    }

    #[test]
    fn defaults_say_nothing_and_all_else_does() {
        let mut spec = sample::detail(0, "api").spec;
        assert_eq!(all(&spec), []);
        spec.share_ports = false;
        spec.ready = Ready::Notify;
        spec.stop.drain_timeout = Duration::from_secs(9);
        spec.stop.signal = 15;
        spec.max_surge = 2;
        spec.post_update = vec!["npm ci".into()];
        spec.logs.rules.mode = 0o640;
        spec.logs.rules.when_full = WhenFull::Block;
        let mut found = all(&spec);
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let want = [
            ("drain_timeout", json!(9000)),
            ("log_full", json!("block")),
            ("log_mode", json!("0640")),
            ("max_surge", json!(2)),
            ("post_update", json!(["npm ci"])),
            ("ready", json!("notify")),
            ("share_ports", json!(false)),
            ("stop_signal", json!("SIGTERM")),
        ];
        assert_eq!(found, want.map(|(key, value)| (key.to_owned(), value)));
    }
}

//! `list --mini-list`: PM2's lines of words and values.

use super::{table, units};
use rpm_protocol::InstanceDetail;
use std::time::{SystemTime, UNIX_EPOCH};

/// A block for each instance.
pub(crate) fn all(details: &[InstanceDetail]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    details.iter().map(|detail| block(detail, now)).collect::<Vec<_>>().join("\n")
}

fn block(detail: &InstanceDetail, now: u64) -> String {
    let view = &detail.view;
    let log =
        detail.error_log.as_deref().map_or("/dev/null".into(), |path| path.display().to_string());
    let rows = [
        ("namespace", view.namespace.clone()),
        ("version", view.version.clone().unwrap_or_else(|| "N/A".into())),
        ("pid", view.pid.unwrap_or(0).to_string()),
        ("pm2 id", view.id.to_string()),
        ("status", view.status.clone()),
        ("mode", view.mode.clone()),
        ("restarted", view.restarts.to_string()),
        ("uptime", table::uptime(view, now)),
        ("memory usage", units::memory(view.memory)),
        ("error log", log),
        ("watching", if view.watching { "yes" } else { "no" }.to_owned()),
        ("PID file", detail.pid_file.display().to_string()),
    ];
    let rows = rows.iter().map(|(key, value)| format!("{key} : {value}\n"));
    format!("+--- {}\n{}", view.name, rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::detail;

    #[test]
    fn a_whole_block() {
        let want = "+--- api\nnamespace : default\nversion : 3.2.1\npid : 4711\npm2 id : 0\n\
                    status : online\nmode : cluster\nrestarted : 3\nuptime : 45s\n\
                    memory usage : 51.5mb\nerror log : /h/logs/api-error-0.log\n\
                    watching : no\n\
                    PID file : /h/pids/api-0.pid\n";
        assert_eq!(block(&detail(0, "api"), 1_045_000), want);
    }
}

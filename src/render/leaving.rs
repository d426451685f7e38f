//! A worker that was replaced and is still there: what it does, and how long it may.

use rpm_protocol::LeavingView;

/// `draining (3 connections, 12 s left)`.
pub(crate) fn state(old: &LeavingView) -> String {
    doing(&old.phase, old.connections, Some(old.left_ms).filter(|left| *left > 0))
}

/// The same from its parts, as far as they are known.
pub(crate) fn doing(phase: &str, connections: Option<u32>, left_ms: Option<u64>) -> String {
    let connections = connections.map(|count| match count {
        1 => "1 connection".to_owned(),
        count => format!("{count} connections"),
    });
    let left = left_ms.map(|left| format!("{} s left", left.div_ceil(1000)));
    let known: Vec<String> = connections.into_iter().chain(left).collect();
    if known.is_empty() { phase.to_owned() } else { format!("{phase} ({})", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told() {
        let table = [
            (("draining", Some(3), 11_400), "draining (3 connections, 12 s left)"),
            (("draining", Some(1), 1000), "draining (1 connection, 1 s left)"),
            (("draining", None, 30_000), "draining (30 s left)"),
            (("stopping", None, 1600), "stopping (2 s left)"),
            (("killed", None, 0), "killed"),
        ];
        for ((phase, connections, left_ms), want) in table {
            let old = LeavingView { pid: 1, phase: phase.into(), left_ms, connections };
            assert_eq!(state(&old), want);
        }
    }
}

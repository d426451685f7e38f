//! An instance for tests.

use rpm_protocol::InstanceDetail;
use serde_json::json;

/// An online instance of two, in cluster mode, up since 1,000,000 ms after the epoch.
pub(crate) fn detail(id: u32, name: &str) -> InstanceDetail {
    let detail = json!({
        "view": {
            "id": id, "name": name, "namespace": "default", "version": "3.2.1", "slot": id,
            "mode": "cluster", "status": "online", "pid": 4711, "started_at": 1_000_000,
            "created_at": 900_000, "restarts": 3, "unstable_restarts": 0, "cpu": 2.2,
            "memory": 54_083_584, "user": "me", "queue": 0, "last_exit": null, "leaving": [],
        },
        "spec": {
            "name": name, "namespace": "default", "cwd": "/srv", "env": {}, "inherited_env": {},
            "launch": {
                "script": "/srv/app.js", "interpreter": "node", "interpreter_args": [],
                "args": ["--fast"], "runtime": "node",
            },
            "mode": "cluster", "instances": 2, "instance_var": "NODE_APP_INSTANCE",
            "increment_var": null, "share_ports": true, "balance": "even",
            "logs": { "out": "default", "error": "default", "merge": false },
            "restart": {
                "autorestart": true, "stop_exit_codes": [], "max_restarts": 16,
                "min_uptime": 1000, "restart_delay": 0, "exp_backoff_restart_delay": null,
                "max_memory_restart": 300 << 20,
            },
            "ready": "listening", "listen_timeout": null,
            "stop": {
                "signal": 2, "kill_timeout": 1600, "drain_timeout": 30_000, "tree": true,
                "with_message": false,
            },
            "max_surge": 1, "autostart": true,
        },
        "environment": { "PATH": "/bin", "NODE_APP_INSTANCE": "0", "name": "oops" },
        "out_log": format!("/h/logs/{name}-out-{id}.log"),
        "error_log": format!("/h/logs/{name}-error-{id}.log"),
        "pid_file": format!("/h/pids/{name}-{id}.pid"),
        "listening": ["0.0.0.0:3000"], "balance": "even", "queue_state": "serving",
        "exits": [], "previous_delay_ms": 0, "dropped_log_bytes": 0,
    });
    serde_json::from_value(detail).unwrap()
}

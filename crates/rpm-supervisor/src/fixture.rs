//! PM2's default policy, for tests.

use crate::Policy;
use rpm_config::{Ready, RestartPolicy, StopPolicy};
use std::time::Duration;

/// Fork mode, `Ready::Listening`, everything else PM2's default.
pub(crate) fn policy() -> Policy {
    Policy {
        restart: RestartPolicy {
            autorestart: true,
            stop_exit_codes: Vec::new(),
            max_restarts: 16,
            min_uptime: Duration::from_secs(1),
            restart_delay: Duration::ZERO,
            exp_backoff_restart_delay: None,
            max_memory_restart: None,
        },
        stop: StopPolicy {
            signal: 2,
            kill_timeout: Duration::from_millis(1600),
            drain_timeout: Duration::from_secs(30),
            tree: true,
            with_message: false,
        },
        ready: Ready::Listening,
        listen_timeout: None,
        overlap: false,
        activated: false,
        proxied: false,
        own_port: false,
        depends_on: Default::default(),
        max_surge: 1,
    }
}

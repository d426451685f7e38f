//! [`Policy`]: the part of an `AppSpec` that decides, and nothing else of it.

use rpm_config::{AppSpec, Dependencies, ExecMode, Ready};
use serde::{Deserialize, Serialize};

/// What the supervisor must know about an app. A copy, so that a spec may change without the
/// running workers' rules changing under them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// See [`rpm_config::RestartPolicy`].
    pub restart: rpm_config::RestartPolicy,
    /// See [`rpm_config::StopPolicy`].
    pub stop: rpm_config::StopPolicy,
    /// What proves that a worker works.
    pub ready: Ready,
    /// See [`AppSpec::listen_timeout`].
    pub listen_timeout: Option<std::time::Duration>,
    /// Old and new worker of a slot can run beside each other, because rpm holds the ports.
    pub overlap: bool,
    /// It inherits sockets that accept before it runs, so it may never listen by itself.
    #[serde(default)]
    pub activated: bool,
    /// A front takes its connections, so that an instance can be without any before it stops.
    #[serde(default)]
    pub proxied: bool,
    /// Each instance is given a port of its own, so it can be seen whether it listens there.
    #[serde(default)]
    pub own_port: bool,
    /// Which apps it waits for before it is started.
    #[serde(default)]
    pub depends_on: Dependencies,
    /// How many replacements a reload starts at once.
    pub max_surge: u32,
}

impl From<&AppSpec> for Policy {
    fn from(spec: &AppSpec) -> Self {
        Self {
            restart: spec.restart.clone(),
            stop: spec.stop.clone(),
            ready: spec.ready.clone(),
            listen_timeout: spec.listen_timeout,
            overlap: spec.share_ports || spec.mode == ExecMode::Cluster || !spec.listen.is_empty(),
            activated: !spec.listen.is_empty(),
            proxied: spec.proxy.is_some(),
            own_port: spec.has_own_ports(),
            depends_on: spec.depends_on.clone(),
            max_surge: spec.max_surge.max(1),
        }
    }
}

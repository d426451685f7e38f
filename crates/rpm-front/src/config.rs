//! [`Config`]: all that a front is told at its start, as JSON, and the bounds of it.

use crate::{address::Address, command::UpstreamSpec, error::FrontError, policy::Policy};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most connections a front may be allowed. What the limit of open files permits may be less.
pub const MAX_CONNECTIONS: u32 = 1 << 20;
/// The most times the bytes of one client may be sent again.
pub const MAX_RESENDS: u32 = 16;

/// An instance that accepts nothing for so long is down.
const CONNECT_TIMEOUT_MS: u64 = 1_000;
/// How long a client waits for an instance to come up.
const QUEUE_TIMEOUT_MS: u64 = 30_000;
/// Connections at once, where nothing else is said.
const CONNECTIONS: u32 = 16_384;
/// A request that kills whoever reads it kills no more than three.
const RESENDS: u32 = 2;

const MAX_CONNECT_TIMEOUT_MS: u64 = 60_000;
const MAX_QUEUE_TIMEOUT_MS: u64 = 3_600_000;

/// What a front does. Everything has a default but where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses to bind. Port 0 lets the kernel choose; the first line on the channel tells.
    pub listen: Vec<Address>,
    /// How many listening sockets were inherited, from descriptor 3 on. `None`: as `LISTEN_FDS`
    /// says, if `LISTEN_PID` is this process.
    pub inherited: Option<u32>,
    /// The descriptor of the control channel, a connected unix stream socket. `None`: as
    /// `NODE_CHANNEL_FD` says, else standard input if it is such a socket, else there is none.
    pub control: Option<i32>,
    /// How connections are spread.
    pub balance: Policy,
    /// The first set of upstreams.
    pub upstreams: Vec<UpstreamSpec>,
    /// Milliseconds after which an upstream that has not accepted is down; 1 to 60,000.
    pub connect_timeout_ms: u64,
    /// Milliseconds that a client waits for an upstream to come up; at most 3,600,000. 0: none.
    pub queue_timeout_ms: u64,
    /// Connections at once, 1 to [`MAX_CONNECTIONS`]; further ones wait in the kernel's queue.
    pub max_connections: u32,
    /// How often the bytes of a client that no upstream has answered may be sent again to another
    /// one, at most [`MAX_RESENDS`]. 0: never. A client that has sent nothing yet does not count.
    pub resends: u32,
    /// Tell each upstream who the client is.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The PROXY protocol's versions, of HAProxy's proxy-protocol.txt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            inherited: None,
            control: None,
            balance: Policy::default(),
            upstreams: Vec::new(),
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            queue_timeout_ms: QUEUE_TIMEOUT_MS,
            max_connections: CONNECTIONS,
            resends: RESENDS,
            proxy_protocol: None,
        }
    }
}

impl Config {
    /// # Errors
    /// The text is no such JSON, or a number is beyond its bounds.
    pub fn from_json(text: &str) -> Result<Self, FrontError> {
        let config: Self =
            serde_json::from_str(text).map_err(|error| FrontError::Config(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// # Errors
    /// A number is beyond its bounds.
    pub fn check(&self) -> Result<(), FrontError> {
        let within = |name, value: u64, least, most| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(FrontError::Config(format!(
                "{name} is {value}, which is not from {least} to {most}"
            )))
        };
        within("connect_timeout_ms", self.connect_timeout_ms, 1, MAX_CONNECT_TIMEOUT_MS)?;
        within("queue_timeout_ms", self.queue_timeout_ms, 0, MAX_QUEUE_TIMEOUT_MS)?;
        within("max_connections", self.max_connections.into(), 1, MAX_CONNECTIONS.into())?;
        within("resends", self.resends.into(), 0, MAX_RESENDS.into())
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.queue_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_all_keys() {
        assert_eq!(Config::from_json("{}").unwrap(), Config::default());
        let text = r#"{"listen":["0.0.0.0:80"],"inherited":1,"control":4,"balance":"ip_hash",
            "upstreams":[{"id":0,"address":"unix:/a"}],"connect_timeout_ms":1,"queue_timeout_ms":0,
            "max_connections":5,"resends":0,"proxy_protocol":"v2"}"#;
        let config = Config::from_json(text).unwrap();
        assert_eq!(config.balance, Policy::IpHash);
        assert_eq!(config.proxy_protocol, Some(ProxyProtocol::V2));
        let again = serde_json::to_string(&config).unwrap();
        assert_eq!(Config::from_json(&again).unwrap(), config);
    }

    #[test]
    fn bounds_are_kept() {
        let good = [
            r#"{"connect_timeout_ms":60000}"#,
            r#"{"queue_timeout_ms":3600000}"#,
            r#"{"max_connections":1048576}"#,
            r#"{"resends":16}"#,
        ];
        let bad = [
            (
                r#"{"connect_timeout_ms":0}"#,
                "connect_timeout_ms is 0, which is not from 1 to 60000",
            ),
            (r#"{"connect_timeout_ms":60001}"#, "connect_timeout_ms is 60001"),
            (r#"{"queue_timeout_ms":3600001}"#, "queue_timeout_ms is 3600001"),
            (r#"{"max_connections":0}"#, "max_connections is 0"),
            (r#"{"max_connections":1048577}"#, "max_connections is 1048577"),
            (r#"{"resends":17}"#, "resends is 17, which is not from 0 to 16"),
            (r#"{"balance":"fastest"}"#, "unknown variant `fastest`"),
            (r#"{"port":80}"#, "unknown field `port`"),
        ];
        good.iter().for_each(|text| drop(Config::from_json(text).unwrap()));
        for (text, part) in bad {
            let error = Config::from_json(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

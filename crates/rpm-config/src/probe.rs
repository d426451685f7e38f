//! [`Probe`] and [`Health`]: how an instance is asked whether it works. Here they are only read and
//! checked; who asks, and what follows from the answer, is decided elsewhere.

use crate::{
    AppSpec, Fault, InvalidValue,
    environment::increment_base,
    instance::with_slot,
    spec::{Ready, millis},
    tree::{Data, Entry, Node},
    value,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Stands for the instance's own port.
const PORT: &str = "{port}";
const READY: &str = "\"listening\", \"message\", \"notify\", or a table with one of `http`, `tcp` \
                     and `exec`";
const HEALTH: &str = "a table with one of `http`, `tcp` and `exec`, and maybe `interval`, \
                      `timeout`, `failures` and `start_period`";

/// A question that shows whether an instance works. `{port}` and `{instance}` may stand in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A URL `http://HOST[:PORT][/PATH]` that must answer with a status from 200 to 399.
    Http(String),
    /// `HOST:PORT` that must accept a connection.
    Tcp(String),
    /// A command line for `sh -c` that must exit with 0.
    Exec(String),
}

/// When an instance that is online counts as ill, and is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What it is asked.
    pub probe: Probe,
    /// From one answer to the next question.
    #[serde(with = "millis")]
    pub interval: Duration,
    /// How long an answer may take.
    #[serde(with = "millis")]
    pub timeout: Duration,
    /// So many failures in a row make it ill; at least 1.
    pub failures: u32,
    /// How long after it came online nothing is asked.
    #[serde(with = "millis")]
    pub start_period: Duration,
}

impl Probe {
    /// The probe of the instance in `slot`, with its port and number in place.
    pub fn of_instance(&self, spec: &AppSpec, slot: u32) -> Self {
        let port = instance_port(spec, slot).map(|port| port.to_string()).unwrap_or_default();
        let fill = |text: &String| with_slot(&text.replace(PORT, &port), slot);
        match self {
            Self::Http(url) => Self::Http(fill(url)),
            Self::Tcp(address) => Self::Tcp(fill(address)),
            Self::Exec(command) => Self::Exec(fill(command)),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Http(text) | Self::Tcp(text) | Self::Exec(text) => text,
        }
    }
}

/// The port an instance is given: that of `increment_var`, or `PORT`.
fn instance_port(spec: &AppSpec, slot: u32) -> Option<u16> {
    let (variable, add) = match &spec.increment_var {
        Some(variable) => (variable.as_str(), slot),
        None => ("PORT", 0),
    };
    let first = increment_base(variable, &spec.env, &spec.inherited_env).ok()?;
    u16::try_from(first.checked_add(add.into())?).ok().filter(|port| *port != 0)
}

/// A probe that speaks of `{port}` needs an app that is told one.
pub(crate) fn check(spec: &AppSpec) -> Result<(), Fault> {
    let ready = match &spec.ready {
        Ready::Probe(probe) => Some(("ready", probe)),
        Ready::Listening | Ready::Message | Ready::Notify => None,
    };
    let health = spec.health.as_ref().map(|health| ("health", &health.probe));
    let last = spec.instances.max(1) - 1;
    let mut probes = ready.into_iter().chain(health);
    match probes.find(|(_, probe)| probe.text().contains(PORT)) {
        Some((key, _)) if instance_port(spec, last).is_none() => Err(Fault::ProbeNoPort { key }),
        Some(_) | None => Ok(()),
    }
}

/// Reads `ready`: a word, or a table with a probe.
pub(crate) fn ready(node: &Node) -> Result<Ready, InvalidValue> {
    match &node.data {
        Data::Text(word) if word == "listening" => Ok(Ready::Listening),
        Data::Text(word) if word == "message" => Ok(Ready::Message),
        Data::Text(word) if word == "notify" => Ok(Ready::Notify),
        Data::Table(entries) => {
            let mut probe = None;
            for entry in entries {
                take_probe(entry, &mut probe, READY)?;
            }
            let none = || InvalidValue::new(READY, "an empty table");
            Ok(Ready::Probe(probe.ok_or_else(none)?))
        }
        data => Err(InvalidValue::new(READY, data.describe())),
    }
}

/// Reads `health`: a table with a probe and its times.
pub(crate) fn health(node: &Node) -> Result<Option<Health>, InvalidValue> {
    let entries = match &node.data {
        Data::Table(entries) => entries,
        Data::Bool(false) => return Ok(None),
        data => return Err(InvalidValue::new(HEALTH, data.describe())),
    };
    let mut probe = None;
    let mut times = BTreeMap::new();
    let mut failures = 3;
    for entry in entries {
        match entry.key.as_str() {
            "interval" | "timeout" => {
                times.insert(entry.key.as_str(), not_too_short(&entry.value)?);
            }
            "start_period" | "startPeriod" => {
                times.insert("start_period", value::duration(&entry.value)?);
            }
            "failures" => failures = value::positive(&entry.value)?,
            _ => take_probe(entry, &mut probe, HEALTH)?,
        }
    }
    let time = |name: &str, default| times.get(name).copied().unwrap_or(default);
    Ok(Some(Health {
        probe: probe.ok_or_else(|| InvalidValue::new(HEALTH, "a table without any of them"))?,
        interval: time("interval", Duration::from_secs(10)),
        timeout: time("timeout", Duration::from_secs(5)),
        failures,
        start_period: time("start_period", Duration::ZERO),
    }))
}

/// The shortest `interval` and `timeout`: below, a probe would keep the daemon busy and say less.
const SHORTEST: Duration = Duration::from_millis(50);

fn not_too_short(node: &Node) -> Result<Duration, InvalidValue> {
    match value::duration(node)? {
        short if short < SHORTEST => {
            Err(InvalidValue::new("at least 50 milliseconds", node.data.describe()))
        }
        duration => Ok(duration),
    }
}

fn take_probe(entry: &Entry, into: &mut Option<Probe>, what: &str) -> Result<(), InvalidValue> {
    let probe = match entry.key.as_str() {
        "http" => Probe::Http(http(&entry.value)?),
        "tcp" => Probe::Tcp(tcp(&entry.value)?),
        "exec" => Probe::Exec(exec(&entry.value)?),
        other => return Err(InvalidValue::new(what, format!("a table with `{other}`"))),
    };
    match into.replace(probe) {
        None => Ok(()),
        Some(_) => Err(InvalidValue::new(what, "a table with two of them")),
    }
}

fn http(node: &Node) -> Result<String, InvalidValue> {
    let what = "a table whose `http` is a URL such as \"http://127.0.0.1:{port}/healthz\"";
    let wrong = || InvalidValue::new(what, node.data.describe());
    let url = value::text(node).map_err(|_| wrong())?;
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let clean = !url.contains(|c: char| c.is_whitespace() || c.is_control());
    if clean && host.is_some_and(|host| !host.is_empty()) { Ok(url) } else { Err(wrong()) }
}

fn tcp(node: &Node) -> Result<String, InvalidValue> {
    let what = "a table whose `tcp` is a port, \"{port}\" or \"HOST:PORT\"";
    let wrong = || InvalidValue::new(what, node.data.describe());
    let text = match &node.data {
        Data::Integer(port) => port.to_string(),
        Data::Text(text) => text.clone(),
        _ => return Err(wrong()),
    };
    let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", &text));
    let is_port = port == PORT || port.parse().is_ok_and(|port: u16| port != 0);
    if is_port && !host.is_empty() { Ok(format!("{host}:{port}")) } else { Err(wrong()) }
}

fn exec(node: &Node) -> Result<String, InvalidValue> {
    let what = "a table whose `exec` is a command line";
    match value::text(node) {
        Ok(text) if !text.trim().is_empty() && !text.contains('\0') => Ok(text),
        Ok(_) | Err(_) => Err(InvalidValue::new(what, node.data.describe())),
    }
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(url) => f.write_str(url),
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Exec(command) => write!(f, "exec {command}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppOptions, test_machine::Machine};

    fn table(pairs: &[(&str, Data)]) -> Node {
        let entry = |(key, data): &(&str, Data)| Entry {
            key: (*key).to_owned(),
            value: Node { line: None, data: data.clone() },
        };
        Node { line: None, data: Data::Table(pairs.iter().map(entry).collect()) }
    }

    fn text(text: &str) -> Data {
        Data::Text(text.to_owned())
    }

    #[test]
    fn every_way_to_write_ready() {
        let word = |word| ready(&Node { line: None, data: text(word) });
        assert_eq!(word("notify"), Ok(Ready::Notify));
        assert!(word("soon").is_err());
        let probe = |key, data| ready(&table(&[(key, data)]));
        let url = "http://127.0.0.1:{port}/healthz";
        assert_eq!(probe("http", text(url)), Ok(Ready::Probe(Probe::Http(url.into()))));
        let tcp = |address: &str| Ok(Ready::Probe(Probe::Tcp(address.into())));
        assert_eq!(probe("tcp", Data::Integer(80)), tcp("127.0.0.1:80"));
        assert_eq!(probe("tcp", text("{port}")), tcp("127.0.0.1:{port}"));
        assert_eq!(probe("tcp", text("[::1]:80")), tcp("[::1]:80"));
        assert_eq!(probe("exec", text("true")), Ok(Ready::Probe(Probe::Exec("true".into()))));
        for (key, data) in [
            ("http", text("https://a")),
            ("http", text("http://")),
            ("http", text("http://a b")),
            ("tcp", Data::Integer(0)),
            ("tcp", Data::Integer(65_536)),
            ("tcp", text("a:b")),
            ("exec", text(" ")),
            ("exec", Data::Bool(true)),
            ("ftp", text("a")),
        ] {
            assert!(probe(key, data.clone()).is_err(), "{key} {data:?}");
        }
        let both = table(&[("exec", text("true")), ("tcp", Data::Integer(1))]);
        assert!(ready(&both).is_err());
        assert!(ready(&table(&[])).is_err());
    }

    #[test]
    fn health_has_defaults_and_bounds() {
        let exec = ("exec", text("true"));
        let want = Health {
            probe: Probe::Exec("true".into()),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            failures: 3,
            start_period: Duration::ZERO,
        };
        assert_eq!(health(&table(std::slice::from_ref(&exec))), Ok(Some(want)));
        for wrong in [
            ("interval", Data::Integer(0)),
            ("timeout", Data::Integer(49)),
            ("failures", Data::Integer(0)),
            ("retries", Data::Integer(3)),
        ] {
            assert!(health(&table(&[exec.clone(), wrong.clone()])).is_err(), "{wrong:?}");
        }
        assert!(health(&table(&[("failures", Data::Integer(1))])).is_err());
        assert_eq!(health(&Node { line: None, data: Data::Bool(false) }), Ok(None));
    }

    #[test]
    fn a_probe_is_filled_with_the_port_and_number_of_its_instance() {
        let machine = Machine::new().program("server");
        let mut spec =
            machine.spec(&AppOptions { script: Some("server".into()), ..AppOptions::default() });
        let probe = Probe::Http("http://127.0.0.1:{port}/{instance}".into());
        spec.health = health(&table(&[("http", text("http://127.0.0.1:{port}/"))])).unwrap();
        assert_eq!(check(&spec), Err(Fault::ProbeNoPort { key: "health" }));
        spec.env.insert("PORT".into(), "3000".into());
        assert_eq!(check(&spec), Ok(()));
        let at = |spec: &AppSpec, slot| probe.of_instance(spec, slot).text().to_owned();
        assert_eq!(at(&spec, 2), "http://127.0.0.1:3000/2");
        spec.increment_var = Some("PORT".into());
        assert_eq!(at(&spec, 2), "http://127.0.0.1:3002/2");
    }
}

//! [`Proxy`]: an address of rpm's own in front of instances that each have a port of their own.
//! Here it is only read and checked; who takes a connection there is `rpm-front`'s business.

use crate::{
    AppSpec, Balance, ExecMode, Fault, InvalidValue, Listen, ListenAddress,
    environment::increment_base,
    listen::{self, MAX_PATH},
    search::Search,
    tree::{Data, Entry, Node},
    value,
};
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;

/// What `proxy` looks like, for a message.
const EXPECTED: &str = "an address such as \"8080\", or a table with `listen`, and maybe `balance` \
                        and `proxy_protocol`";
/// The variable that a server takes its port from where `increment_var` names no other.
const PORT: &str = "PORT";

/// What listens in front of an app's instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Where clients connect; TCP or unix, at least one.
    pub listen: Vec<ListenAddress>,
    /// Which instance takes a connection; never [`Balance::Shared`].
    pub balance: Balance,
    /// Whether each instance is told who the client is.
    pub header: ProxyHeader,
}

/// What an instance is sent ahead of a client's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyHeader {
    /// Nothing.
    #[default]
    None,
    /// A line of the PROXY protocol, version 1.
    V1,
    /// Its binary version 2.
    V2,
}

/// Reads an address, a list of them, or a table.
pub(crate) fn read(node: &Node) -> Result<Proxy, InvalidValue> {
    let mut proxy =
        Proxy { listen: Vec::new(), balance: Balance::LeastConn, header: ProxyHeader::None };
    match &node.data {
        Data::Table(entries) => {
            entries.iter().try_for_each(|entry| read_entry(entry, &mut proxy))?;
        }
        Data::Text(_) | Data::Integer(_) | Data::List(_) => proxy.listen = addresses(node)?,
        data => return Err(InvalidValue::new(EXPECTED, data.describe())),
    }
    if proxy.listen.is_empty() {
        return Err(InvalidValue::new(EXPECTED, "without an address"));
    }
    Ok(proxy)
}

fn read_entry(entry: &Entry, proxy: &mut Proxy) -> Result<(), InvalidValue> {
    match entry.key.as_str() {
        "listen" => proxy.listen = addresses(&entry.value)?,
        "balance" => proxy.balance = balance(&entry.value)?,
        "proxy_protocol" | "proxyProtocol" => proxy.header = header(&entry.value)?,
        other => return Err(InvalidValue::new(EXPECTED, format!("a table with `{other}`"))),
    }
    Ok(())
}

fn addresses(node: &Node) -> Result<Vec<ListenAddress>, InvalidValue> {
    let usable = |listen: Listen| match listen.address {
        ListenAddress::Udp(_) => {
            let found = format!("a table with `listen` {}", listen.address);
            Err(InvalidValue::new("a table with TCP or unix addresses in `listen`", found))
        }
        address => Ok(address),
    };
    value::listen(node)?.into_iter().map(usable).collect()
}

fn balance(node: &Node) -> Result<Balance, InvalidValue> {
    let words: Vec<String> = Balance::ALL
        .iter()
        .filter(|balance| **balance != Balance::Shared)
        .map(|balance| format!("{:?}", balance.word()))
        .collect();
    let expected = format!("a table whose `balance` is one of {}", words.join(", "));
    match value::balance(node) {
        Ok(balance) if balance != Balance::Shared => Ok(balance),
        Ok(_) | Err(_) => {
            Err(InvalidValue::new(expected, format!("a table with {}", node.data.describe())))
        }
    }
}

fn header(node: &Node) -> Result<ProxyHeader, InvalidValue> {
    match &node.data {
        Data::Bool(false) => Ok(ProxyHeader::None),
        Data::Bool(true) => Ok(ProxyHeader::V1),
        Data::Text(text) if text == "v1" => Ok(ProxyHeader::V1),
        Data::Text(text) if text == "v2" => Ok(ProxyHeader::V2),
        data => {
            let expected = "a table whose `proxy_protocol` is true, false, \"v1\" or \"v2\"";
            Err(InvalidValue::new(expected, format!("a table with {}", data.describe())))
        }
    }
}

/// The same with absolute paths.
pub(crate) fn resolve(written: Option<&Proxy>, search: &Search) -> Option<Proxy> {
    let written = written?;
    let listen = written.listen.iter().map(|address| listen::absolute(address, search)).collect();
    Some(Proxy { listen, ..written.clone() })
}

/// The port of the instance in `slot` of an app with `proxy`: that of `increment_var`, or `PORT`.
/// `None`: there is no such port.
pub fn instance_port(spec: &AppSpec, slot: u32) -> Option<u16> {
    let port = first_port(spec).ok()?.checked_add(slot.into())?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// What an app as a whole may ask for: each of its instances has a port, and none has that of
/// `proxy`.
///
/// # Errors
/// What is wrong, for an app with `proxy`.
pub fn check_proxy(spec: &AppSpec) -> Result<(), Fault> {
    let Some(proxy) = &spec.proxy else { return Ok(()) };
    if spec.mode == ExecMode::Cluster {
        return Err(Fault::ProxyInCluster);
    }
    if spec.increment_var.is_none() && spec.instances > 1 {
        return Err(Fault::ProxyNeedsIncrement { instances: spec.instances });
    }
    let variable = spec.increment_var.as_deref().unwrap_or(PORT);
    let no_port = || Fault::ProxyNoPort { variable: variable.to_owned() };
    let (first, last) = (instance_port(spec, 0), instance_port(spec, spec.instances.max(1) - 1));
    let (first, last) = first.zip(last).ok_or_else(no_port)?;
    for (at, address) in proxy.listen.iter().enumerate() {
        check_address(address, (first, last))?;
        if proxy.listen.iter().take(at).any(|other| other == address) {
            return Err(Fault::ProxyTwice { address: address.to_string() });
        }
    }
    Ok(())
}

fn check_address(address: &ListenAddress, (first, last): (u16, u16)) -> Result<(), Fault> {
    match address {
        ListenAddress::Tcp(tcp) if (first..=last).contains(&tcp.port()) => {
            let (port, slot) = (tcp.port(), tcp.port() - first);
            Err(Fault::ProxyOnInstance { port, slot: slot.into() })
        }
        ListenAddress::Unix(path) if path.as_os_str().as_bytes().len() > MAX_PATH => {
            Err(Fault::ListenPathTooLong { address: address.to_string() })
        }
        ListenAddress::Tcp(_) | ListenAddress::Udp(_) | ListenAddress::Unix(_) => Ok(()),
    }
}

fn first_port(spec: &AppSpec) -> Result<i64, Fault> {
    let variable = spec.increment_var.as_deref().unwrap_or(PORT);
    increment_base(variable, &spec.env, &spec.inherited_env)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppOptions, test_machine::Machine};

    fn text(text: &str) -> Node {
        Node { line: None, data: Data::Text(text.to_owned()) }
    }

    fn table(pairs: &[(&str, Node)]) -> Node {
        let entry =
            |(key, value): &(&str, Node)| Entry { key: (*key).into(), value: value.clone() };
        Node { line: None, data: Data::Table(pairs.iter().map(entry).collect()) }
    }

    fn tcp(text: &str) -> ListenAddress {
        ListenAddress::Tcp(text.parse().unwrap())
    }

    #[test]
    fn what_may_be_written() {
        let listen = vec![tcp("0.0.0.0:80")];
        let least = Proxy { listen, balance: Balance::LeastConn, header: ProxyHeader::None };
        assert_eq!(read(&text("0.0.0.0:80")), Ok(least.clone()));
        let flag = Node { line: None, data: Data::Bool(true) };
        let full = [
            ("listen", text("0.0.0.0:80")),
            ("balance", text("ip_hash")),
            ("proxy_protocol", flag),
        ];
        let want = Proxy { balance: Balance::IpHash, header: ProxyHeader::V1, ..least };
        assert_eq!(read(&table(&full)), Ok(want));
    }

    #[test]
    fn what_may_not() {
        let wrong = |node: Node| read(&node).unwrap_err().to_string();
        let rows = [
            (table(&[]), "but is without an address"),
            (table(&[("to", text("1"))]), "but is a table with `to`"),
            (table(&[("listen", text("x"))]), "must be an address such as"),
            (text("udp:53"), "but is a table with `listen` udp:"),
            (
                table(&[("listen", text("80")), ("balance", text("shared"))]),
                "must be a table whose `balance` is one of \"even\", \"random\", \"ip_hash\"",
            ),
            (
                table(&[("listen", text("80")), ("proxy_protocol", text("v3"))]),
                "must be a table whose `proxy_protocol` is true, false",
            ),
        ];
        for (node, want) in rows {
            let found = wrong(node);
            assert!(found.contains(want), "{found}");
        }
    }

    fn options(listen: &str, instances: &str) -> AppOptions {
        AppOptions {
            script: Some("server".into()),
            proxy: Some(read(&text(listen)).unwrap()),
            instances: instances.parse().ok(),
            increment_var: Some("PORT".into()),
            env: [("PORT".to_owned(), "3000".to_owned())].into(),
            ..AppOptions::default()
        }
    }

    #[test]
    fn ports_are_counted_up_and_must_exist() {
        let machine = Machine::new().program("server");
        let spec = machine.spec(&options("8080", "4"));
        assert_eq!([0, 3].map(|slot| instance_port(&spec, slot)), [Some(3000), Some(3003)]);
        assert_eq!(instance_port(&spec, 62_536), None);
        let fault = |options: &AppOptions| machine.error(options).0;
        let on = "`proxy` listens on 3003, the port of instance 3";
        assert_eq!(fault(&options("3003", "4")), on);
        machine.spec(&options("3004", "4"));
        let no_port = AppOptions { env: Default::default(), ..options("8080", "1") };
        let text = "`proxy` needs the port of the first instance in PORT, from 1 to 65535";
        assert_eq!(fault(&no_port), text);
        let cluster = AppOptions { increment_var: None, ..options("8080", "4") };
        let text = "`proxy` is for instances with ports of their own, in cluster mode they share";
        assert_eq!(fault(&cluster), text);
        let fork = AppOptions { exec_mode: Some(ExecMode::Fork), ..cluster };
        let text = "`proxy` in front of 4 instances needs `increment_var`, or all have one port";
        assert_eq!(fault(&fork), text);
    }
}

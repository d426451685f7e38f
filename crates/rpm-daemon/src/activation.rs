//! Socket activation: what an app's `listen` means for its workers. The keeper binds and holds the
//! sockets; here are their owner and order, the variables that tell of them, and which of them a
//! Node worker means.

use crate::{engine::Engine, launch, listeners};
use rpm_cluster::endpoint::Endpoint;
use rpm_config::{AppSpec, ExecMode, ListenAddress};
use rpm_keeper::{Activation, Address, Request};
use rpm_protocol::RpcError;
use std::net::SocketAddr;

/// The descriptor of the first socket: SD_LISTEN_FDS_START.
const FIRST_FD: i32 = 3;

/// The sockets for the worker in this slot; `None` for an app without.
pub(crate) fn of(spec: &AppSpec, slot: u32) -> Option<Activation> {
    if spec.listen.is_empty() {
        return None;
    }
    Some(Activation { owner: launch::owner(spec, slot), addresses: addresses(spec).collect() })
}

/// What sd_listen_fds(3) reads beside `LISTEN_PID`, which is the keeper's to set.
pub(crate) fn variables(spec: &AppSpec) -> Vec<(String, String)> {
    if spec.listen.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = spec.listen.iter().map(|listen| listen.name.as_str()).collect();
    let own = |key: &str, value: String| (key.to_owned(), value);
    vec![own("LISTEN_FDNAMES", names.join(":")), own("LISTEN_FDS", names.len().to_string())]
}

/// The addresses as people write them.
pub(crate) fn texts(spec: &AppSpec) -> Vec<String> {
    addresses(spec).map(|address| listeners::text(&address)).collect()
}

/// The address of the socket a Node worker means: by its descriptor, or by asking to listen where
/// rpm does so for it already. `None`: another one.
pub(crate) fn meant(spec: &AppSpec, endpoint: &Endpoint) -> Option<Address> {
    let mut all = addresses(spec);
    match endpoint {
        Endpoint::Inherited(fd) => all.nth(usize::try_from(*fd - FIRST_FD).ok()?),
        Endpoint::Tcp(wanted) => {
            all.find(|one| matches!(one, Address::Tcp(bound) if serves(bound, wanted)))
        }
        Endpoint::Udp(wanted) => {
            all.find(|one| matches!(one, Address::Udp(bound) if serves(bound, wanted)))
        }
        Endpoint::Unix(wanted) => {
            all.find(|one| matches!(one, Address::Unix(path) if path == wanted))
        }
    }
}

/// Whether a program that asks for `wanted` is served by what is bound: the same address, or every
/// address of either family. Node asks for `[::]` where nothing else is said.
fn serves(bound: &SocketAddr, wanted: &SocketAddr) -> bool {
    let every = |address: &SocketAddr| address.ip().is_unspecified();
    bound.port() == wanted.port() && (bound == wanted || (every(bound) && every(wanted)))
}

fn addresses(spec: &AppSpec) -> impl Iterator<Item = Address> {
    spec.listen.iter().map(|listen| match &listen.address {
        ListenAddress::Tcp(address) => Address::Tcp(*address),
        ListenAddress::Udp(address) => Address::Udp(*address),
        ListenAddress::Unix(path) => Address::Unix(path.clone()),
    })
}

/// Why an app cannot have so many instances.
pub(crate) fn refused_scale(spec: &AppSpec, instances: u32) -> Option<RpcError> {
    let wanted = AppSpec { instances, ..spec.clone() };
    if let Err(fault) = rpm_config::check_proxy(&wanted) {
        return Some(RpcError::failed(format!("{}: {fault}", spec.name), fault.hint()));
    }
    if spec.listen.is_empty() || spec.mode == ExecMode::Cluster || instances == 1 {
        return None;
    }
    let hint = "start it in cluster mode (-i), where instances share its sockets".to_owned();
    let message = format!("{}: `listen` in fork mode is for one instance", spec.name);
    Some(RpcError::failed(message, Some(hint)))
}

impl Engine {
    /// Closes what the app's new description has no more; its slots keep all else.
    pub(crate) fn close_dropped(&mut self, former: &AppSpec, spec: &AppSpec) {
        let kept: Vec<Address> = addresses(spec).collect();
        let Some(app) = self.fleet.apps.get(&spec.name) else { return };
        let slots: Vec<u32> = app.instances.keys().copied().collect();
        for address in addresses(former).filter(|address| !kept.contains(address)) {
            for slot in &slots {
                let owner = launch::owner(spec, *slot);
                self.keeper.send(Request::Close { owner, address: address.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use rpm_config::Listen;

    fn spec() -> AppSpec {
        let listen = |name: &str, address| Listen { name: name.to_owned(), address };
        let mut spec = fixture::spec("api");
        spec.listen = vec![
            listen("http", ListenAddress::Tcp("0.0.0.0:80".parse().unwrap())),
            listen("udp-53", ListenAddress::Udp("127.0.0.1:53".parse().unwrap())),
            listen("unix", ListenAddress::Unix("/run/x.sock".into())),
        ];
        spec
    }

    #[test]
    fn a_worker_is_told_of_its_slots_sockets() {
        let activation = of(&spec(), 3).unwrap();
        assert_eq!(activation.owner, launch::owner(&spec(), 3));
        assert_eq!(activation.addresses, addresses(&spec()).collect::<Vec<_>>());
        let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let want = [own("LISTEN_FDNAMES", "http:udp-53:unix"), own("LISTEN_FDS", "3")];
        assert_eq!(variables(&spec()), want);
        assert_eq!(texts(&spec()), ["0.0.0.0:80", "udp:127.0.0.1:53", "unix:/run/x.sock"]);
        let without = fixture::spec("api");
        assert_eq!((of(&without, 0), variables(&without)), (None, Vec::new()));
    }

    #[test]
    fn node_means_a_socket_by_number_or_address() {
        let tcp = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        let udp = |text: &str| Endpoint::Udp(text.parse().unwrap());
        let table = [
            (Endpoint::Inherited(2), None),
            (Endpoint::Inherited(3), Some(0)),
            (Endpoint::Inherited(5), Some(2)),
            (Endpoint::Inherited(6), None),
            (Endpoint::Inherited(-1), None),
            (tcp("0.0.0.0:80"), Some(0)),
            (tcp("[::]:80"), Some(0)),
            (tcp("127.0.0.1:80"), None),
            (tcp("[::]:81"), None),
            (tcp("127.0.0.1:53"), None),
            (udp("127.0.0.1:53"), Some(1)),
            (udp("0.0.0.0:53"), None),
            (Endpoint::Unix("/run/x.sock".into()), Some(2)),
            (Endpoint::Unix("/run/y.sock".into()), None),
        ];
        let all: Vec<Address> = addresses(&spec()).collect();
        for (endpoint, at) in table {
            let want = at.map(|at: usize| all[at].clone());
            assert_eq!(meant(&spec(), &endpoint), want, "{endpoint:?}");
        }
    }

    #[test]
    fn only_cluster_mode_scales() {
        let mut spec = spec();
        assert!(refused_scale(&spec, 4).is_none());
        spec.mode = ExecMode::Fork;
        assert!(refused_scale(&spec, 2).is_some());
        assert!(refused_scale(&spec, 1).is_none());
        spec.listen.clear();
        assert!(refused_scale(&spec, 2).is_none());
    }
}

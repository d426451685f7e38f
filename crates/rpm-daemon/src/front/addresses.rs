//! Fronts of apps that share ports by `least_conn`. Such a worker binds its public address, and the
//! keeper gives it a private socket in its place and holds the public one. Here is learned which
//! addresses those are, and where each worker is reached.
//!
//! A front accepts at all addresses that a worker of its app has. When one is added or dropped, a
//! new front takes over.

use crate::{
    clock, engine::Engine, launch, listeners::Asked, sharing::is_fronted, worker::Workers,
};
use rpm_config::{AppName, AppSpec, Balance, ListenAddress, Proxy, ProxyHeader};
use rpm_front::{UpstreamSpec, Wish};
use rpm_keeper::{Address, Request};
use rpm_supervisor::{App, State, WorkerId};
use rpm_unix::socket::{self, SocketName};
use std::{collections::BTreeSet, net::SocketAddr, os::fd::OwnedFd, sync::Arc, time::Duration};

/// How many addresses of an app its front serves; their list is part of its label, which has room
/// for so many ([`rpm_keeper::MAX_LABEL`]).
const MAX_ADDRESSES: usize = 16;
/// How long the workers of an app have been online before an address that none of them has bound
/// is given up; as long as the keeper waits for one that has listened last.
const SETTLES_AFTER: Duration = Duration::from_secs(30);
/// Asks the keeper for a private socket only if there is one.
const ONLY_HELD: i32 = -1;

/// A front's description for workers that serve these addresses.
pub(super) fn proxy(listen: Vec<SocketAddr>) -> Proxy {
    let listen = listen.into_iter().map(ListenAddress::Tcp).collect();
    Proxy { listen, balance: Balance::LeastConn, header: ProxyHeader::None }
}

/// The addresses of such a description.
pub(super) fn of(proxy: &Proxy) -> Vec<SocketAddr> {
    let tcp = |address: &ListenAddress| match address {
        ListenAddress::Tcp(address) => Some(*address),
        ListenAddress::Udp(_) | ListenAddress::Unix(_) => None,
    };
    proxy.listen.iter().filter_map(tcp).collect()
}

/// Whom a front passes the connections to each of its addresses to.
pub(super) fn upstreams(proxy: &Proxy, app: &App, workers: &Workers) -> Vec<UpstreamSpec> {
    let addresses = of(proxy);
    let mut all = Vec::new();
    for (slot, instance) in &app.instances {
        let (worker, state) = match &instance.state {
            State::Online { worker, .. } => (worker, Wish::Up),
            State::Draining { worker, .. } => (worker, Wish::Draining),
            State::Stopped
            | State::Launching { .. }
            | State::Stopping { .. }
            | State::Awaiting
            | State::Waiting { .. }
            | State::Errored
            | State::Removing => continue,
        };
        let Some(known) = workers.get(*worker) else { continue };
        for (listener, address) in addresses.iter().enumerate() {
            let Some(private) = known.record.private.get(address) else { continue };
            let address = rpm_front::Address::Tcp(*private);
            let listener = Some(listener);
            all.push(UpstreamSpec { id: *slot, address, weight: 1, state, listener });
        }
    }
    all
}

/// Whether all of its workers have had the time to bind what they will.
fn is_settled(app: &App) -> bool {
    let now = clock::now();
    app.instances.values().all(|one| match one.state {
        State::Online { since, .. } => now.since(since) > SETTLES_AFTER,
        State::Stopped
        | State::Launching { .. }
        | State::Draining { .. }
        | State::Stopping { .. }
        | State::Awaiting
        | State::Waiting { .. }
        | State::Errored
        | State::Removing => false,
    })
}

impl Engine {
    /// A worker listens: asks the keeper where its front reaches it. Once more each time, since a
    /// program may have closed its socket and bound another one.
    pub(crate) fn ask_for_private(&mut self, worker: WorkerId, address: &Address) {
        let Some(spec) = self.fronted(worker).filter(|_| matches!(address, Address::Tcp(_))) else {
            return;
        };
        let Some(slot) = self.workers.get(worker).map(|known| known.label.slot) else { return };
        let asked = Asked { worker, seq: None, address: address.clone() };
        let request = self.listeners.ask(asked);
        self.keeper.send(Request::Listen {
            request,
            owner: launch::owner(&spec, slot),
            address: address.clone(),
            only_v6: false,
            backlog: ONLY_HELD,
            balance: crate::sharing::balance(&spec),
        });
    }

    /// The keeper told which socket a worker has at an address.
    pub(crate) fn note_private(&mut self, worker: WorkerId, address: &Address, socket: &OwnedFd) {
        if self.fronted(worker).is_none() {
            return;
        }
        let Address::Tcp(address) = address else { return };
        let Ok(SocketName::Inet(mut private)) = socket::local_name(socket) else { return };
        // A socket at the public address is of the time before the app had a front.
        if private == *address {
            return;
        }
        private.set_ip(private.ip().to_canonical());
        let Some(known) = self.workers.get_mut(worker) else { return };
        known.record.private.insert(*address, private);
        self.dirty.state = true;
    }

    fn fronted(&self, worker: WorkerId) -> Option<Arc<AppSpec>> {
        self.spec_of(worker).filter(|spec| is_fronted(spec))
    }

    /// What an app's front is to be like now; `None`: it needs none.
    pub(super) fn wanted_proxy(&self, app: &AppName) -> Option<Proxy> {
        let spec = self.specs.get(app)?;
        if spec.proxy.is_some() {
            return spec.proxy.clone();
        }
        let fleet = self.fleet.apps.get(app)?;
        // What a worker that is not ready has bound may be a look whether the port is free.
        let ready =
            fleet.instances.values().filter(|one| matches!(one.state, State::Online { .. }));
        let workers = ready.filter_map(|one| self.workers.get(one.current()?));
        let mut all: BTreeSet<SocketAddr> =
            workers.flat_map(|known| known.record.private.keys().copied()).collect();
        if let Some(front) = self.fronts.get(app)
            && is_fronted(spec)
            && !is_settled(fleet)
        {
            all.extend(of(&front.proxy));
        }
        let all: Vec<SocketAddr> = all.into_iter().take(MAX_ADDRESSES).collect();
        (!all.is_empty()).then(|| proxy(all))
    }

    /// Each app that needs a front has one, at the addresses of its workers.
    pub(super) fn follow_addresses(&mut self) {
        let concerned =
            |spec: &AppSpec| is_fronted(spec) || (self.fronts.get(&spec.name).is_some());
        let apps: Vec<AppName> = self
            .specs
            .values()
            .filter(|spec| spec.proxy.is_none() && concerned(spec))
            .map(|spec| spec.name.clone())
            .collect();
        for app in apps {
            if self.fleet.apps.get(&app).is_none_or(super::is_at_rest) {
                continue;
            }
            match self.fronts.get(&app) {
                Some(front) if matches!(front.phase, super::Phase::Serving(_)) => {
                    self.renew_front(&app);
                }
                Some(_) => {}
                None => self.respawn_front(&app),
            }
        }
    }
}

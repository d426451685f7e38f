//! A front as clients see it.

use super::Front;
use crate::engine::Engine;
use rpm_config::{AppName, Balance, ListenAddress, ProxyHeader};
use rpm_protocol::FrontView;

impl Engine {
    /// Asks all fronts how they stand; the next look shows it.
    pub(crate) fn ask_fronts(&mut self) {
        for front in self.fronts.all.values() {
            if let Some(running) = front.running() {
                // One that does not read shows what it said last.
                let _full = running.link.say("{\"stats\":true}".to_owned());
            }
        }
    }

    /// The front of an app, and what it knows of one of its instances.
    pub(crate) fn front_view(&self, app: &AppName, slot: u32) -> Option<FrontView> {
        let front: &Front = self.fronts.get(app)?;
        let stats = front.rotation.stats.as_ref();
        let mine = || stats.iter().flat_map(|all| &all.upstreams).filter(|one| one.id == slot);
        Some(FrontView {
            pid: front.running().map(|running| running.pid),
            listening: front.proxy.listen.iter().map(ListenAddress::to_string).collect(),
            balance: match front.proxy.balance {
                Balance::Shared => Balance::LeastConn.to_string(),
                balance => balance.to_string(),
            },
            proxy_protocol: match front.proxy.header {
                ProxyHeader::None => None,
                ProxyHeader::V1 => Some("v1".to_owned()),
                ProxyHeader::V2 => Some("v2".to_owned()),
            },
            connections: stats.map_or(0, |stats| stats.connections),
            waiting: stats.map_or(0, |stats| stats.waiting),
            instance_state: mine().next().map(|one| one.state.clone()),
            instance_connections: mine().map(|one| one.open).sum(),
        })
    }
}

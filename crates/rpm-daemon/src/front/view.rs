//! A front as clients see it.

use super::{Front, Fronts};
use crate::{engine::Engine, inbox::Message};
use rpm_config::{AppName, Balance, ListenAddress, ProxyHeader};
use rpm_keeper::ChildId;
use rpm_protocol::FrontView;
use std::time::Duration;

/// How long a look waits for fronts; of one that does not answer it shows what that said last.
const PATIENCE: Duration = Duration::from_millis(200);

impl Fronts {
    /// Whether a look waits for what fronts say.
    pub(crate) fn are_asked(&self) -> bool {
        !self.asked.is_empty()
    }
}

impl Engine {
    /// Asks all fronts how they stand; the look that wants to know waits for it.
    pub(crate) fn ask_fronts(&mut self) {
        let idle = self.fronts.asked.is_empty();
        let Fronts { all, asked, .. } = &mut self.fronts;
        for front in all.values() {
            if let Some(running) = front.running().filter(|_| !asked.contains(&front.child))
                && running.link.say("{\"stats\":true}".to_owned())
            {
                asked.insert(front.child);
            }
        }
        if idle && self.fronts.are_asked() {
            let sender = self.inbox.sender();
            tokio::task::spawn_local(async move {
                rpm_protocol::within(PATIENCE, std::future::pending::<()>()).await;
                let _ = sender.send(Message::FrontsLate).await;
            });
        }
    }

    /// Fronts had time enough to say how they stand.
    pub(crate) fn on_fronts_late(&mut self) {
        self.fronts.asked.clear();
        self.answer_looks();
    }

    /// A front said how it stands, or will not any more.
    pub(super) fn front_answered(&mut self, child: ChildId) {
        if self.fronts.asked.remove(&child) {
            self.answer_looks();
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

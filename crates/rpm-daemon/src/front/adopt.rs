//! What becomes of the fronts that a new daemon finds, and of those it misses.

use super::{
    Front, Leaving, Phase, addresses,
    identity::{Label, MARK},
    is_at_rest, kill,
    rotation::Rotation,
};
use crate::{clock, engine::Engine, sharing::is_fronted};
use rpm_config::AppName;
use rpm_keeper::{Child, ExitStatus};

impl Engine {
    /// Takes over the fronts that a new daemon finds. The youngest of an app is its front; older
    /// ones were told to end.
    pub(crate) fn adopt_fronts(&mut self, mut found: Vec<(Child, Vec<u8>, Option<ExitStatus>)>) {
        found.sort_by_key(|(child, ..)| std::cmp::Reverse(child.child));
        for (child, label, status) in found {
            let Ok(Label { front: app, listen }) = serde_json::from_slice(&label) else { continue };
            self.fronts.last_id = self.fronts.last_id.max(child.child.0 & !MARK);
            let own = || (!listen.is_empty()).then(|| addresses::proxy(listen.clone()));
            let proxy = self.specs.get(&app).and_then(|spec| spec.proxy.clone().or_else(own));
            match (status, proxy) {
                (Some(_), _) => {
                    self.acknowledge_front(child.child);
                    // With its app gone nobody else does; else `check_fronts` decides.
                    if !self.specs.contains_key(&app) {
                        self.release_front(&app);
                    }
                }
                (None, Some(proxy)) if !self.fronts.all.contains_key(&app) => {
                    let (phase, since) = (Phase::Starting, clock::now());
                    let (waiting, rotation) = (Vec::new(), Rotation::default());
                    let front =
                        Front { child: child.child, proxy, since, phase, waiting, rotation };
                    self.fronts.all.insert(app, front);
                    self.on_front_spawned(child);
                }
                (None, proxy) => {
                    if proxy.is_none() {
                        kill(&child.pidfd);
                    }
                    let leaving = Leaving { app, pid: child.pid, _link: None };
                    self.fronts.leaving.insert(child.child, leaving);
                }
            }
        }
    }

    /// After a recovery: each app that runs has its front, and no other.
    pub(crate) fn check_fronts(&mut self) {
        let apps: Vec<AppName> = self.specs.values().map(|spec| spec.name.clone()).collect();
        for app in apps {
            let spec = self.specs.get(&app);
            let proxied = spec.is_some_and(|spec| spec.proxy.is_some() || is_fronted(spec));
            let rests = self.fleet.apps.get(&app).is_none_or(is_at_rest);
            match (rests, self.fronts.all.contains_key(&app)) {
                (true, true) => self.end_idle_front(&app),
                // The predecessor may have died between the end of a front and its release.
                (true, false) if proxied => self.release_front(&app),
                (false, false) if proxied => self.respawn_front(&app),
                (true | false, true | false) => {}
            }
        }
    }
}

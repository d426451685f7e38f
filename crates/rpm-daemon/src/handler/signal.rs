//! `signal`: any signal to the processes of instances. What comes of it is theirs to decide.

use crate::{engine::Engine, tree};
use rpm_protocol::{Acted, RpcError, Targets};

impl Engine {
    /// Sends it to the leader of each target that runs, as PM2 does: what the rest of a tree makes
    /// of a signal nobody knows.
    pub(super) fn signal(&self, targets: &Targets, signal: i32) -> Result<Acted, RpcError> {
        let mut instances = Vec::new();
        for id in self.resolve(targets)? {
            let Some((app, _, instance)) = self.fleet.instance(id) else { continue };
            let (app, Some(worker)) = (app.clone(), instance.current()) else { continue };
            let process = self.workers.process(worker);
            let Some(leader) = process.and_then(|process| process.leader.alive()) else { continue };
            tree::signal_all(&[leader], signal);
            instances.push((id.0, app));
        }
        if instances.is_empty() {
            let hint = "rpm ls shows what runs".to_owned();
            return Err(RpcError::failed("nothing runs there to be signalled", Some(hint)));
        }
        Ok(Acted { instances, failure: None })
    }
}

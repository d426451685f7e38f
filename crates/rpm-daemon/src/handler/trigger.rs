//! `trigger`: has apps do what they offered over their channels.

use crate::{engine::Engine, inbox::Responder, offers, replies::respond};
use rpm_protocol::{RpcError, Targets, Triggered};
use rpm_supervisor::{InstanceId, WorkerId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl Engine {
    /// Asks every target that offers the action; answered when all have replied.
    pub(super) fn trigger(
        &mut self,
        targets: &Targets,
        action: String,
        param: Option<String>,
        to: Responder,
    ) {
        let instances = match self.resolve(targets) {
            Ok(instances) => instances,
            Err(error) => return respond::<()>(to, Err(error)),
        };
        let asked = self.ask_for_action(&instances, &action, param.as_deref());
        if asked.is_empty() {
            return respond::<()>(to, Err(self.nobody_offers(&instances, &action)));
        }
        self.await_replies(action, asked, to);
    }

    /// Tells the workers that offer the action, as PM2 does: the bare name, or an object where
    /// there is a parameter.
    fn ask_for_action(
        &self,
        instances: &[InstanceId],
        action: &str,
        param: Option<&str>,
    ) -> Vec<(WorkerId, Triggered)> {
        let asked = instances.iter().filter_map(|id| {
            let (app, _, instance) = self.fleet.instance(*id)?;
            let worker = instance.current()?;
            let known = self.workers.get(worker)?;
            let offered = offers::has_action(&known.record.offers, action);
            let message = match param {
                Some(param) => json!({ "msg": action, "opts": param, "id": id.0 }),
                None => Value::from(action),
            };
            let channel = known.process.as_ref()?.channel.as_ref().filter(|_| offered)?;
            let namespace = self.specs.get(app)?.namespace.clone();
            let reply = Triggered { id: id.0, name: app.clone(), namespace, reply: None };
            channel.tell(&message).then_some((worker, reply))
        });
        asked.collect()
    }

    fn nobody_offers(&self, instances: &[InstanceId], action: &str) -> RpcError {
        let workers = instances.iter().filter_map(|id| self.fleet.instance(*id)?.2.current());
        let known = workers.filter_map(|worker| self.workers.get(worker));
        let names: BTreeSet<&str> =
            known.flat_map(|known| offers::action_names(&known.record.offers)).collect();
        let hint = if names.is_empty() {
            "an app offers actions over its channel, as @pm2/io does".to_owned()
        } else {
            format!("offered are {}", names.into_iter().collect::<Vec<_>>().join(", "))
        };
        RpcError::failed(format!("no instance offers the action {action:?}"), Some(hint))
    }
}

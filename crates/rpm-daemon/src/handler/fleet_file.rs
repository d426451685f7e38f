//! `save` and `resurrect`: the fleet as it shall be, in `dump.pm2`.

use crate::{
    dump::{self, Entry},
    engine::Engine,
    inbox::Responder,
    replies::respond,
};
use rpm_protocol::RpcError;
use rpm_supervisor::{Command, Event, InstanceId, Policy};
use std::path::PathBuf;

impl Engine {
    /// Writes the dump; an empty fleet does not replace a list unless forced.
    pub(super) fn save(&self, force: bool) -> Result<PathBuf, RpcError> {
        if self.fleet.apps.is_empty() && !force {
            let hint = "rpm save --force writes an empty list".to_owned();
            return Err(RpcError::failed("there is nothing to save", Some(hint)));
        }
        let entries: Vec<Entry<'_>> = self.entries().collect();
        let path = self.home.dump();
        dump::write(&path, &entries).map_err(|error| {
            let message = format!("{} could not be written: {error}", path.display());
            RpcError::failed(message, Some("the former list is untouched".to_owned()))
        })?;
        Ok(path)
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.fleet.instances().filter_map(|(app, slot, instance)| {
            let spec = self.specs.get(app)?;
            Some(Entry { spec, slot, instance })
        })
    }

    /// Brings back what the dump lists and the fleet lacks: online what was, stopped what was.
    pub(super) fn resurrect(&mut self, to: Responder) {
        let path = self.home.dump();
        let saved = match dump::read(&path) {
            Ok(read) => {
                for broken in &read.broken {
                    tracing::warn!("a saved list was passed over: {broken}");
                }
                read.apps
            }
            Err(error) => {
                let message = format!("{} could not be read: {error}", path.display());
                let hint = "rpm save writes the list that resurrect reads".to_owned();
                return respond::<()>(to, Err(RpcError::failed(message, Some(hint))));
            }
        };
        let wanted = saved.into_iter().flat_map(|app| self.bring_back(app)).collect();
        self.ask(Command::Start(wanted), to);
    }

    /// Registers a saved app, stopped; returns the instances that ran.
    fn bring_back(&mut self, saved: dump::SavedApp) -> Vec<InstanceId> {
        let app = saved.spec.name.clone();
        if self.fleet.apps.contains_key(&app) {
            return Vec::new();
        }
        let command = Command::Register {
            app: app.clone(),
            policy: Policy::from(&saved.spec),
            instances: saved.spec.instances,
            autostart: false,
        };
        self.keep_spec(saved.spec);
        let ticket = self.replies.unattended();
        self.step(Event::Command { ticket, command });
        let Some(registered) = self.fleet.apps.get(&app) else { return Vec::new() };
        let ran = registered.instances.iter().filter(|(slot, _)| !saved.stopped.contains(slot));
        ran.map(|(_, instance)| instance.id).collect()
    }
}

//! `rename`: an app at rest under another name.

use crate::{engine::Engine, inbox::Responder, store};
use rpm_config::{AppName, AppSpec};
use rpm_keeper::Request;
use rpm_supervisor::Command;
use std::sync::Arc;

impl Engine {
    /// Moves the app and its description; refused while anything of it runs.
    pub(super) fn rename(&mut self, app: &AppName, name: AppName, to: Responder) {
        self.ask(Command::Rename { app: app.clone(), to: name.clone() }, to);
        let moved = !self.fleet.apps.contains_key(app) && self.fleet.apps.contains_key(&name);
        if let Some(spec) = self.specs.get(app).cloned().filter(|_| moved) {
            self.keep_spec(AppSpec { name: name.clone(), ..AppSpec::clone(&spec) });
            self.specs.remove(app);
            self.versions.forget(app);
            self.stamps.remove(app);
            self.tend();
            self.keeper.send(Request::Drop { name: store::spec_name(app) });
            self.listeners.forget(app);
            self.sharing.forget(app);
            self.follow_renaming(app, &name);
        }
    }

    /// Who waits for the app waits for it under its new name, after the next daemon's start too.
    fn follow_renaming(&mut self, app: &AppName, name: &AppName) {
        let waiting = |spec: &&Arc<AppSpec>| spec.depends_on.contains_key(app);
        let waiting: Vec<AppSpec> =
            self.specs.values().filter(waiting).map(|spec| AppSpec::clone(spec)).collect();
        for mut spec in waiting {
            rpm_config::rename_in(&mut spec.depends_on, app, name);
            self.keep_spec(spec);
        }
    }
}

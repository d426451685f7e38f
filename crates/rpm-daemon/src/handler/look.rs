//! Requests that only look, and `flush`.

use crate::{
    disk, engine::Engine, inbox::Responder, log_files, replies::respond, sample::Waiting, view,
};
use rpm_protocol::{InstanceDetail, InstanceView, LogSource, RpcError, Targets};
use rpm_supervisor::InstanceId;
use std::{collections::BTreeSet, io, path::PathBuf, time::Duration};

/// How long a reader waits for the time indexes.
const TIMES_LIMIT: Duration = Duration::from_secs(1);

impl Engine {
    /// All instances; answered with fresh figures of memory and CPU.
    pub(super) fn list(&mut self, to: Responder) {
        self.with_fresh_sample(Waiting::List(to));
    }

    /// Everything about some instances; answered with fresh figures.
    pub(super) fn describe(&mut self, targets: &Targets, secrets: bool, to: Responder) {
        match self.resolve(targets) {
            Ok(instances) => self.with_fresh_sample(Waiting::Describe(instances, secrets, to)),
            Err(error) => respond::<()>(to, Err(error)),
        }
    }

    /// Answers a request that waited for a sample.
    pub(crate) fn answer_look(&self, waiting: Waiting) {
        match waiting {
            Waiting::List(to) => respond(to, Ok(self.views())),
            Waiting::Describe(instances, secrets, to) => {
                let mut details = self.details(&instances);
                if !secrets {
                    details.iter_mut().for_each(hide);
                }
                respond(to, Ok(details));
            }
        }
    }

    fn views(&self) -> Vec<InstanceView> {
        self.fleet
            .instances()
            .filter_map(|(app, slot, instance)| view::instance(self, app, slot, instance))
            .collect()
    }

    fn details(&self, instances: &[InstanceId]) -> Vec<InstanceDetail> {
        let found = instances.iter().filter_map(|id| self.fleet.instance(*id));
        found.filter_map(|(app, slot, instance)| view::detail(self, app, slot, instance)).collect()
    }

    /// Where instances log; answered when the files' time indexes are up to date.
    pub(super) fn logs(&self, targets: &Targets, to: Responder) {
        let sources = self.log_sources(targets);
        let flushed = self.logs.lanes.flush_times();
        tokio::task::spawn_local(async move {
            // A disk that hangs makes the order of lines worse, but holds up nobody.
            let _late = rpm_protocol::within(TIMES_LIMIT, flushed).await;
            respond(to, sources);
        });
    }

    fn log_sources(&self, targets: &Targets) -> Result<Vec<LogSource>, RpcError> {
        let source = |id: &InstanceId| {
            let (app, slot, instance) = self.fleet.instance(*id)?;
            let spec = self.specs.get(app)?;
            let (out, error) = log_files::paths(&self.home, spec, instance.id, slot);
            Some(LogSource { id: id.0, name: app.clone(), out, error })
        };
        Ok(self.resolve(targets)?.iter().filter_map(source).collect())
    }

    /// Empties log files.
    pub(super) fn flush(&mut self, targets: &Targets) -> Result<Vec<PathBuf>, RpcError> {
        let sources = self.log_sources(targets)?;
        let mut paths: BTreeSet<PathBuf> =
            sources.into_iter().flat_map(|source| [source.out, source.error]).flatten().collect();
        if targets.words.is_empty() {
            paths.insert(self.home.daemon_log());
        }
        let mut emptied = Vec::new();
        for path in paths {
            let file = path.clone();
            let done = disk::look(move || log_files::empty(&file))
                .unwrap_or_else(|| Err(io::Error::other("its disk does not answer")));
            match done {
                Ok(()) => emptied.push(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let message = format!("{} could not be emptied: {error}", path.display());
                    return Err(RpcError::failed(message, None));
                }
            }
        }
        // What was said before is gone from the files: a death quotes what comes after.
        self.workers.forget_offsets();
        Ok(emptied)
    }
}

fn hide(detail: &mut InstanceDetail) {
    let InstanceDetail { spec, environment, .. } = detail;
    for variables in [&mut spec.env, &mut spec.inherited_env, environment] {
        rpm_config::hide_secrets(variables);
    }
}

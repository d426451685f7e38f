//! The supervisor's answers, in the words of the protocol.

use crate::{
    diagnose,
    engine::Engine,
    keeper_events::STDERR_LINES,
    replies::{Question, Waiting, respond},
};
use rpm_config::{AppName, Ready};
use rpm_protocol::{Acted, FailureView, RpcError, Started};
use rpm_supervisor::{Answer, Failure, InstanceId, State, Ticket, WorkerId};
use rpm_unix::{procfd, procfs};
use std::collections::BTreeMap;

/// How many bytes of standard error an answer tells, the last ones: it fits into what the request
/// counts for among those that are under way ([`rpm_protocol::MAX_STARTS`]).
const MAX_STDERR: usize = 12 << 10;

/// Names of instances when a request came.
type Names = BTreeMap<InstanceId, AppName>;

impl Engine {
    /// Passes an answer on to the client that waits for it, if one does.
    pub(crate) fn on_answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Answer::Denied(reason) = &answer {
            tracing::warn!("a request was denied: {reason}");
        }
        let Some(Waiting { question, respond: to }) = self.replies.take(ticket) else { return };
        let (touched, failure) = match answer {
            Answer::Denied(reason) => {
                return respond::<()>(to, Err(RpcError::failed(reason.to_string(), None)));
            }
            Answer::Done(touched) => (touched, None),
            Answer::Failed(failure) => {
                let view = self.failure_view(&failure, &question);
                (vec![failure.instance], view)
            }
        };
        match question {
            Question::Start { app, restarted, strict, fallback } => {
                if let Some(fallback) = fallback.filter(|_| failure.is_some()) {
                    self.fall_back(fallback);
                }
                let failure = failure.or_else(|| strict.then(|| self.not_online(&touched))?);
                let instances = self.ids_of(&app);
                let warnings = self.unenforced_limits(&app).into_iter().collect();
                let started = Started { app, restarted, instances, failure, warnings };
                self.replies.respond(to, started);
            }
            Question::Act(names) => {
                let acted = self.acted(&names, &touched, failure);
                self.replies.respond(to, acted);
            }
        }
    }

    fn acted(&self, names: &Names, touched: &[InstanceId], failure: Option<FailureView>) -> Acted {
        let named = |id: &InstanceId| {
            let present = self.fleet.instance(*id).map(|found| found.0);
            Some((id.0, present.or_else(|| names.get(id))?.clone()))
        };
        Acted { instances: touched.iter().filter_map(named).collect(), failure }
    }

    /// The first of these instances that is not online, as a failure: what `--wait` calls one.
    fn not_online(&self, instances: &[InstanceId]) -> Option<FailureView> {
        let found = instances.iter().filter_map(|id| self.fleet.instance(*id));
        let (app, _, instance) =
            found.into_iter().find(|(_, _, one)| !matches!(one.state, State::Online { .. }))?;
        let mut failure = diagnose::not_online(app, instance);
        failure.stderr = self.stderr_of(instance.id, None);
        Some(failure)
    }

    fn failure_view(&self, failure: &Failure, question: &Question) -> Option<FailureView> {
        let present = self.fleet.instance(failure.instance).map(|found| found.0);
        let app = present.or_else(|| match question {
            Question::Start { app, .. } => Some(app),
            Question::Act(names) => names.get(&failure.instance),
        })?;
        let stderr = self.stderr_of(failure.instance, failure.worker);
        let shares = self.specs.get(app).is_some_and(|spec| crate::launch::shares_ports(spec));
        let ready = self.specs.get(app).map_or(&Ready::Listening, |spec| &spec.ready);
        let trouble = failure.worker.and_then(|worker| self.troubles.of(worker));
        let unseen = || self.unseen_bind(app, &stderr).filter(|_| shares);
        let limit = || self.limit_hint(failure.instance);
        let trouble = trouble.or_else(limit).or_else(unseen);
        Some(diagnose::failure(app, failure, (stderr, trouble), ready))
    }

    /// The port a worker complained of, if another of its app has it: then its bind was not seen,
    /// or the two would share it.
    fn unseen_bind(&self, app: &AppName, stderr: &[String]) -> Option<String> {
        let port = diagnose::port_complained_of(stderr)?;
        let (pid, command) = procfd::port_holder(port)?;
        let session = procfs::process(pid)?.session;
        let label = &self.workers.get(self.workers.led_by(session)?)?.label;
        let instance = Some(label.instance).filter(|_| label.app == *app)?;
        Some(diagnose::unseen(port, (pid, command), instance))
    }

    /// The last lines of standard error of a living worker, or of the instance's last dead one.
    pub(crate) fn stderr_of(&self, instance: InstanceId, worker: Option<WorkerId>) -> Vec<String> {
        let living = worker.filter(|id| self.workers.process(*id).is_some_and(|p| !p.exited));
        if let Some(worker) = living {
            return last_of(self.last_stderr(worker));
        }
        let last = self.exits.get(&instance).and_then(|exits| exits.first());
        let mut lines = last.map(|exit| exit.stderr.clone()).unwrap_or_default();
        lines.truncate(STDERR_LINES);
        last_of(lines)
    }
}

/// The last lines, as many as an answer tells.
fn last_of(mut lines: Vec<String>) -> Vec<String> {
    let mut room = MAX_STDERR;
    let fit = lines.iter().rev().take_while(|line| {
        let fits = line.len() <= room;
        room = room.saturating_sub(line.len());
        fits
    });
    let left_out = lines.len().saturating_sub(fit.count());
    lines.split_off(left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_that_fit_are_told() {
        let lines = |lengths: &[usize]| -> Vec<String> {
            lengths.iter().map(|length| "x".repeat(*length)).collect()
        };
        assert_eq!(last_of(lines(&[])), lines(&[]));
        assert_eq!(last_of(lines(&[5, 7])), lines(&[5, 7]));
        assert_eq!(last_of(lines(&[1, MAX_STDERR - 7, 7])), lines(&[MAX_STDERR - 7, 7]));
        assert_eq!(last_of(lines(&[1, MAX_STDERR, 1])), lines(&[1]));
        assert_eq!(last_of(lines(&[1024; 50])), lines(&[1024; 12]));
    }
}
